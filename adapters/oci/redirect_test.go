package oci_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

// questions are all that a repository can be asked.
var questions = map[string]func(t *testing.T, r importer.Repository) error{
	"head": func(t *testing.T, r importer.Repository) error {
		_, err := r.Head(t.Context(), importer.Ref{Tag: "v1"})
		return err
	},
	"manifest": func(t *testing.T, r importer.Repository) error {
		_, err := r.Manifest(t.Context(), importer.Ref{Tag: "v1"})
		return err
	},
	"blob": func(t *testing.T, r importer.Repository) error {
		_, err := r.Blob(t.Context(), digest.FromString("internal secret"), 100)
		return err
	},
	"blob size": func(t *testing.T, r importer.Repository) error {
		_, err := r.BlobSize(t.Context(), digest.FromString("x"))
		return err
	},
	"tags": func(t *testing.T, r importer.Repository) error {
		for _, err := range r.Tags(t.Context()) {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// TestRedirectsToInternalAddresses asks nothing there, neither by address nor by name, and tells nothing of it.
func TestRedirectsToInternalAddresses(t *testing.T) {
	var asked atomic.Int32
	victim := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, "internal secret")
	}))
	defer victim.Close()
	_, port, err := net.SplitHostPort(victim.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"https://localhost:" + port, "https://127.0.0.2:" + port, "https://169.254.169.254", "https://10.1.2.3",
		"https://[::1]:" + port, "https://[::ffff:127.0.0.1]:" + port, "https://[64:ff9b::7f00:1]:" +
			port, "https://0.0.0.0:" + port,
		"https://[fd00:ec2::254]/latest", "https://user:pw@100.100.100.200/",
	} {
		for name, ask := range questions {
			server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", target+"/latest/meta-data?signature=abc")
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
			f := failure(t, ask(t, open(t, server, oci.Options{}, importer.Access{Insecure: true}, "org/app")))
			if f.Class != importer.ClassForbidden || f.IsTemporary() ||
				!strings.Contains(f.Error(), "internal address (Options.RedirectHosts") {
				t.Errorf("%s to %s: %v", name, target, f)
			}
			if strings.Contains(f.Error(), "secret") || strings.Contains(f.Error(), "signature") ||
				strings.Contains(f.Error(), "pw") {
				t.Errorf("%s to %s tells: %v", name, target, f)
			}
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the victim was asked %d times", asked.Load())
	}
}

// TestAllowedRedirects go where the options, or the registry's own host, allow them; tokens do not.
func TestAllowedRedirects(t *testing.T) {
	other, otherHost := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s was shown credentials", r.Host)
		}
		ok(w, r)
	})
	_, port, _ := strings.Cut(otherHost, ":")
	for target, opts := range map[string]oci.Options{
		other.URL:                   {},
		"https://localhost:" + port: {RedirectHosts: []string{"localhost"}},
		"https://LOCALHOST:" + port: {RedirectHosts: []string{"localhost:" + port}},
	} {
		g := &guarded{challenges: []string{`Basic realm="x"`}}
		server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				g.ServeHTTP(w, r)
				return
			}
			http.Redirect(w, r, target+"/storage", http.StatusFound)
		})
		access := importer.Access{Insecure: true, Credentials: &importer.Credentials{Username: "u", Password: "p"}}
		if err := pullError(t, server, opts, access); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestCredentialsStayAway sends credentials to no other server, nor back to the registry from another one.
func TestCredentialsStayAway(t *testing.T) {
	var back string
	var seen []string
	note := func(r *http.Request) { seen = append(seen, r.URL.Path+" "+r.Header.Get("Authorization")) }
	other, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		http.Redirect(w, r, back, http.StatusTemporaryRedirect)
	})
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		switch {
		case r.URL.Path == "/back":
			ok(w, r)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v2/moved":
			http.Redirect(w, r, other.URL+"/away", http.StatusPermanentRedirect)
		default:
			http.Redirect(w, r, "/v2/moved", http.StatusMovedPermanently)
		}
	})
	back = server.URL + "/back"
	opts := oci.Options{RootCAs: []*x509.Certificate{other.Certificate()}}
	access := importer.Access{Credentials: &importer.Credentials{Username: "u", Password: "p"}}
	if err := pullError(t, server, opts, access); err != nil {
		t.Fatal(err)
	}
	basic := basicOf("u", "p")
	want := []string{"/v2/org/app/manifests/v1 ", "/v2/org/app/manifests/v1 " + basic, "/v2/moved " + basic, "/away ",
		"/back "}
	if !slices.Equal(seen, want) {
		t.Errorf("asked %q\nwant  %q", seen, want)
	}
}

// TestPooledConnectionsAreChecked leads to a server that the client has a connection to already, as a registry of its
// own.
func TestPooledConnectionsAreChecked(t *testing.T) {
	_, victimHost := serve(t, ok)
	_, port, _ := strings.Cut(victimHost, ":")
	target := "https://localhost:" + port
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target+"/x", http.StatusTemporaryRedirect)
	})
	registry, err := oci.New(oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host string) error {
		return questions["manifest"](t, openAt(t, registry, host+"/org/app", importer.Access{Insecure: true}))
	}
	if err := ask("localhost:" + port); err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(server.URL, "://")
	if f := failure(t, ask(host)); f.Class != importer.ClassForbidden {
		t.Errorf("%v", f)
	}
}

