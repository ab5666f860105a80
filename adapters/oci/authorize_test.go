package oci_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

// guarded is a registry that wants one of its keys, and says so with its challenges. It remembers what it was shown.
type guarded struct {
	challenges []string // "HOST" stands for its own
	status     int      // of a refusal; 0 is 401
	keys       []string // whole values of Authorization
	token      http.HandlerFunc

	mu    sync.Mutex
	shown []string // by requests of the repository
	asked []string // token requests: method, Authorization, query or form
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	authorization := r.Header.Get("Authorization")
	if !strings.HasPrefix(r.URL.Path, "/v2/org/") {
		_ = r.ParseForm()
		g.asked = append(g.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, authorization, r.Form.Encode())))
		if g.token == nil {
			fmt.Fprintf(w, `{"token":"t%d"}`, len(g.asked))
			return
		}
		g.token(w, r)
		return
	}
	g.shown = append(g.shown, authorization)
	if slices.Contains(g.keys, authorization) {
		ok(w, r)
		return
	}
	if g.status != 0 && authorization != "" {
		w.WriteHeader(g.status)
		return
	}
	for _, c := range g.challenges {
		w.Header().Add("WWW-Authenticate", strings.ReplaceAll(c, "HOST", r.Host))
	}
	w.WriteHeader(http.StatusUnauthorized)
}

