package oci_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/registrytest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/vectors"
)

// inMemory sends requests to the hosts of a fakes.Registry, with the transports that the hosts have: TLS or none, and a
// certificate that is trusted or not.
type inMemory struct {
	registry *fakes.Registry
	hosts    map[string]*fakes.Host
	insecure bool
}

func (m inMemory) RoundTrip(req *http.Request) (answer *http.Response, err error) {
	host, ok := m.hosts[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("lookup %s: no such host", req.URL.Host)
	}
	switch scheme := host.Scheme; {
	case req.URL.Scheme == "https" && scheme == "http":
		return nil, errors.New("http: server gave HTTP response to HTTPS client")
	case req.URL.Scheme == "https" && host.SelfSigned && !m.insecure:
		return nil, errors.New("tls: failed to verify certificate")
	case req.URL.Scheme == "http" && scheme != "http":
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	}
	defer func() {
		if recover() != nil {
			answer, err = nil, errors.New("connection refused")
		}
	}()
	recorder := httptest.NewRecorder()
	served := req.Clone(req.Context())
	served.Host = req.URL.Host
	if req.URL.Scheme == "https" {
		served.TLS = &tls.ConnectionState{}
	}
	m.registry.Handler(req.URL.Host).ServeHTTP(recorder, served)
	answer = recorder.Result()
	answer.Request = req
	return answer, nil
}

// TestLikeTheFake asks the registries of the import vectors, with their faults, through HTTP and in memory: all that
// an import may ask, with right, wrong and no credentials. Answers must be the same, and failures the same status of
// an import.
func TestLikeTheFake(t *testing.T) {
	cases := 0
	for c, err := range vectors.All(os.DirFS("../../internal/vectors/check/testdata")) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Op != "import.run" {
			continue
		}
		var in struct {
			Registry struct{ Hosts json.RawMessage }
			Faults   []fakes.Fault
		}
		if err := json.Unmarshal(c.In, &in); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(in.Faults, func(f fakes.Fault) bool { return f.Kind == "ping" || f.Kind == "" }) {
			continue // this client makes no ping
		}
		if len(in.Faults) > 0 && bytes.Contains(in.Registry.Hosts, []byte(`"auth"`)) {
			continue // it asks without credentials first, and meets the fault before anybody asks for them
		}
		cases++
		for _, insecure := range []bool{false, true} {
			for _, credentials := range []importer.Credentials{{}, {Username: "bob", Password: "secret"}, {Username: "bob", Password: "wrong"}} {
				access := importer.Access{Insecure: insecure, Credentials: &credentials}
				want := answers(t, in.Registry.Hosts, in.Faults, access, func(r *fakes.Registry, _ map[string]*fakes.Host) importer.Registry { return r })
				got := answers(t, in.Registry.Hosts, in.Faults, access, func(r *fakes.Registry, hosts map[string]*fakes.Host) importer.Registry {
					client, err := oci.New(oci.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return inMemory{r, hosts, insecure} }})
					if err != nil {
						t.Fatal(err)
					}
					return client
				})
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("%s (%s), insecure %v, %v:\n got  %s\n want %s", c.ID, c.Note, insecure, credentials, got[i], want[i])
					}
				}
			}
		}
	}
	if cases < 380 {
		t.Errorf("%d cases", cases)
	}
}

