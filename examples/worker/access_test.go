package main

import (
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

// TestAccess runs a worker on an etcd that asks for a certificate and a user. The user may write what the package
// comment names, and no more.
func TestAccess(t *testing.T) {
	cert, key := etcdserver.Certificate(t)
	server := etcdserver.Start(t, 1, "--cert-file="+cert, "--key-file="+key, "--trusted-ca-file="+cert,
		"--client-cert-auth")
	o := etcdOptions{authorities: cert, cert: cert, key: key}
	endpoints := []string{"https://" + server.Members[0].Endpoint}
	config, err := o.config(endpoints)
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w, store := newWorld(t), etcd.New(client, etcd.Options{})
	w.push("org/app", "v1", "one")
	w.create(store, "app", "v1")
	may := func(prefix string) error {
		_, err := client.RoleGrantPermission(t.Context(), "worker", prefix, clientv3.GetPrefixRangeEnd(prefix),
			clientv3.PermissionType(clientv3.PermReadWrite))
		return err
	}
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(t.Context(), "root", "secret-of-root"); return err },
		func() error { _, err := client.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := client.UserAdd(t.Context(), "worker", "secret-of-worker"); return err },
		func() error { _, err := client.RoleAdd(t.Context(), "worker"); return err },
		func() error { return may("/imagestreams/images/") },
		func() error { return may("/imagestreams/imagestreams/shop\x00") },
		func() error { return may("/imagestreams-worker/turns/shop\x00") },
		func() error { return may("/imagestreams-worker/claims/shop\x00") },
		func() error { _, err := client.UserGrantRole(t.Context(), "worker", "worker"); return err },
		func() error { _, err := client.AuthEnable(t.Context()); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	root, err := clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: config.TLS, Username: "root",
		Password: "secret-of-root"})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()

	flags := []string{"-store=etcd:" + endpoints[0], "-etcd-ca=" + cert, "-etcd-cert=" + cert, "-etcd-key=" + key,
		"-etcd-user=worker", "-namespace=shop"}
	t.Setenv("ETCD_PASSWORD", "secret-but-wrong")
	var out, errOut strings.Builder
	err = run(t.Context(), append(flags, w.flags...), &out, &errOut)
	if err == nil || strings.Contains(err.Error()+out.String()+errOut.String(), "secret") {
		t.Errorf("a wrong password: %v, %s", err, &errOut)
	}
	t.Setenv("ETCD_PASSWORD", "secret-of-worker")
	p := w.start("worker", flags...)
	until(t, "the tag is imported", func() bool { return latest(t, etcd.New(root, etcd.Options{}), "app:v1") != "" })
	until(t, "it is recorded", func() bool { return p.metric(t, `records_total{outcome="recorded"}`) == "1" })
	p.term(t)
	if err := p.wait(t); err != nil || strings.Contains(p.log.String(), "secret") {
		t.Errorf("it ended with %v\n%s", err, &p.log)
	}
}