// TestRefusedRedirectsAreNotTemporary: asking again would not help.
func TestRefusedRedirectsAreNotTemporary(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(ok))
	defer plain.Close()
	for name, tc := range map[string]struct {
		target string
		class  importer.Class
		part   string
	}{
		"to plain HTTP":  {plain.URL + "/x?signature=abc", importer.ClassForbidden, "https to http"},
		"to a file":      {"file:///etc/passwd", importer.ClassForbidden, "https to file"},
		"to itself":      {"", importer.ClassInvalid, "5 redirects"},
		"to nothing":     {"https://%zz", importer.ClassInvalid, "not a URL"},
		"without a host": {"https:///x", importer.ClassForbidden, "no host"},
	} {
		server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			target := tc.target
			if target == "" {
				target = r.URL.String()
			}
			w.Header().Set("Location", target)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		f := failure(t, questions["blob"](t, open(t, server, oci.Options{}, importer.Access{}, "org/app")))
		if f.Class != tc.class || f.IsTemporary() || !strings.Contains(f.Error(), tc.part) ||
			strings.Contains(f.Error(), "signature") {
			t.Errorf("%s: %v", name, f)
		}
	}
}

// TestTokenRequestsAreNotLedAway: neither a token request by GET, to an internal address, nor one by POST, to anywhere.
func TestTokenRequestsAreNotLedAway(t *testing.T) {
	for name, c := range map[string]importer.Credentials{"GET": {Username: "u", Password: "p"},
		"POST": {IdentityToken: "it"}} {
		g := &guarded{challenges: []string{`Bearer realm="https://HOST/token"`},
			token: func(w http.ResponseWriter, r *http.Request) {
				to := "https://10.0.0.1/"
				if r.Method == http.MethodPost {
					to = "/elsewhere"
				}
				http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			}}
		server, _ := serve(t, g.ServeHTTP)
		f := failure(t, pullError(t, server, oci.Options{}, importer.Access{Credentials: &c}))
		if f.Operation != importer.OperationToken || f.Class != importer.ClassInvalid || len(g.asked) != 1 {
			t.Errorf("%s: %v, asked %q", name, f, g.asked)
		}
	}
}

// TestLinksStayOnTheHost keeps asking where the first page was, whatever scheme and host a proxy writes.
func TestLinksStayOnTheHost(t *testing.T) {
	for name, links := range map[string][]string{
		"relative":              {`</v2/org/app/tags/list?last=a>; rel="next"`},
		"query alone":           {`<?last=a>; rel="next"`},
		"plain HTTP":            {`<http://HOST/v2/org/app/tags/list?last=a>; rel="next"`},
		"the port of a proxy":   {`<https://registry.internal:443/v2/org/app/tags/list?last=a>; rel="next"`},
		"no quotation marks":    {`</v2/org/app/tags/list?last=a>;rel=next`},
		"capitals":              {`</v2/org/app/tags/list?last=a>; REL="Next"`},
		"several relations":     {`</v2/org/app/tags/list?last=a>; rel="last next"; title="a, b; c"`},
		"behind others":         {`</first>; rel="first", </prev>; rel=prev; x, </v2/org/app/tags/list?last=a>; t=x; rel="next"`},
		"in another header":     {`</first>; rel="first"`, `</v2/org/app/tags/list?last=a>; rel="next"`},
		"a comma in the target": {`</v2/org/app/tags/list?last=a&x=1,2>; rel="next"`},
	} {
		var asked []string
		server, host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.String())
			if r.URL.Query().Get("last") == "a" {
				fmt.Fprint(w, `{"tags":["b"]}`)
				return
			}
			for _, link := range links {
				w.Header().Add("Link", strings.ReplaceAll(link, "HOST", r.Host))
			}
			fmt.Fprint(w, `{"tags":["a"]}`)
		})
		got, err := tagsOf(t, open(t, server, oci.Options{}, importer.Access{}, "org/app"))
		if err != nil || !slices.Equal(got, []string{"a", "b"}) || len(asked) != 2 {
			t.Errorf("%s on %s: %q, %v, asked %q", name, host, got, err, asked)
		}
	}
	for name, link := range map[string]string{
		"no relation": "</x>", "another": `</x>; rel="prev"`, "a word of it": `</x>; rel="nextish"`,
		"in the title":        `</x>; title="rel=next"`,
		"the second relation": `</x>; rel=prev; rel=next`, "not a link": "next", "not closed": "</x; rel=next",
		"of an anchor": `</x>; anchor="next"`,
	} {
		server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/x" {
				t.Errorf("%s: followed", name)
			}
			w.Header().Set("Link", link)
			fmt.Fprint(w, `{"tags":["a"]}`)
		})
		if got, err := tagsOf(t, open(t, server, oci.Options{}, importer.Access{}, "org/app")); err != nil || len(got) != 1 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func tagsOf(t *testing.T, r importer.Repository) (tags []string, err error) {
	for tag, err := range r.Tags(t.Context()) {
		if err != nil {
			return tags, err
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// TestPlainHTTPWithoutInsecure says what it is.
func TestPlainHTTPWithoutInsecure(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(ok))
	defer plain.Close()
	f := failure(t, questions["manifest"](t, open(t, plain, oci.Options{}, importer.Access{}, "org/app")))
	if f.Class != importer.ClassUnavailable || !strings.Contains(f.Error(), "HTTP response to an HTTPS client") ||
		errors.Unwrap(f) == nil {
		t.Errorf("%v", f)
	}
}