func basicOf(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestChallenges answers the challenge that can be answered, whichever header it stands in and in whatever case.
func TestChallenges(t *testing.T) {
	bob := importer.Credentials{Username: "bob", Password: "hunter2"}
	basic := basicOf("bob", "hunter2")
	const realm = `realm="https://HOST/token",service="s",scope="repository:org/app:pull"`
	for _, tc := range []struct {
		name       string
		challenges []string
		c          importer.Credentials
		key        string // that opens, "" if nothing is to
		challenge  string // of the failure
	}{
		{"basic behind another, one header", []string{`Negotiate, Basic realm="x"`}, bob, basic, ""},
		{"basic behind others, several headers", []string{"Negotiate", "NTLM TlRM=", `BASIC Realm="x"`}, bob, basic, ""},
		{"bearer before basic", []string{`Basic realm="x", Bearer ` + realm}, bob, "Bearer t1", ""},
		{"bearer before basic, several headers", []string{`Basic realm="x"`, "bearer " + realm}, bob, "Bearer t1", ""},
		{"bearer for nobody", []string{`Basic realm="x"`, "Bearer " + realm}, importer.Credentials{}, "Bearer t1", ""},
		{"capitals, no quotation marks", []string{"BEARER REALM=https://HOST/token,SERVICE=s"}, bob, "Bearer t1", ""},
		{"basic where the realm is refused", []string{`Bearer realm="https://169.254.169.254/t", Basic realm="x"`}, bob,
			basic, ""},
		{"the second token server", []string{`Bearer realm="https://10.0.0.1/t", Bearer ` + realm}, bob, "Bearer t1", ""},
		{"a password of somebody without a name", []string{"Basic"}, importer.Credentials{Password: "x"}, basicOf("", "x"),
			""},
		{"an identity token", []string{"Bearer " + realm}, importer.Credentials{IdentityToken: "it"}, "Bearer t1", ""},
		{"a ready token", []string{`Bearer realm="https://10.0.0.1/t"`}, importer.Credentials{RegistryToken: "rt"},
			"Bearer rt", ""},
		{"a ready token, no realm", []string{"Bearer"}, importer.Credentials{RegistryToken: "rt"}, "Bearer rt", ""},
		{"only what nobody can", []string{"Negotiate", "NTLM"}, bob, "", "negotiate"},
		{"basic for nobody", []string{`Negotiate, Basic realm="x"`}, importer.Credentials{}, "", "basic"},
		{"a wrong password", []string{`Negotiate, Basic realm="x"`}, importer.Credentials{Username: "eve", Password: "x"},
			"", "basic"},
		{"none", nil, bob, "", ""},
	} {
		g := &guarded{challenges: tc.challenges, keys: []string{tc.key}}
		if tc.key == "" {
			g.keys = nil
		}
		server, _ := serve(t, g.ServeHTTP)
		_, err := pull(t, server, oci.Options{}, importer.Access{Credentials: &tc.c})
		if tc.key != "" {
			if err != nil {
				t.Errorf("%s: %v, shown %q", tc.name, err, g.shown)
			}
			continue
		}
		if f := failure(t, err); f.Class != importer.ClassUnauthorized || f.StatusCode != 401 || f.Challenge != tc.challenge {
			t.Errorf("%s: %v, challenge %q; want unauthorized, challenge %q", tc.name, f, f.Challenge, tc.challenge)
		}
	}
}

// TestTokenRequests asks token servers as they want to be asked.
func TestTokenRequests(t *testing.T) {
	for _, tc := range []struct {
		name, params string
		c            importer.Credentials
		want         string
	}{
		{"anonymous", `service="a b",scope="repository:org/app:pull"`, importer.Credentials{},
			"GET  scope=repository%3Aorg%2Fapp%3Apull&service=a+b"},
		{"a user", `service="s"`, importer.Credentials{Username: "u", Password: "p"},
			"GET " + basicOf("u", "p") + " scope=repository%3Aorg%2Fapp%3Apull&service=s"},
		{"several scopes", `scope="repository:org/app:pull,push repository:other:pull"`, importer.Credentials{},
			"GET  scope=repository%3Aorg%2Fapp%3Apull%2Cpush&scope=repository%3Aother%3Apull"},
		{"another scope", `scope="registry:catalog:*"`, importer.Credentials{},
			"GET  scope=registry%3Acatalog%3A%2A&scope=repository%3Aorg%2Fapp%3Apull"},
		{"a huge scope", `scope="` + strings.Repeat("x", 5000) + `"`, importer.Credentials{},
			"GET  scope=repository%3Aorg%2Fapp%3Apull"},
		{"an identity token", `service="s"`, importer.Credentials{Username: "0000", IdentityToken: "it"},
			"POST  client_id=imagestreams&grant_type=refresh_token&refresh_token=it" +
				"&scope=repository%3Aorg%2Fapp%3Apull&service=s"},
	} {
		g := &guarded{challenges: []string{`Bearer realm="https://HOST/v2/auth",` + tc.params}, keys: []string{"Bearer t1"}}
		server, _ := serve(t, g.ServeHTTP)
		_, err := pull(t, server, oci.Options{}, importer.Access{Credentials: &tc.c})
		if err != nil || len(g.asked) != 1 || g.asked[0] != tc.want {
			t.Errorf("%s: %v\n asked %q\n want  %q", tc.name, err, g.asked, tc.want)
		}
	}
}

// TestTokenServersBelowV2 fail with what they really said, wherever they are.
func TestTokenServersBelowV2(t *testing.T) {
	for _, path := range []string{"/v2/auth", "/v2/token", "/token", "/jwt/auth", "/v2/"} {
		for status, class := range map[int]importer.Class{
			401: importer.ClassUnauthorized, 403: importer.ClassForbidden, 429: importer.ClassTooManyRequests,
			500: importer.ClassUnavailable, 503: importer.ClassUnavailable, 404: importer.ClassNotFound,
			302: importer.ClassInvalid,
		} {
			g := &guarded{challenges: []string{`Bearer realm="https://HOST` + path + `"`},
				token: func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "7")
					w.WriteHeader(status)
					fmt.Fprint(w, `{"details":"so it is"}`)
				}}
			server, _ := serve(t, g.ServeHTTP)
			_, err := pull(t, server, oci.Options{}, importer.Access{})
			f := failure(t, err)
			temporary := status == 429 || status >= 500
			if f.Operation != importer.OperationToken || f.Class != class || f.StatusCode != status ||
				f.RetryAfter != 7*time.Second ||
				f.Details != "so it is" || f.IsTemporary() != temporary || f.Reference != "v1" {
				t.Errorf("%s, %d: %#v", path, status, f)
			}
		}
	}
}

