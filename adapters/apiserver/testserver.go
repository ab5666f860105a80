package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TB is what a test server needs of a test: any testing.TB.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
}

// NewTestServer serves api until the test ends, and returns how clients reach it: with TLS on a port of the loopback
// interface, as a user who may do everything. Any number of servers can run in one process. When the test ends, the
// server ends its watches, answers what is under way and leaves nothing behind.
//
// The library that the server is built on logs with klog, of which a process has one: its flags say what is shown.
func NewTestServer(t TB, api rest.API) *restclient.Config {
	t.Helper()
	return TestServer{API: api}.Start(t)
}

// TestServer is a server in a test with more than verbs.
type TestServer struct {
	API rest.API
	// Access has the users; clients set the token of one of them. Nil is one user who may do everything.
	Access *Access
	// Secrets are those of [Config].
	Secrets *Secrets
}

// Start is [NewTestServer].
func (s TestServer) Start(t TB) *restclient.Config {
	t.Helper()
	token := ""
	if s.Access == nil {
		token = rand.Text()
		s.Access = &Access{Users: []User{{Name: "admin", Token: token, Groups: []string{user.SystemPrivilegedGroup}}}}
	}
	client, err := s.start(t)
	if err != nil {
		t.Fatalf("start a test server: %v", err)
	}
	client.BearerToken = token
	return client
}

func (s TestServer) start(t TB) (client *restclient.Config, err error) {
	own, err := testCertificate()
	if err != nil {
		return nil, err
	}
	pair, err := dynamiccertificates.NewStaticCertKeyContent("test server", own.cert, own.key)
	if err != nil {
		return nil, err
	}
	c := NewConfig()
	c.API, c.Secrets = s.API, s.Secrets
	if err := c.SetAccess(s.Access); err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tcp.Close())
		}
	}()
	client = &restclient.Config{
		Host: "https://" + tcp.Addr().String(), QPS: -1,
		TLSClientConfig: restclient.TLSClientConfig{CAData: own.cert},
	}
	listener := &tracked{Listener: tcp}
	g := &c.Generic.Config
	g.ExternalAddress = tcp.Addr().String()
	g.SecureServing = &genericserver.SecureServingInfo{Listener: listener, Cert: pair}
	g.LoopbackClientConfig = restclient.CopyConfig(client)
	server, err := c.New()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-g.DrainedNotify()
		listener.closeConnections() // a client may keep its own for later, and the server waits a second for it
		if err := <-ended; err != nil {
			t.Errorf("the test server failed: %v", err)
		}
	})
	return client, nil
}

// testCertificate returns the certificate of every test server of the process.
var testCertificate = sync.OnceValues(func() (certificate, error) {
	return newCertificate(time.Now(), 24*time.Hour, "127.0.0.1")
})

// tracked is a listener that knows its connections.
type tracked struct {
	net.Listener
	mu          sync.Mutex
	connections []net.Conn
	closed      bool
}

func (l *tracked) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connections = append(l.connections, c)
	if l.closed {
		c.Close()
	}
	return c, nil
}

func (l *tracked) closeConnections() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.connections {
		c.Close()
	}
}
