package oci_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

type instrumented struct{ http.RoundTripper }

// setDefaultTransport puts a transport in the place of http.DefaultTransport until the test ends.
func setDefaultTransport(t *testing.T, transport http.RoundTripper) {
	t.Helper()
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	http.DefaultTransport = transport
}

// TestDefaultTransport makes a client in a program that has put something of its own around http.DefaultTransport.
func TestDefaultTransport(t *testing.T) {
	setDefaultTransport(t, instrumented{http.DefaultTransport})
	server, _ := serve(t, ok)
	if _, err := pull(t, server, oci.Options{}, importer.Access{Insecure: true}); err != nil {
		t.Error(err)
	}
}

// TestDefaultDialer makes a client in a program whose http.DefaultTransport dials in its own way: certificates and
// addresses are checked even so.
func TestDefaultDialer(t *testing.T) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, network, address)
	}
	setDefaultTransport(t, transport)
	var asked atomic.Int32
	victim := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer victim.Close()
	_, port, err := net.SplitHostPort(victim.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://localhost:"+port)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	err = pullError(t, server, oci.Options{}, importer.Access{Insecure: true})
	if asked.Load() > 0 || failure(t, err).Class != importer.ClassForbidden {
		t.Errorf("an internal address was asked %d times: %v", asked.Load(), err)
	}
	registry, err := oci.New(oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stranger := openAt(t, registry, server.Listener.Addr().String()+"/org/app", importer.Access{})
	if _, err := stranger.Manifest(t.Context(), importer.Ref{Tag: "v1"}); failure(t, err).Class != importer.ClassUnavailable {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
}

// TestSameFailureSameText has connections that break off, each from another port of this machine.
func TestSameFailureSameText(t *testing.T) {
	server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		tcp := conn.(*tls.Conn).NetConn().(*net.TCPConn)
		if err := tcp.SetLinger(0); err != nil { // so that the other side sees a reset
			t.Error(err)
		}
		tcp.Close()
	})
	first := pullError(t, server, oci.Options{}, importer.Access{})
	second := pullError(t, server, oci.Options{}, importer.Access{})
	if failure(t, first).Class != importer.ClassUnavailable || first.Error() != second.Error() {
		t.Errorf("first %v\nthen  %v", first, second)
	}
	if !strings.Contains(first.Error(), server.Listener.Addr().String()+": read") {
		t.Errorf("it does not say where and what: %v", first)
	}
}
