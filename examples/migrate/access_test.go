package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAccess has an etcd that wants a certificate of its clients, and then a user.
func TestAccess(t *testing.T) {
	cert, key := etcdserver.Certificate(t)
	cluster := "etcd:" + etcdserver.Start(t, 1, "--cert-file="+cert, "--key-file="+key, "--trusted-ca-file="+cert, "--client-cert-auth").
		Members[0].Endpoint
	dir := t.TempDir()
	first := filepath.Join(dir, "first.db")
	fill(t, first)
	encrypted := []string{"-etcd-ca", cert, "-etcd-cert", cert, "-etcd-key", key}
	migrate := func(flags ...string) (string, error) {
		var report bytes.Buffer
		err := run(t.Context(), append(flags, "bolt:"+first, cluster), nil, nil, &report)
		return report.String(), err
	}
	if _, err := migrate("-etcd-timeout", "1s"); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("without TLS: %v", err)
	}
	if report, err := migrate(encrypted...); err != nil || report != "6 copied, 0 there already, 0 different\n" {
		t.Errorf("with TLS: %s, %v", report, err)
	}
	access := etcdAccess{ca: cert, cert: cert, key: key, patience: time.Minute}
	client, err := access.connect(t.Context(), []string{strings.TrimPrefix(cluster, "etcd:")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.UserAdd(t.Context(), "root", "secret-of-root")
	if err == nil {
		_, err = client.UserGrantRole(t.Context(), "root", "root")
	}
	if err == nil {
		_, err = client.AuthEnable(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	right := write(t, filepath.Join(dir, "right"), "secret-of-root\n")
	wrong := write(t, filepath.Join(dir, "wrong"), "secret-but-wrong\n")
	report, err := migrate(append(encrypted, "-etcd-user", "root", "-etcd-password-file", right)...)
	if err != nil || report != "0 copied, 6 there already, 0 different\n" {
		t.Errorf("as a user: %s, %v", report, err)
	}
	_, err = migrate(append(encrypted, "-etcd-user", "root", "-etcd-password-file", wrong)...)
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "within") {
		t.Errorf("with a wrong password: %v", err)
	}
}

// TestNobodyListens ends with words.
func TestNobodyListens(t *testing.T) {
	for _, args := range [][]string{{"etcd:127.0.0.1:1", "json:-"}, {"json:-", "etcd:127.0.0.1:1"}} {
		err := run(t.Context(), append([]string{"-etcd-timeout", "100ms"}, args...), strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "etcd:127.0.0.1:1: no etcd answered within 100ms") {
			t.Errorf("migrate %s: %v", args, err)
		}
	}
}

func TestBadFlags(t *testing.T) {
	text := write(t, filepath.Join(t.TempDir(), "text"), "no certificate")
	for says, flags := range map[string][]string{
		"has no certificate in PEM":                     {"-etcd-ca", text},
		"-etcd-ca: open ":                               {"-etcd-ca", text + "x"},
		"-etcd-cert and -etcd-key need each other":      {"-etcd-cert", text},
		"-etcd-cert and -etcd-key: tls":                 {"-etcd-cert", text, "-etcd-key", text},
		"-etcd-user and -etcd-password-file need each":  {"-etcd-user", "root"},
		"-etcd-password-file: open ":                    {"-etcd-user", "root", "-etcd-password-file", text + "x"},
		"flag provided but not defined: -etcd-password": {"-etcd-password", "secret"},
	} {
		err := run(t.Context(), append(flags, "etcd:127.0.0.1:1", "json:-"), nil, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q in it", flags, err, says)
		}
	}
	var report bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, nil, nil, &report); err != nil || !strings.Contains(report.String(), "-etcd-password-file FILE") {
		t.Errorf("-h: %v\n%s", err, &report)
	}
}
