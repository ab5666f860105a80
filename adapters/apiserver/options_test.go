package apiserver_test

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// at is a listener that says that it listens there.
type at struct {
	net.Listener
	ip net.IP
}

func (l at) Addr() net.Addr { return &net.TCPAddr{IP: l.ip, Port: 8443} }

// listening returns the options of a server that stands alone, on a port that the test has.
func listening(t *testing.T, ip net.IP) *apiserver.Options {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	o := apiserver.NewOptions()
	o.Access = &apiserver.Access{}
	o.Serving.Listener = at{listener, ip}
	return o
}

// names returns whether a server's certificate is one for the host that its clients are told.
func names(t *testing.T, o *apiserver.Options) error {
	t.Helper()
	c, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := c.Generic.SecureServing.Cert.CurrentCertKeyContent()
	block, _ := pem.Decode(cert)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	host, err := url.Parse(c.Client().Host)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.VerifyHostname(host.Hostname())
}

func TestCertificateDirectory(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // made, then found
		o := listening(t, net.IPv4(127, 0, 0, 1))
		o.Serving.ServerCert.CertDirectory = dir
		if err := names(t, o); err != nil {
			t.Error(err)
		}
		if got := o.Serving.ServerCert.CertKey.CertFile; got != filepath.Join(dir, "apiserver.crt") {
			t.Errorf("the certificate is in %q", got)
		}
	}
}

func TestPortZeroIsRefused(t *testing.T) {
	o := apiserver.NewOptions()
	o.Access = &apiserver.Access{}
	o.Serving.BindPort = 0
	if _, err := o.Config(); err == nil || !strings.Contains(err.Error(), "--secure-port 0 must be between 1 and 65535") {
		t.Errorf("a server without a port: %v", err)
	}
}

func TestCertificateNamesTheAddress(t *testing.T) {
	for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 7), net.IPv6loopback, net.IPv4zero} {
		if err := names(t, listening(t, ip)); err != nil {
			t.Errorf("clients of a server on %s: %v", ip, err)
		}
	}
}

// TestLoopbackNeedsNoNetwork asks for no address of the machine that others would reach: there may be none.
func TestLoopbackNeedsNoNetwork(t *testing.T) {
	o := listening(t, net.IPv4(127, 0, 0, 1))
	if _, err := o.Config(); err != nil {
		t.Fatal(err)
	}
	if got := o.Run.AdvertiseAddress; !got.IsLoopback() {
		t.Errorf("a server on the loopback interface looks for the address %s", got)
	}
}

// TestServerWithoutAccess is refused: the library would let everybody in.
func TestServerWithoutAccess(t *testing.T) {
	c := apiserver.NewConfig()
	c.Generic.ExternalAddress = "localhost:8443"
	c.API = rest.New(&fakes.Store{}, nil)
	if _, err := c.New(); err == nil || !strings.Contains(err.Error(), "SetAccess") {
		t.Errorf("a server that knows nobody: %v, want what to set", err)
	}
}
