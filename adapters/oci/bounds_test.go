package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

// TestTagPagesAreBounded stops asking a registry whose list does not end, for each way in which it may not.
func TestTagPagesAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		page     func(n int) string // the body of the n-th page
		link     string             // "%d" is the number of the next page
		tags     int                // at most
		requests int32              // at most
	}{
		"empty pages":      {func(int) string { return `{"tags":[]}` }, "?n=%d", 0, 10},
		"null pages":       {func(int) string { return `{"tags":null}` }, "?n=%d", 0, 10},
		"more than may be": {func(n int) string { return fmt.Sprintf(`{"tags":["t%d"]}`, n) }, "?n=%d", 10, 11},
		"the same tag":     {func(int) string { return `{"tags":["a"]}` }, "?n=%d", 10, 11},
		"a page too many tags": {func(int) string { return `{"tags":["a"` + strings.Repeat(`,"a"`, 1000) + `]}` }, "?n=%d",
			0, 1},
		"in circles": {func(int) string { return `{"tags":["a"]}` }, "?same=%[1]*[2]s", 2, 2},
		"a long tag": {func(int) string { return `{"tags":["` + strings.Repeat("a", 129) + `"]}` }, "?n=%d", 0, 1},
		"a tag of 4 MB": {func(int) string { return `{"tags":["` + strings.Repeat("a", 4<<20-20) + `"]}` }, "?n=%d",
			0, 1},
		"a page of 5 MB": {func(int) string { return `{"tags":["a"],"x":"` + strings.Repeat("a", 5<<20) + `"}` },
			"?n=%d", 0, 1},
		"pages of 4 MB": {func(int) string { return `{"tags":["a"],"x":"` + strings.Repeat("a", 4<<20-40) + `"}` },
			"?n=%d", 4, 5},
		"a long link":        {func(int) string { return `{"tags":["a"]}` }, "?n=%d" + strings.Repeat("x", 9<<10), 1, 1},
		"a link of 8 MB":     {func(int) string { return `{"tags":["a"]}` }, "?n=%d" + strings.Repeat("x", 8<<20), 0, 1},
		"a header of 100 KB": {func(int) string { return `{"tags":["a"]}` }, "?n=%d" + strings.Repeat("x", 100<<10), 0, 1},
	} {
		for _, http2 := range []bool{false, true} {
			var requests atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := int(requests.Add(1))
				link := strings.ReplaceAll(tc.link, "%[1]*[2]s", "x")
				w.Header().Set("Link", "<"+strings.ReplaceAll(link, "%d", fmt.Sprint(n))+`>; rel="next"`)
				fmt.Fprint(w, tc.page(n))
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			before := heap()
			got, err := tagsOf(t, open(t, server, oci.Options{MaxTags: 10}, importer.Access{}, "org/app"))
			server.CloseClientConnections()
			server.Close()
			f := failure(t, err)
			unread := strings.HasPrefix(name, "a link of") || strings.HasPrefix(name, "a header of") // net/http reads no more
			if f.Class != importer.ClassInvalid && !unread || len(f.Error()) > 1200 {
				t.Errorf("%s: %.1200v", name, f)
			}
			if len(got) > tc.tags || requests.Load() > tc.requests {
				t.Errorf("%s: %d tags, %d requests; at most %d and %d", name, len(got), requests.Load(), tc.tags, tc.requests)
			}
			if grown := int64(heap()) - int64(before); grown > 8<<20 {
				t.Errorf("%s: %d MB are kept", name, grown>>20)
			}
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	for range 3 { // what pools keep goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFullList reads as many tags as there may be, and each as long as it may be.
func TestFullList(t *testing.T) {
	long := strings.Repeat("a", 128)
	server, _ := serve(t, func(w http.ResponseWriter,
		_ *http.Request) {
		fmt.Fprintf(w, `{"tags":["a","b","c",%q]}`, long)
	})
	if got, err := tagsOf(t, open(t, server, oci.Options{MaxTags: 4}, importer.Access{}, "org/app")); err != nil ||
		!slices.Contains(got, long) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestChallengesAreNotKept repeats challenges with other scopes and services, and keeps none of them.
func TestChallengesAreNotKept(t *testing.T) {
	n := 0
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprintf(w, `{"token":"%d%s"}`, n, strings.Repeat("t", 10_000))
			return
		}
		n++
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/token",scope="%d%s",service="%[2]d%[3]s"`,
			r.Host, n, strings.Repeat("x", 3000)))
		w.WriteHeader(http.StatusUnauthorized)
	})
	repository := open(t, server, oci.Options{}, importer.Access{}, "org/app")
	ask := func() { _ = questions["manifest"](t, repository) }
	ask()
	before := heap()
	for range 300 {
		ask()
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("%d KB are kept of %d challenges", grown>>10, n)
	}
	runtime.KeepAlive(repository)
}