// answers asks a registry all that there is to ask of it, and describes the answers.
func answers(t *testing.T, raw json.RawMessage, faults []fakes.Fault, access importer.Access, open func(*fakes.Registry, map[string]*fakes.Host) importer.Registry) (list []string) {
	t.Helper()
	var hosts map[string]*fakes.Host
	if err := json.Unmarshal(raw, &hosts); err != nil {
		t.Fatal(err)
	}
	registry := &fakes.Registry{}
	for name, host := range hosts {
		registry.EditHost(name, func(h *fakes.Host) { *h = *host })
	}
	registry.SetFaults(faults...)
	client := open(registry, hosts)
	note := func(question string, value any, err error) {
		if err != nil {
			list = append(list, fmt.Sprintf("%s: %s", question, importer.StatusOf(err).Reason))
			return
		}
		list = append(list, fmt.Sprintf("%s: %s", question, value))
	}
	for _, host := range sortedKeys(hosts) {
		paths := append(sortedKeys(hosts[host].Repositories), "no/such")
		for _, path := range paths {
			spelled := host
			if host == "registry-1.docker.io" {
				spelled = "docker.io"
			}
			name, err := reference.ParseNamed(spelled + "/" + path)
			if err != nil {
				continue
			}
			ask := func(question string, do func(ctx context.Context, r importer.Repository) (any, error)) {
				repository, err := client.Repository(t.Context(), name, access)
				if err != nil {
					t.Fatal(err)
				}
				value, err := do(t.Context(), repository)
				note(name.Name()+" "+question, value, err)
			}
			ask("tags", func(ctx context.Context, r importer.Repository) (any, error) {
				var tags []string
				for tag, err := range r.Tags(ctx) {
					if err != nil {
						return nil, err
					}
					tags = append(tags, tag)
				}
				return tags, nil
			})
			refs := []importer.Ref{{Tag: "nowhere"}, {Digest: digest.FromString("nothing")}}
			repository := hosts[host].Repositories[path]
			if repository == nil {
				repository = &fakes.Repository{}
			}
			for _, tag := range sortedKeys(repository.Tags) {
				refs = append(refs, importer.Ref{Tag: tag})
			}
			for _, d := range sortedKeys(repository.Manifests) {
				refs = append(refs, importer.Ref{Digest: d})
			}
			for _, ref := range refs {
				ask("manifest "+ref.String(), func(ctx context.Context, r importer.Repository) (any, error) {
					m, err := r.Manifest(ctx, ref)
					return m.MediaType + " " + string(m.Bytes), err
				})
			}
			for _, d := range sortedKeys(repository.Blobs) {
				ask("blob "+d.String(), func(ctx context.Context, r importer.Repository) (any, error) { return r.Blob(ctx, d, 1<<20) })
			}
			for _, d := range sortedKeys(repository.BlobSizes) {
				ask("size "+d.String(), func(ctx context.Context, r importer.Repository) (any, error) { return r.BlobSize(ctx, d) })
			}
		}
	}
	return list
}

func sortedKeys[M ~map[K]V, K ~string, V any](m M) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// TestOnTheFake runs the suite of registries on a server of the fake, over TLS, with pages and tokens.
func TestOnTheFake(t *testing.T) {
	for name, auth := range map[string]*fakes.Auth{
		"open": nil, "basic": {Type: "basic", Users: map[string]string{"bob": "secret"}}, "bearer": {Type: "bearer", Users: map[string]string{"bob": "secret"}, Private: []string{"org/app"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := func(t *testing.T, contents fakes.Contents) registrytest.Subject {
				registry := &fakes.Registry{}
				registry.EditHost("fake", func(h *fakes.Host) { h.Repositories, h.Auth, h.TagsPageSize = contents, auth, 50 })
				server := httptest.NewTLSServer(registry.Handler("fake"))
				t.Cleanup(server.Close)
				bob := importer.Credentials{Username: "bob", Password: "secret"}
				client, err := oci.New(oci.Options{RootCAs: []*x509.Certificate{server.Certificate()}, Credentials: func(context.Context, string) (importer.Credentials, error) {
					return bob, nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				return registrytest.Subject{
					Registry: client, Host: server.Listener.Addr().String(), Access: importer.Access{Credentials: &bob},
					Push: func(_ *testing.T, more fakes.Contents) { registry.Edit("fake", func(c fakes.Contents) { c.Add(more) }) },
				}
			}
			registrytest.Run(t, start)
			t.Run("Imports", func(t *testing.T) { registrytest.RunImports(t, start) })
		})
	}
}
