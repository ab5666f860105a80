package oci_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// serve starts a TLS registry made of handler and returns its host.
func serve(t testing.TB, handler http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server, strings.TrimPrefix(server.URL, "https://")
}

func open(t testing.TB, server *httptest.Server, opts oci.Options, access importer.Access,
	path string) importer.Repository {
	t.Helper()
	if server.Certificate() != nil {
		opts.RootCAs = append(opts.RootCAs, server.Certificate())
	}
	registry, err := oci.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(server.URL, "://")
	return openAt(t, registry, host+"/"+path, access)
}

// pull asks for org/app:v1.
func pull(t testing.TB, server *httptest.Server, opts oci.Options, access importer.Access) (importer.SentManifest, error) {
	t.Helper()
	return open(t, server, opts, access, "org/app").Manifest(t.Context(), importer.Ref{Tag: "v1"})
}

func pullError(t testing.TB, server *httptest.Server, opts oci.Options, access importer.Access) error {
	t.Helper()
	_, err := pull(t, server, opts, access)
	return err
}

// failer is what tests and properties have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}

func openAt(t failer, registry *oci.Registry, repository string, access importer.Access) importer.Repository {
	t.Helper()
	name, err := reference.ParseNormalizedNamed(repository)
	if err != nil {
		t.Fatal(err)
	}
	r, err := registry.Repository(t.Context(), name, access)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ExampleNew() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		fmt.Fprint(w, `{"schemaVersion":2}`)
	}))
	defer server.Close()
	registry, err := oci.New(oci.Options{RootCAs: []*x509.Certificate{server.Certificate()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	name, _ := reference.ParseNormalizedNamed(strings.TrimPrefix(server.URL, "https://") + "/org/app")
	repository, _ := registry.Repository(ctx, name, importer.Access{})
	m, err := repository.Manifest(ctx, importer.Ref{Tag: "v1"})
	fmt.Println(m.Digest.Encoded()[:12], m.MediaType, err)
	// Output: bafebd36189a application/vnd.oci.image.manifest.v1+json <nil>
}

func failure(t *testing.T, err error) *importer.RegistryError {
	t.Helper()
	var f *importer.RegistryError
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a *importer.RegistryError", err)
	}
	return f
}

func TestFailuresAreWhole(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   importer.RegistryError
	}{
		{"code", 404, nil, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`,
			importer.RegistryError{Class: importer.ClassNotFound, Codes: []string{"MANIFEST_UNKNOWN"},
				Text: "manifest unknown"}},
		{"code of another status", 400, nil, `{"errors":[{"code":"ODD"},{"code":"NAME_UNKNOWN"}]}`,
			importer.RegistryError{Class: importer.ClassNotFound, Codes: []string{"ODD", "NAME_UNKNOWN"}}},
		{"plain", 503, nil, "down\nfor  maintenance\x00",
			importer.RegistryError{Class: importer.ClassUnavailable, Text: "down for maintenance"}},
		{"html", 502, nil, "<html>" + strings.Repeat("x", 2000),
			importer.RegistryError{Class: importer.ClassUnavailable, Text: "<html>" + strings.Repeat("x", 1015) + "..."}},
		{"details", 403, nil, `{"details":"not for you"}`,
			importer.RegistryError{Class: importer.ClassForbidden, Details: "not for you"}},
		{"slow down", 429, map[string]string{"Retry-After": "7"}, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`,
			importer.RegistryError{Class: importer.ClassTooManyRequests, Codes: []string{"TOOMANYREQUESTS"},
				RetryAfter: 7 * time.Second}},
		{"slow down for ever", 429, map[string]string{"Retry-After": "99999999999"}, "",
			importer.RegistryError{Class: importer.ClassTooManyRequests, RetryAfter: 24 * time.Hour}},
		{"basic", 401, map[string]string{"WWW-Authenticate": `Basic realm="x"`}, "",
			importer.RegistryError{Class: importer.ClassUnauthorized, Challenge: "basic"}},
		{"unknown challenge", 401, map[string]string{"WWW-Authenticate": `Negotiate`}, `{"errors":[{"code":"UNAUTHORIZED"}]}`,
			importer.RegistryError{Class: importer.ClassUnauthorized, Challenge: "negotiate", Codes: []string{"UNAUTHORIZED"}}},
		{"method", 405, nil, "", importer.RegistryError{Class: importer.ClassUnsupported}},
		{"teapot", 418, nil, "", importer.RegistryError{Class: importer.ClassInvalid}},
		{"empty answer", 204, nil, "", importer.RegistryError{Class: importer.ClassInvalid}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for key, value := range tc.header {
					w.Header().Set(key, value)
				}
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			_, err := pull(t, server, oci.Options{}, importer.Access{})
			got, want := *failure(t, err), tc.want
			want.Operation, want.Repository, want.Reference = importer.OperationManifest, host+"/org/app", "v1"
			want.StatusCode = tc.status
			got.Err = nil
			if fmt.Sprintf("%+v", &got) != fmt.Sprintf("%+v", &want) || got.RetryAfter != want.RetryAfter ||
				got.Challenge != want.Challenge || got.Class != want.Class {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
		})
	}
}