// TestBadTokens are not used.
func TestBadTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		body, part string
		class      importer.Class
	}{
		"no token":   {`{}`, "no token", importer.ClassInvalid},
		"not JSON":   {`<html>`, "decoded", importer.ClassInvalid},
		"long":       {`{"token":"` + strings.Repeat("x", 20_000) + `"}`, "20000 bytes", importer.ClassInvalid},
		"a new line": {`{"token":"a\r\nX-Evil: 1"}`, "characters", importer.ClassInvalid},
		"errors":     {`{"errors":[{"code":"DENIED","message":"no"}]}`, "DENIED", importer.ClassForbidden},
	} {
		g := &guarded{challenges: []string{`Bearer realm="https://HOST/token"`},
			token: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, tc.body)
			}}
		server, _ := serve(t, g.ServeHTTP)
		_, err := pull(t, server, oci.Options{}, importer.Access{})
		if f := failure(t, err); f.Operation != importer.OperationToken || f.Class != tc.class ||
			!strings.Contains(f.Error(), tc.part) {
			t.Errorf("%s: %v", name, f)
		}
	}
	g := &guarded{challenges: []string{`Bearer realm="https://HOST/token"`}, keys: []string{"Bearer at"},
		token: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"access_token":"at"}`)
		}}
	server, _ := serve(t, g.ServeHTTP)
	if _, err := pull(t, server, oci.Options{}, importer.Access{}); err != nil {
		t.Errorf("a token by its other name: %v", err)
	}
}

// TestExpiredTokens are dropped, whatever the registry refuses them with; the question is asked once more.
func TestExpiredTokens(t *testing.T) {
	for _, status := range []int{401, 403, 400} {
		g := &guarded{challenges: []string{`Bearer realm="https://HOST/token"`}, keys: []string{"Bearer t1"}, status: status}
		server, _ := serve(t, g.ServeHTTP)
		repository := open(t, server, oci.Options{}, importer.Access{}, "org/app")
		ask := func() error {
			g.shown, g.asked = nil, append([]string(nil), g.asked...)
			_, err := repository.Manifest(t.Context(), importer.Ref{Tag: "v1"})
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		g.keys = []string{"Bearer t2"}
		if err := ask(); err != nil || len(g.asked) != 2 || len(g.shown) > 3 {
			t.Errorf("%d: %v, %d tokens, shown %q", status, err, len(g.asked), g.shown)
		}
		if err := ask(); err != nil || len(g.shown) != 1 {
			t.Errorf("%d: then %v, shown %q", status, err, g.shown)
		}
		// What is refused with a new token, too, has not expired.
		g.keys = nil
		if f := failure(t, ask()); f.StatusCode != status || len(g.asked) != 3 {
			t.Errorf("%d: refused for good: %v, %d tokens", status, f, len(g.asked))
		}
		if f := failure(t, ask()); status != 401 && (len(g.shown) != 1 || len(g.asked) != 3 || f.StatusCode != status) {
			t.Errorf("%d: asked again: %v, shown %q, %d tokens", status, f, g.shown, len(g.asked))
		}
		if status == 401 && g.shown[0] != "" {
			t.Errorf("%d: a token that never opened anything is shown again: %q", status, g.shown)
		}
	}
}

// TestExpiredPasswords are asked for again, as those of ECR, which last for hours; one that stays the same is not
// shown twice.
func TestExpiredPasswords(t *testing.T) {
	for _, status := range []int{401, 403, 400} {
		password := "p1"
		g := &guarded{challenges: []string{`Basic realm="x"`}, keys: []string{basicOf("AWS", "p1")}, status: status}
		server, host := serve(t, g.ServeHTTP)
		opts := oci.Options{Credentials: func(_ context.Context, repository string) (importer.Credentials, error) {
			if repository != host+"/org/app" {
				t.Errorf("credentials for %s", repository)
			}
			return importer.Credentials{Username: "AWS", Password: password}, nil
		}}
		repository := open(t, server, opts, importer.Access{}, "org/app")
		ask := func() error {
			_, err := repository.Manifest(t.Context(), importer.Ref{Tag: "v1"})
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		password, g.keys = "p2", []string{basicOf("AWS", "p2")}
		if err := ask(); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		g.keys, g.shown = nil, nil
		if f := failure(t, ask()); f.StatusCode != status || !slices.Equal(g.shown, []string{basicOf("AWS", "p2"), ""}) {
			t.Errorf("%d: refused for good: %v, shown %q", status, f, g.shown)
		}
		g.shown = nil
		f := failure(t, ask())
		if status != 401 && (f.StatusCode != status || !slices.Equal(g.shown, []string{basicOf("AWS", "p2")})) {
			t.Errorf("%d: asked again: %v, shown %q", status, f, g.shown)
		}
	}
}

// TestTokenHosts asks token servers on other internal hosts only if the options say so.
func TestTokenHosts(t *testing.T) {
	tokens := &guarded{}
	_, otherHost := serve(t, tokens.ServeHTTP)
	_, port, _ := strings.Cut(otherHost, ":")
	for _, host := range []string{"localhost", "127.0.0.2"} {
		for name, tc := range map[string]struct {
			allowed []string
			want    bool
		}{
			"by default": {nil, false}, "another host": {[]string{"gitlab.home"},
				false}, "another port": {[]string{host + ":1"}, false},
			"the host": {[]string{host}, host == "localhost"}, "host and port": {[]string{host + ":" + port},
				host == "localhost"},
		} {
			g := &guarded{challenges: []string{`Bearer realm="https://` + host + ":" + port + `/jwt/auth"`},
				keys: []string{"Bearer t1"}}
			server, _ := serve(t, g.ServeHTTP)
			tokens.asked = nil
			access := importer.Access{Insecure: true, Credentials: &importer.Credentials{Username: "u", Password: "p"}}
			_, err := pull(t, server, oci.Options{TokenHosts: tc.allowed}, access)
			switch {
			case tc.want && err != nil:
				t.Errorf("%s, %s: %v", host, name, err)
			case !tc.want && len(tc.allowed) == 0:
				f := failure(t, err)
				if f.Operation != importer.OperationToken || f.Class != importer.ClassInvalid ||
					!strings.Contains(f.Error(), "internal address") ||
					!strings.Contains(f.Error(), "TokenHosts") || f.IsTemporary() {
					t.Errorf("%s, %s: %v", host, name, f)
				}
			}
			if !tc.want && len(tokens.asked) > 0 {
				t.Errorf("%s, %s: the token server was asked %q", host, name, tokens.asked)
			}
		}
	}
}

// TestPathsHaveTheirOwnPasswords shows no repository the password of another.
func TestPathsHaveTheirOwnPasswords(t *testing.T) {
	g := &guarded{challenges: []string{`Basic realm="x"`},
		keys: []string{basicOf("app", "p"), basicOf("other", "p"), basicOf("all", "p")}}
	server, host := serve(t, g.ServeHTTP)
	find, err := oci.PullSecret(fmt.Appendf(nil, `{"auths": {
		%[1]q: {"username": "all", "password": "p"},
		"%[2]s/org/app": {"username": "app", "password": "p"},
		"%[2]s/org/other": {"username": "other", "password": "p"}
	}}`, host, host))
	if err != nil {
		t.Fatal(err)
	}
	for path, user := range map[string]string{"org/app": "app", "org/other": "other", "org/third": "all"} {
		g.shown = nil
		opts := oci.Options{Credentials: find}
		if _, err := open(t, server, opts, importer.Access{}, path).Manifest(t.Context(),
			importer.Ref{Tag: "v1"}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if !slices.Equal(g.shown, []string{"", basicOf(user, "p")}) {
			t.Errorf("%s: shown %q", path, g.shown)
		}
	}
}

// TestCredentialsThatCannotBeHad fail the question, without a word of what they say.
func TestCredentialsThatCannotBeHad(t *testing.T) {
	g := &guarded{challenges: []string{`Basic realm="x"`}}
	server, host := serve(t, g.ServeHTTP)
	find, err := oci.PullSecret(fmt.Appendf(nil, `{"auths": {%q: {"auth": "Z2hwX1NFQ1JFVFRPS0VO"}}}`, host))
	if err != nil {
		t.Fatal(err)
	}
	_, err = pull(t, server, oci.Options{Credentials: find}, importer.Access{})
	f := failure(t, err)
	if f.Class != importer.ClassUnauthorized || !strings.Contains(f.Error(), "has no colon") ||
		strings.Contains(f.Error(), "ghp_") ||
		!strings.Contains(f.Error(), host) {
		t.Errorf("%v", f)
	}
}

// TestForbiddenStaysForbidden: what no new token helps against is told as it was, and what needs none is read without.
func TestForbiddenStaysForbidden(t *testing.T) {
	g := &guarded{challenges: []string{"Bearer"}, keys: []string{"Bearer rt"}, status: http.StatusForbidden}
	server, _ := serve(t, g.ServeHTTP)
	access := importer.Access{Credentials: &importer.Credentials{RegistryToken: "rt"}}
	repository := open(t, server, oci.Options{}, access, "org/app")
	ask := func() error { return questions["manifest"](t, repository) }
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	g.keys, g.shown = nil, nil
	for _, want := range [][]string{{"Bearer rt", ""}, {"Bearer rt"}} {
		g.shown = nil
		if f := failure(t, ask()); f.Class != importer.ClassForbidden || f.StatusCode != 403 || !slices.Equal(g.shown, want) {
			t.Errorf("%v, shown %q, want %q", f, g.shown, want)
		}
	}
	g = &guarded{challenges: []string{`Bearer realm="https://HOST/token"`}, keys: []string{"Bearer t1"}, status: http.StatusForbidden}
	server, _ = serve(t, g.ServeHTTP)
	repository = open(t, server, oci.Options{}, importer.Access{}, "org/app")
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	g.keys, g.shown = []string{""}, nil
	if err := ask(); err != nil || !slices.Equal(g.shown, []string{"Bearer t1", ""}) {
		t.Errorf("what has become public: %v, shown %q", err, g.shown)
	}
}