// TestTextsAreBounded prints every failure of a registry that says too much, and things that terminals obey.
func TestTextsAreBounded(t *testing.T) {
	evil := strings.Repeat("x\u202e\x1b[2J\x07", 40<<10)
	plain := strings.Repeat("x", 30<<10)
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"code": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"errors":[{"code":%q}]}`, plain)
		},
		"message": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"errors":[{"message":%s}]}`, quoted)
		},
		"text": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, evil) },
		"realm": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+plain[:16000]+`"`)
			w.WriteHeader(401)
		},
		"realm host": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+plain[:16000]+`/"`)
			w.WriteHeader(401)
		},
		"scheme": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", plain)
			w.WriteHeader(401)
		},
		"location": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "ftp://"+plain)
			w.WriteHeader(302)
		},
		"no location": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302); fmt.Fprint(w, evil) },
		"media type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", plain)
			fmt.Fprint(w, "{}")
		},
		"not HTTP":     hijack("SPEAK " + plain + "\r\n\r\n"),
		"status":       hijack("HTTP/1.1 999 " + evil + "\r\nContent-Length: 0\r\n\r\n"),
		"header":       hijack("HTTP/1.1 200 OK\r\n" + evil + "\r\n\r\n"),
		"length":       hijack("HTTP/1.1 200 OK\r\nContent-Length: " + plain + "\r\n\r\n"),
		"chunk":        hijack("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + plain[:2000] + "\r\n"),
		"other errors": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"errors":[{"code":%s}]}`, quoted) },
	} {
		server, _ := serve(t, answer)
		for question, ask := range questions {
			err := ask(t, open(t, server, oci.Options{}, importer.Access{}, "org/app"))
			if err == nil && question != "blob" {
				continue
			}
			f := failure(t, err)
			all := fmt.Sprintf("%v %+v %q %s %s", f, f.Err, f.Codes, f.Challenge, f.Details)
			if len(f.Error()) > 3<<10 || strings.ContainsFunc(f.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) ||
				strings.Contains(all, "\x1b[") {
				t.Errorf("%s, %s: %d bytes, %.200q", name, question, len(f.Error()), f.Error())
			}
		}
	}
}

// hijack answers with raw bytes.
func hijack(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return // the client would log what it did not ask for
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(raw)) // who is gone wants no answer
		conn.Close()
	}
}

// TestEchoedSecretsAreStruckOut lets registry and token server say back what they were shown, in every place.
func TestEchoedSecretsAreStruckOut(t *testing.T) {
	echo := func(place string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			user, password, _ := r.BasicAuth()
			said := strings.Join([]string{r.Header.Get("Authorization"), user, password, r.Form.Encode(),
				r.Form.Get("refresh_token")}, " ")
			quoted, _ := json.Marshal(said)
			switch place {
			case "code":
				w.WriteHeader(400)
				fmt.Fprintf(w, `{"errors":[{"code":%s,"message":%[1]s}]}`, quoted)
			case "details":
				w.WriteHeader(429)
				fmt.Fprintf(w, `{"details":%s}`, quoted)
			case "text":
				w.WriteHeader(403)
				fmt.Fprint(w, said)
			case "spaces":
				w.WriteHeader(503)
				fmt.Fprint(w, strings.Repeat(" ", 64<<10-len(said)/2)+said)
			case "challenge":
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+strings.NewReplacer(" ", "-", "/",
					"-").Replace(said)+`/x"`)
				w.WriteHeader(401)
			case "scheme":
				w.Header().Set("WWW-Authenticate", strings.NewReplacer(" ", ",", "=", "", "/",
					"").Replace(r.Header.Get("Authorization")))
				w.WriteHeader(401)
			case "location":
				_, token, _ := strings.Cut(r.Header.Get("Authorization"), "Bearer ")
				w.Header().Set("Location", "ftp://"+token+r.Form.Get("refresh_token")+".example.com/"+said)
				w.WriteHeader(302)
			case "media type":
				w.Header().Set("Content-Type", said)
				fmt.Fprint(w, `{"schemaVersion":2}`)
			case "link":
				w.Header().Set("Link", "<ftp:"+said+`>; rel="next"`)
				fmt.Fprint(w, `{"tags":[]}`)
			case "not HTTP":
				hijack("SPEAK "+said+"\r\n\r\n")(w, r)
			case "good status":
				fmt.Fprintf(w, `{"errors":[{"code":"X","message":%s}]}`, quoted)
			}
		}
	}
	password, identity, ready := "hunter2/+&\"", "identity-t0ken", "ready-t0ken"
	secrets := []string{"hunter2", identity, ready, "fresh-t0ken", basicOf("bob", password)[6:]}
	for _, place := range []string{"code", "details", "text", "spaces", "challenge", "scheme", "location", "media type",
		"link", "not HTTP", "good status"} {
		for _, c := range []importer.Credentials{{Username: "bob", Password: password}, {IdentityToken: identity},
			{RegistryToken: ready}} {
			for _, by := range []string{"registry by password", "registry by token", "token server"} {
				g := &guarded{challenges: []string{`Bearer realm="https://HOST/token"`}}
				if by == "registry by password" {
					g.challenges = []string{"Basic"}
				}
				g.token = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"fresh-t0ken"}`) }
				if by == "token server" {
					g.token = echo(place)
				}
				server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "" && r.URL.Path != "/token" {
						echo(place)(w, r)
						return
					}
					g.ServeHTTP(w, r)
				})
				repository := open(t, server, oci.Options{}, importer.Access{Credentials: &c}, "org/app")
				for question, ask := range questions {
					var text string
					err := ask(t, repository)
					for e := err; e != nil; e = errors.Unwrap(e) {
						text += fmt.Sprintf("%v %+v %#v ", e, e, e)
					}
					if m, err := repository.Manifest(t.Context(), importer.Ref{Tag: "v1"}); err == nil {
						text += m.MediaType
					}
					for _, secret := range secrets {
						if strings.Contains(text, secret) {
							t.Errorf("%s, %s by the %s with %v tells %q: %s", question, place, by, c, secret, text)
						}
					}
				}
			}
		}
	}
}

// TestErrorsWithStatus200 are errors.
func TestErrorsWithStatus200(t *testing.T) {
	server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"later"}]}`)
	})
	for _, question := range []string{"tags", "manifest", "blob"} {
		f := failure(t, questions[question](t, open(t, server, oci.Options{}, importer.Access{}, "org/app")))
		if f.Class != importer.ClassTooManyRequests || f.StatusCode != 200 || f.Text != "later" {
			t.Errorf("%s: %v", question, f)
		}
	}
	_, err := open(t, server, oci.Options{}, importer.Access{}, "org/app").Manifest(t.Context(),
		importer.Ref{Digest: digest.FromString("x")})
	if f := failure(t, err); f.Class != importer.ClassTooManyRequests {
		t.Errorf("by digest: %v", f)
	}
}

