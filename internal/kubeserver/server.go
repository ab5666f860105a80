// Package kubeserver starts a real Kubernetes API server for tests: k8s.io/apiextensions-apiserver, the part of a
// cluster that serves custom resources, on an etcd of its own. Both are processes of their own, which can be killed.
// The server is built by the module in bin, so that no test and no user depends on it.
package kubeserver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/internal/etcdserver"
	"github.com/imagestreams/imagestreams/internal/etcdserver/process"
)

// patience is how long a server may take until it is ready.
const patience = 60 * time.Second

// Server is a server that runs until it is closed.
type Server struct {
	// URL is where the server listens. It trusts the bearer of Cert and Key, of the group system:masters, and shows a
	// certificate of CA. All three are PEM.
	URL           string
	CA, Cert, Key []byte
	// Kubeconfig is a file for clients of that bearer.
	Kubeconfig string

	dir     string
	cluster *etcdserver.Cluster
	args    []string
	client  *http.Client

	process *process.Process
	log     bytes.Buffer // of the process
}

// Start is [Launch] for a test, at whose end the server is closed.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Launch()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Launch starts a server that has no definitions yet.
func Launch() (*Server, error) {
	dir, err := os.MkdirTemp("", "kube")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.launch(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// nobody names a cluster for the checks that a server leaves to another one. Nobody asks it: whoever has a
// certificate of the group system:masters may do everything.
const nobody = `apiVersion: v1
kind: Config
clusters: [{name: nobody, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
users: [{name: nobody}]
current-context: nobody
`

func (s *Server) launch() error {
	var err error
	if s.cluster, err = etcdserver.Launch(1); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := s.configure()
		if err == nil {
			err = s.Restart()
		}
		if err == nil || attempt == maxPorts || !errors.Is(err, errExited) {
			return err
		}
	}
}

// maxPorts is how many ports are tried: others may take one before the server does.
const maxPorts = 3

// configure chooses a port, and writes the files of the server.
func (s *Server) configure() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s.URL = fmt.Sprint("https://127.0.0.1:", port)
	files, err := s.certificates()
	if err != nil {
		return err
	}
	files["kubeconfig"] = []byte(nobody)
	files["client"] = s.kubeconfig()
	s.Kubeconfig = filepath.Join(s.dir, "client")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	s.args = []string{
		"--etcd-servers=http://" + s.cluster.Members[0].Endpoint, "--etcd-prefix=/registry",
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + in("server.crt"), "--tls-private-key-file=" + in("server.key"),
		"--client-ca-file=" + in("ca.crt"),
		"--kubeconfig=" + in("kubeconfig"), "--authentication-kubeconfig=" + in("kubeconfig"),
		"--authorization-kubeconfig=" + in("kubeconfig"), "--authentication-skip-lookup",
		// What needs the rest of a cluster.
		"--enable-priority-and-fairness=false",
		"--disable-admission-plugins=NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook," +
			"ValidatingAdmissionPolicy,MutatingAdmissionPolicy",
	}
	pair, err := tls.X509KeyPair(s.Cert, s.Key)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(s.CA)
	s.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: trusted},
	}}
	return nil
}

// errExited means that the server has ended before it was ready.
var errExited = errors.New("the API server ended")

// binary builds the server, and returns where it is.
var binary = sync.OnceValues(func() (string, error) { return process.Tool("k8s.io/apiextensions-apiserver") })

// Restart starts a server that was killed, with the data that it had, and waits until it is ready.
func (s *Server) Restart() error {
	server, err := binary()
	if err != nil {
		return err
	}
	s.log.Reset()
	cmd := exec.Command(server, s.args...)
	cmd.Stderr = &s.log
	if s.process, err = process.Start(cmd); err != nil {
		return err
	}
	return s.await()
}

func (s *Server) await() error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.process.Ended():
			s.Kill()
			return fmt.Errorf("%w\n%s", errExited, &s.log)
		default:
		}
		resp, err := s.client.Get(s.URL + "/healthz") // readyz waits for the rest of a cluster
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("healthz answers %s", resp.Status)
		}
		if time.Since(begin) > patience {
			s.Kill()
			return fmt.Errorf("the API server is not ready: %w\n%s", err, &s.log)
		}
	}
}

// Kill ends the server at once, as kill -9 does; its etcd goes on. A server that is killed already stays so.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.process.Kill()
	s.process = nil
}

// Close kills server and etcd, and removes what they stored.
func (s *Server) Close() {
	s.Kill()
	if s.cluster != nil {
		s.cluster.Close()
	}
	os.RemoveAll(s.dir)
}

// Compact makes etcd forget everything before a resource version.
func (s *Server) Compact(resourceVersion string) error {
	resp, err := http.Post("http://"+s.cluster.Members[0].Endpoint+"/v3/kv/compaction", "application/json",
		strings.NewReader(`{"revision": `+strconv.Quote(resourceVersion)+`, "physical": true}`))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("compact to %s: %s: %s", resourceVersion, resp.Status, text)
	}
	return err
}
