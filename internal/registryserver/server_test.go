package registryserver_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/registrytest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

func start(t *testing.T, auth bool, contents fakes.Contents) *registryserver.Server {
	t.Helper()
	return startWith(t, registryserver.Options{Auth: auth}, contents)
}

func startWith(t *testing.T, opts registryserver.Options, contents fakes.Contents) *registryserver.Server {
	t.Helper()
	opts.Dir, opts.Users = t.TempDir(), map[string]string{"deploy": "s3cret"}
	server, err := registryserver.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := server.Push(t.Context(), contents); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestAdapter runs the suites for registries and imports on adapters/oci and a real registry.
func TestAdapter(t *testing.T) {
	for name, auth := range map[string]bool{"open": false, "token": true} {
		t.Run(name, func(t *testing.T) {
			subject := func(t *testing.T, contents fakes.Contents) registrytest.Subject {
				server := start(t, auth, contents)
				registry, err := oci.New(oci.Options{RootCAs: []*x509.Certificate{server.CA}})
				if err != nil {
					t.Fatal(err)
				}
				return registrytest.Subject{Registry: registry, Host: server.Host, Push: func(t *testing.T, more fakes.Contents) {
					if err := server.Push(t.Context(), more); err != nil {
						t.Fatal(err)
					}
				}}
			}
			registrytest.Run(t, subject)
			t.Run("Imports", func(t *testing.T) { registrytest.RunImports(t, subject) })
		})
	}
}

// counter counts requests by their path, tokens apart.
type counter struct {
	next             http.RoundTripper
	requests, tokens atomic.Int32
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/token" {
		c.tokens.Add(1)
	} else {
		c.requests.Add(1)
	}
	return c.next.RoundTrip(r)
}

func TestPrivateRepository(t *testing.T) {
	contents := fakes.Contents{}
	contents.Push("private/app", fakes.Image{Layer: "secret"}, "v1")
	server := start(t, true, contents)
	count := &counter{}
	registry, err := oci.New(oci.Options{RootCAs: []*x509.Certificate{server.CA},
		Wrap: func(next http.RoundTripper) http.RoundTripper {
			count.next = next
			return count
		}})
	if err != nil {
		t.Fatal(err)
	}
	name, err := reference.ParseNormalizedNamed(server.Host + "/private/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		credentials importer.Credentials
		op          importer.Operation // of the failure; "" for none
	}{
		{importer.Credentials{}, importer.OperationManifest},
		{importer.Credentials{Username: "deploy", Password: "wrong"}, importer.OperationToken},
		{importer.Credentials{Username: "deploy", Password: "s3cret"}, ""},
	} {
		repository, err := registry.Repository(t.Context(), name, importer.Access{Credentials: &tc.credentials})
		if err != nil {
			t.Fatal(err)
		}
		_, err = repository.Manifest(t.Context(), importer.Ref{Tag: "v1"})
		if tc.op == "" {
			if err != nil {
				t.Errorf("%v: %v", tc.credentials, err)
			}
			continue
		}
		var failure *importer.RegistryError
		if !errors.As(err, &failure) || failure.Operation != tc.op || failure.Class != importer.ClassUnauthorized ||
			importer.StatusOf(err).Reason != "Unauthorized" || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%v: %v, want an unauthorized %s", tc.credentials, err, tc.op)
		}
	}
	if count.tokens.Load() != 3 || count.requests.Load() != 5 {
		t.Errorf("%d tokens and %d other requests, want 3 and 5", count.tokens.Load(), count.requests.Load())
	}
}

// TestTokenServers asks a real registry whose token server is below /v2/, and one whose token server is on another
// host.
func TestTokenServers(t *testing.T) {
	contents := fakes.Contents{}
	contents.Push("private/app", fakes.Image{Layer: "secret"}, "v1")
	ask := func(server *registryserver.Server, opts oci.Options, password string) error {
		opts.RootCAs = []*x509.Certificate{server.CA}
		registry, err := oci.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		name, err := reference.ParseNormalizedNamed(server.Host + "/private/app")
		if err != nil {
			t.Fatal(err)
		}
		credentials := importer.Credentials{Username: "deploy", Password: password}
		repository, err := registry.Repository(t.Context(), name, importer.Access{Credentials: &credentials})
		if err != nil {
			t.Fatal(err)
		}
		_, err = repository.Manifest(t.Context(), importer.Ref{Tag: "v1"})
		return err
	}
	var failure *importer.RegistryError
	for _, path := range []string{"/v2/auth", "/v2/token", "/jwt/auth"} {
		server := startWith(t, registryserver.Options{Auth: true, TokenPath: path}, contents)
		if err := ask(server, oci.Options{}, "s3cret"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		err := ask(server, oci.Options{}, "wrong")
		if !errors.As(err, &failure) || failure.Operation != importer.OperationToken ||
			failure.StatusCode != http.StatusUnauthorized ||
			!failure.WrongPassword || importer.StatusOf(err).Reason != "Unauthorized" {
			t.Errorf("%s: %v", path, err)
		}
	}
	server := startWith(t, registryserver.Options{Auth: true, TokenHost: "localhost"}, contents)
	err := ask(server, oci.Options{}, "s3cret")
	if !errors.As(err, &failure) || failure.Operation != importer.OperationToken ||
		!strings.Contains(err.Error(), "TokenHosts") {
		t.Errorf("another host by default: %v", err)
	}
	if err := ask(server, oci.Options{TokenHosts: []string{"localhost"}}, "s3cret"); err != nil {
		t.Errorf("another host that is allowed: %v", err)
	}
}