// tokenServer answers /token and guards everything else with a bearer challenge. It counts what it is asked.
type tokenServer struct {
	challenges, tokens, answers atomic.Int32
	realm                       string // of the challenge; its own /token if empty
	token                       http.HandlerFunc
	next                        http.HandlerFunc
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/token":
		s.tokens.Add(1)
		if s.token != nil {
			s.token(w, r)
			return
		}
		fmt.Fprintf(w, `{"token":%q}`, "token for "+r.URL.Query().Get("scope"))
	case r.Header.Get("Authorization") == "Bearer token for repository:org/app:pull":
		s.answers.Add(1)
		s.next(w, r)
	default:
		s.challenges.Add(1)
		realm := s.realm
		if realm == "" {
			realm = "https://" + r.Host + "/token"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="test",scope="repository:org/app:pull"`,
			realm))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", manifestType)
	fmt.Fprint(w, "{}")
}

func TestOneChallengeAndOneToken(t *testing.T) {
	s := &tokenServer{next: ok}
	server, _ := serve(t, s.ServeHTTP)
	repository := open(t, server, oci.Options{}, importer.Access{}, "org/app")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := repository.Manifest(t.Context(), importer.Ref{Tag: "v1"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.challenges.Load() != 1 || s.tokens.Load() != 1 || s.answers.Load() != 32 {
		t.Errorf("%d challenges, %d tokens, %d answers, want 1, 1 and 32", s.challenges.Load(), s.tokens.Load(),
			s.answers.Load())
	}
}

func TestTokenFailures(t *testing.T) {
	const secret = "s3cret"
	for _, tc := range []struct {
		name  string
		s     *tokenServer
		class importer.Class
		part  string
	}{
		{"refused", &tokenServer{token: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"details":"incorrect username or password"}`)
		}}, importer.ClassUnauthorized, "incorrect username or password"},
		{"down", &tokenServer{token: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
			importer.ClassUnavailable, "HTTP 502"},
		{"no JSON", &tokenServer{token: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }},
			importer.ClassInvalid, "decode"},
		{"realm on plain HTTP", &tokenServer{realm: "http://localhost/token"}, importer.ClassInvalid, "http"},
		{"realm on an internal address", &tokenServer{realm: "https://169.254.169.254/token"}, importer.ClassInvalid,
			"169.254.169.254"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, _ := serve(t, tc.s.ServeHTTP)
			access := importer.Access{Credentials: &importer.Credentials{Username: "deploy", Password: secret}}
			_, err := pull(t, server, oci.Options{}, access)
			f := failure(t, err)
			if f.Operation != importer.OperationToken || f.Class != tc.class || !strings.Contains(f.Error(), tc.part) {
				t.Errorf("got %v, want a token failure of class %s with %q", f, tc.class, tc.part)
			}
			if strings.Contains(f.Error(), secret) ||
				strings.Contains(f.Error(), base64.StdEncoding.EncodeToString([]byte("deploy:"+secret))) {
				t.Errorf("the error tells the password: %v", f)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	var used sync.Map
	server, host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, given := r.BasicAuth()
		used.Store(user+":"+password, true)
		if !given {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		ok(w, r)
	})
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q},"other.example.com":{"auth":"eDp5"}}}`, host,
		base64.StdEncoding.EncodeToString([]byte("file:pw1")))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := oci.DockerConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		opts  oci.Options
		given *importer.Credentials
		want  string // "" fails
	}{
		{"of the file", oci.Options{Credentials: fromFile}, nil, "file:pw1"},
		{"of the access", oci.Options{Credentials: fromFile}, &importer.Credentials{Username: "access", Password: "pw2"},
			"access:pw2"},
		{"anonymous on purpose", oci.Options{Credentials: fromFile}, &importer.Credentials{}, ""},
		{"none", oci.Options{}, nil, ""},
	} {
		used.Clear()
		_, err := pull(t, server, tc.opts, importer.Access{Credentials: tc.given})
		if tc.want == "" {
			if f := failure(t, err); f.Class != importer.ClassUnauthorized || f.Challenge != "basic" || f.StatusCode != 401 {
				t.Errorf("%s: %v", tc.name, f)
			}
			continue
		}
		if _, seen := used.Load(tc.want); err != nil || !seen {
			t.Errorf("%s: %v, and %s was not used", tc.name, err, tc.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	var leaked atomic.Bool
	blob := "blob"
	other, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		fmt.Fprint(w, blob)
	})
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, blob) }))
	defer plain.Close()
	target := ""
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	})
	access := importer.Access{Credentials: &importer.Credentials{Username: "u", Password: "p"}}
	ask := func(to string) error {
		target = to
		repository := open(t, server, oci.Options{RootCAs: []*x509.Certificate{other.Certificate()}}, access, "org/app")
		_, err := repository.Blob(t.Context(), digest.FromString(blob), 100)
		return err
	}
	if err := ask(other.URL + "/storage?signature=abc"); err != nil || leaked.Load() {
		t.Errorf("a blob from storage: %v, credentials leaked: %v", err, leaked.Load())
	}
	if err := ask(plain.URL); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("a redirect to plain HTTP: %v", err)
	}
	err := ask(server.URL + "/v2/loop?signature=abc")
	if err == nil || !strings.Contains(err.Error(), "5 redirects") || strings.Contains(err.Error(), "signature") {
		t.Errorf("a redirect loop: %v", err)
	}
}

func TestWhatIsSentMustBeTrue(t *testing.T) {
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Content-Digest", "nonsense")
		switch {
		case strings.HasSuffix(r.URL.Path, "/manifests/endless"):
			for range 5000 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		case strings.HasSuffix(r.URL.Path, "/manifests/cut"):
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "short")
		default:
			fmt.Fprint(w, "something else")
		}
	})
	repository := open(t, server, oci.Options{}, importer.Access{}, "org/app")
	want := digest.FromString("what was asked for")
	for name, ask := range map[string]func() error{
		"manifest": func() error { _, err := repository.Manifest(t.Context(), importer.Ref{Digest: want}); return err },
		"blob":     func() error { _, err := repository.Blob(t.Context(), want, 100); return err },
		"endless":  func() error { _, err := repository.Manifest(t.Context(), importer.Ref{Tag: "endless"}); return err },
		"no digest": func() error {
			_, err := repository.Blob(t.Context(), "sha256:1f", 100)
			return err
		},
	} {
		if f := failure(t, ask()); f.Class != importer.ClassInvalid {
			t.Errorf("%s: %v, want class invalid", name, f)
		}
	}
	_, err := repository.Manifest(t.Context(), importer.Ref{Tag: "cut"})
	if f := failure(t, err); f.Class != importer.ClassUnavailable {
		t.Errorf("an answer that breaks off: %v", f)
	}
	if d, err := repository.Head(t.Context(), importer.Ref{Tag: "v1"}); err != nil || d.Digest != "" {
		t.Errorf("a digest header that is none gives %+v, %v", d, err)
	}
}

func TestTagPages(t *testing.T) {
	link := func(w http.ResponseWriter, to string) { w.Header().Set("Link", "<"+to+`>; rel="next"`) }
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last := r.URL.Query().Get("last")
		switch path := strings.TrimPrefix(r.URL.Path, "/v2/"); {
		case strings.HasPrefix(path, "pages/") && last == "":
			link(w, "/v2/pages/tags/list?last=b&n=2")
			fmt.Fprint(w, `{"tags":["a","b"]}`)
		case strings.HasPrefix(path, "pages/"):
			fmt.Fprint(w, `{"tags":["c"]}`)
		case strings.HasPrefix(path, "loop/"):
			link(w, "?last=x")
			fmt.Fprint(w, `{"tags":["a"]}`)
		case strings.HasPrefix(path, "away/"):
			link(w, "https://evil.example.com/v2/away/tags/list")
			fmt.Fprint(w, `{"tags":["a"]}`)
		case strings.HasPrefix(path, "null/"):
			fmt.Fprint(w, `{"name":"null","tags":null}`)
		case strings.HasPrefix(path, "text/"):
			fmt.Fprint(w, `hello`)
		}
	})
	for path, want := range map[string]string{
		"pages": "a b c", "null": "", "loop": "a a invalid", "away": "a a invalid", "text": "invalid", "many": "invalid",
	} {
		opts := oci.Options{}
		if path == "many" {
			path, opts.MaxTags = "pages", 1
		}
		var got []string
		for tag, err := range open(t, server, opts, importer.Access{}, path).Tags(t.Context()) {
			if err != nil {
				tag = string(failure(t, err).Class)
			}
			got = append(got, tag)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s (at most %d tags): %q, want %q", path, opts.MaxTags, got, want)
		}
	}
}

func TestInsecureOnlyWhenAsked(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(ok))
	defer plain.Close()
	selfSigned := httptest.NewTLSServer(http.HandlerFunc(ok))
	defer selfSigned.Close()
	for name, server := range map[string]*httptest.Server{"plain HTTP": plain, "self-signed": selfSigned} {
		for _, insecure := range []bool{false, true} {
			registry, err := oci.New(oci.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, host, _ := strings.Cut(server.URL, "://")
			named, err := reference.ParseNormalizedNamed(host + "/org/app")
			if err != nil {
				t.Fatal(err)
			}
			repository, err := registry.Repository(t.Context(), named, importer.Access{Insecure: insecure})
			if err != nil {
				t.Fatal(err)
			}
			_, err = repository.Manifest(t.Context(), importer.Ref{Tag: "v1"})
			if (err == nil) != insecure {
				t.Errorf("%s, insecure %v: %v", name, insecure, err)
			}
			if !insecure && failure(t, err).Class != importer.ClassUnavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUserAgentAndAccept(t *testing.T) {
	var agents, accepts []string
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		agents = append(agents, r.UserAgent())
		accepts = append(accepts, r.Header.Get("Accept"))
		ok(w, r)
	})
	repository := open(t, server, oci.Options{UserAgent: "mine/1"}, importer.Access{}, "org/app")
	if _, err := repository.Manifest(t.Context(), importer.Ref{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(agents, []string{"mine/1"}) || !strings.Contains(accepts[0], manifestType) ||
		!strings.Contains(accepts[0], "manifest.list.v2+json") {
		t.Errorf("agents %q, accept %q", agents, accepts)
	}
}