// TestOwnMediaTypes reads manifests by what they say they are, if their Content-Type tells nothing.
func TestOwnMediaTypes(t *testing.T) {
	const docker, index = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.index.v1+json"
	for _, tc := range []struct{ sent, body, want string }{
		{"application/json", `{"schemaVersion":2,"mediaType":"` + docker + `","config":{}}`, docker},
		{"application/json; charset=utf-8", `{"schemaVersion":2,"mediaType":"` + docker + `"}`, docker},
		{"application/octet-stream", `{"schemaVersion":2,"mediaType":"` + index + `"}`, index},
		{"text/plain; charset=utf-8", `{"schemaVersion":2,"mediaType":"` + index + `"}`, index},
		{"", `{"schemaVersion":2,"mediaType":"` + docker + `"}`, docker},
		{"", `{"schemaVersion":2,"config":{},"layers":[]}`, manifestType},
		{"", `{"schemaVersion":2,"manifests":[]}`, index},
		{"", `{"schemaVersion":2,"manifests":[],"config":{}}`, ""}, // it could be read as either
		{"application/json", `{"schemaVersion":1}`, "application/json"},
		{"application/json", `{"schemaVersion":2,"mediaType":"text/html"}`, "application/json"},
		{docker, `{"schemaVersion":2,"mediaType":"` + index + `"}`, docker}, // it says something: let it be judged by that
	} {
		server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{tc.sent}
			if tc.sent == "" {
				w.Header()["Content-Type"] = nil
			}
			fmt.Fprint(w, tc.body)
		})
		m, err := open(t, server, oci.Options{}, importer.Access{}, "org/app").Manifest(t.Context(),
			importer.Ref{Digest: digest.FromString(tc.body)})
		if err != nil || m.MediaType != tc.want || string(m.Bytes) != tc.body {
			t.Errorf("%q as %q: %q, %v", tc.body, tc.sent, m.MediaType, err)
		}
	}
}

// TestStatuses have their classes: Harbor says 412 of an image that its scanner keeps back.
func TestStatuses(t *testing.T) {
	for status, want := range map[int]importer.Class{
		412: importer.ClassForbidden, 451: importer.ClassForbidden, 402: importer.ClassForbidden, 410: importer.ClassNotFound,
		425: importer.ClassUnavailable, 408: importer.ClassUnavailable, 504: importer.ClassUnavailable,
		422: importer.ClassInvalid,
	} {
		server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		f := failure(t, pullError(t, server, oci.Options{}, importer.Access{}))
		if f.Class != want || f.StatusCode != status {
			t.Errorf("%d: %v", status, f)
		}
	}
}
