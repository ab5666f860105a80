package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
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
func NewTestServer(t TB, api rest.API) *restclient.Config {
	t.Helper()
	client, err := startTestServer(t, api)
	if err != nil {
		t.Fatalf("start a test server: %v", err)
	}
	return client
}

func startTestServer(t TB, api rest.API) (*restclient.Config, error) {
	own, err := testCertificate()
	if err != nil {
		return nil, err
	}
	pair, err := dynamiccertificates.NewStaticCertKeyContent("test server", own.cert, own.key)
	if err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listener := &tracked{Listener: tcp}
	client := &restclient.Config{
		Host: "https://" + listener.Addr().String(), BearerToken: rand.Text(), QPS: -1,
		TLSClientConfig: restclient.TLSClientConfig{CAData: own.cert},
	}
	c := NewConfig(api)
	g := &c.Generic.Config
	g.ExternalAddress = listener.Addr().String()
	g.SecureServing = &genericserver.SecureServingInfo{Listener: listener, Cert: pair}
	g.LoopbackClientConfig = client
	admin := &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
	g.Authentication.Authenticator = bearertoken.New(tokenfile.New(map[string]*user.DefaultInfo{client.BearerToken: admin}))
	g.Authorization.Authorizer = authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)
	server, err := c.New()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
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
	return restclient.CopyConfig(client), nil
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
