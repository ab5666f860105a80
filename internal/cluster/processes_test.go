package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/internal/etcdserver"
	"github.com/imagestreams/imagestreams/internal/etcdserver/process"
)

// patience is how long a server may take to answer as it should.
const patience = 2 * time.Minute

// tokens is the file of the cluster's users.
const tokens = `root,root,1,"system:masters"
alice,alice,2
bob,bob,3
carol,carol,4
`

// binary returns the path of a program that make cluster builds.
func binary(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", ".bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run make cluster, which builds it", err)
	}
	return path
}

// start runs a program until the test ends. Its output is shown if the test fails.
func start(t *testing.T, path string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	program, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	var stopping atomic.Bool
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		<-program.Ended()
		if !stopping.Load() {
			t.Errorf("%s ended by itself: %v", filepath.Base(path), cmd.ProcessState)
		}
	}()
	t.Cleanup(func() {
		stopping.Store(true)
		program.Kill()
		<-watched
		if t.Failed() {
			lines := strings.Split(strings.TrimSpace(output.String()), "\n")
			t.Logf("the last lines of %s:\n%s", filepath.Base(path), strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
	})
}

// eventually asks until there is no error, or a program has ended.
func eventually(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		if t.Failed() {
			t.FailNow()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key, a.pem = a.sign(t, template)
	a.write(t, "ca.crt", a.pem)
	return a
}

// sign completes and signs a certificate; the authority's own is signed with its own key.
func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// pair writes a certificate for a client or a server of that name, and returns the two files.
func (a *authority) pair(t *testing.T, name string, use x509.ExtKeyUsage) (cert, key string) {
	t.Helper()
	_, private, certPEM := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	})
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return a.write(t, name+".crt", certPEM), a.write(t, name+".key", keyPEM)
}

func (a *authority) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	return write(t, filepath.Join(a.dir, name), data)
}

func (a *authority) file() string { return filepath.Join(a.dir, "ca.crt") }

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startCluster starts etcd and the cluster's server, and returns etcd's address and how root reaches the server.
func startCluster(t *testing.T) (etcd string, root *restclient.Config) {
	t.Helper()
	etcd = etcdserver.Start(t, 1).Endpoints()[0]
	dir, port := t.TempDir(), freePort(t)
	front := newAuthority(t, "front-proxy-ca")
	proxyCert, proxyKey := front.pair(t, "front-proxy", x509.ExtKeyUsageClientAuth)
	accounts := newAuthority(t, "service-accounts")
	_, accountKey := accounts.pair(t, "accounts", x509.ExtKeyUsageClientAuth)
	serverCA := newAuthority(t, "cluster-ca")
	cert, key := serverCA.pair(t, "localhost", x509.ExtKeyUsageServerAuth)
	start(
		t, binary(t, "kube-apiserver"),
		"--etcd-servers=http://"+etcd,
		"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", port),
		"--tls-cert-file="+cert, "--tls-private-key-file="+key, "--cert-dir="+dir,
		"--service-account-issuer=https://cluster.test", "--api-audiences=https://cluster.test",
		"--service-account-signing-key-file="+accountKey, "--service-account-key-file="+accountKey,
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
		"--token-auth-file="+write(t, filepath.Join(dir, "tokens.csv"), []byte(tokens)),
		"--client-ca-file="+serverCA.file(), "--requestheader-client-ca-file="+front.file(), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+proxyCert, "--proxy-client-key-file="+proxyKey,
	)
	root = &restclient.Config{
		Host: fmt.Sprint("https://localhost:", port), BearerToken: "root", QPS: -1,
		TLSClientConfig: restclient.TLSClientConfig{CAData: serverCA.pem},
	}
	return etcd, root
}

// as returns how a user of the cluster reaches its server.
func as(root *restclient.Config, user string) *restclient.Config {
	config := restclient.CopyConfig(root)
	config.BearerToken = user
	return config
}

// run runs a program to its end, with a home of its own, and returns what it printed.
func run(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
