package oci_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

const (
	hostileHost    = "registry.example.com"
	hostileTags    = 20
	hostilePerAsk  = 3*6 + 3*6 // three attempts and three token servers, each with five redirects
	hostileMemory  = 256 << 20 // allocated for one question, in all
	hostileKept    = 8 << 20   // by a client after up to four questions
	secretPassword = "hunter2-pa55word"
	secretIdentity = "identity-t0ken-secret"
	secretToken    = "bearer-t0ken-secret"
)

// TestHostileRegistry asks a registry that draws what it answers: challenges, redirects, links, lies, floods and
// echoes.
func TestHostileRegistry(t *testing.T) { rapid.Check(t, hostileRegistry) }

// FuzzHostileRegistry is the same for as long as one likes.
func FuzzHostileRegistry(f *testing.F) { f.Fuzz(rapid.MakeFuzz(hostileRegistry)) }

func hostileRegistry(t *rapid.T) {
	h := &hostile{t: t, realms: map[string]bool{}}
	credentials := rapid.SampledFrom([]importer.Credentials{
		{}, {Username: "bob", Password: secretPassword}, {IdentityToken: secretIdentity}, {RegistryToken: secretToken},
	}).Draw(t, "credentials")
	registry, err := oci.New(oci.Options{
		MaxTags: hostileTags,
		Wrap:    func(http.RoundTripper) http.RoundTripper { return h },
		Credentials: func(context.Context, string) (importer.Credentials, error) {
			return credentials, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	weighed := rapid.IntRange(0, 15).Draw(t, "weighed") == 15 // which takes longer than all else
	var begin uint64
	if weighed {
		begin = heap()
	}
	var before, after runtime.MemStats
	for range rapid.IntRange(1, 4).Draw(t, "questions") {
		repository := openAt(t, registry, hostileHost+"/org/"+rapid.SampledFrom([]string{"app", "other"}).Draw(t,
			"repository"), importer.Access{})
		runtime.ReadMemStats(&before)
		h.requests, h.shown = 0, map[string]bool{}
		h.ask(repository)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > hostileMemory {
			t.Fatalf("one question took %d MB", took>>20)
		}
	}
	if weighed {
		if kept := int64(heap()) - int64(begin); kept > hostileKept {
			t.Fatalf("%d MB are kept", kept>>20)
		}
	}
	runtime.KeepAlive(registry)
}

// ask asks one of the questions, and checks what comes of it.
func (h *hostile) ask(r importer.Repository) {
	ctx := context.Background()
	want := digest.FromString(`{"schemaVersion":2}`)
	pages := 1
	var text string
	var err error
	switch rapid.SampledFrom([]string{"head", "manifest", "by digest", "blob", "blob size", "tags"}).Draw(h.t,
		"question") {
	case "head":
		var d importer.ManifestHead
		d, err = r.Head(ctx, importer.Ref{Tag: "v1"})
		text = d.MediaType
	case "manifest":
		var m importer.SentManifest
		m, err = r.Manifest(ctx, importer.Ref{Tag: "v1"})
		text = m.MediaType
	case "by digest":
		var m importer.SentManifest
		if m, err = r.Manifest(ctx, importer.Ref{Digest: want}); err == nil && digest.FromBytes(m.Bytes) != want {
			h.t.Fatalf("a manifest of another digest: %q", m.Bytes)
		}
		text = m.MediaType
	case "blob":
		var blob []byte
		if blob, err = r.Blob(ctx, want, 1<<20); err == nil && digest.FromBytes(blob) != want {
			h.t.Fatalf("a blob of another digest: %q", blob)
		}
	case "blob size":
		var n int64
		if n, err = r.BlobSize(ctx, want); n < 0 {
			h.t.Fatalf("%d bytes", n)
		}
	case "tags":
		n := 0
		for tag, tagErr := range r.Tags(ctx) {
			if err = tagErr; err != nil {
				break
			}
			if n++; n > hostileTags || len(tag) > 128 {
				h.t.Fatalf("tag %d, %q", n, tag)
			}
		}
		pages = hostileTags + 9
	}
	if h.requests > pages*hostilePerAsk {
		h.t.Fatalf("%d requests", h.requests)
	}
	h.check(text, err)
}

// check looks for what no text may have.
func (h *hostile) check(text string, err error) {
	if err != nil {
		var f *importer.RegistryError
		if !errors.As(err, &f) || f.Class == "" || f.Repository == "" {
			h.t.Fatalf("%#v is not a whole RegistryError", err)
		}
		text = f.Error() + f.Challenge
		if len(text) > 6<<10 {
			h.t.Fatalf("an error of %d bytes: %q", len(text), text)
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		h.t.Fatalf("not printable: %q", text)
	}
	h.shown["X-Signature"] = true
	for secret := range h.shown {
		if strings.Contains(text, secret) {
			h.t.Fatalf("%q tells %q", text, secret)
		}
	}
}

// hostile is a transport that answers as it draws.
type hostile struct {
	t        *rapid.T
	requests int
	realms   map[string]bool // hosts that were named as token servers
	shown    map[string]bool // secrets that the repository sent
}

func (h *hostile) RoundTrip(req *http.Request) (*http.Response, error) {
	h.requests++
	h.judge(req)
	echo := h.echo(req)
	if rapid.IntRange(0, 19).Draw(h.t, "broken") == 0 {
		return nil, errors.New("broken pipe\x1b[2J\r\n" + echo)
	}
	answer := &http.Response{
		StatusCode: rapid.SampledFrom([]int{200, 200, 200, 401, 401, 400, 403, 404, 429, 500, 302, 307, 308, 204,
			412}).Draw(h.t, "status"),
		Header: http.Header{}, Request: req,
		ContentLength: rapid.SampledFrom([]int64{-1, 0, 7, 1 << 60}).Draw(h.t, "length"),
	}
	for _, name := range []string{"WWW-Authenticate", "Location", "Link", "Content-Type", "Retry-After",
		"Docker-Content-Digest"} {
		for range rapid.IntRange(0, 2).Draw(h.t, name) {
			answer.Header.Add(name, h.header(name, echo))
		}
	}
	answer.Body = io.NopCloser(h.body(echo))
	return answer, nil
}

// echo returns all the secrets that were shown so far, in order.
func (h *hostile) echo(req *http.Request) string {
	sent := req.Header.Get("Authorization")
	if req.Body != nil {
		form, _ := io.ReadAll(req.Body)
		sent += string(form)
	}
	basic := basicOf("bob", secretPassword)[len("Basic "):]
	var all []string
	for _, secret := range []string{secretPassword, basic, secretIdentity, secretToken} {
		if strings.Contains(sent, secret) || secret == secretPassword && h.shown[basic] {
			h.shown[secret] = true
		}
		if h.shown[secret] {
			all = append(all, secret)
		}
	}
	return strings.Join(all, " ")
}

// judge checks whom a request is sent to, and what it shows.
func (h *hostile) judge(req *http.Request) {
	u := req.URL
	if u.Scheme != "https" {
		h.t.Fatalf("asked %s", u)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()) {
		h.t.Fatalf("asked %s", u)
	}
	shown := req.Header.Get("Authorization")
	own := u.Host == hostileHost
	switch {
	case strings.HasPrefix(shown, "Bearer ") && !own:
		h.t.Fatalf("a token is shown to %s", u.Host)
	case strings.HasPrefix(shown, "Basic ") && !own && !h.realms[u.Host]:
		h.t.Fatalf("a password is shown to %s", u.Host)
	case req.Method == http.MethodPost && !own && !h.realms[u.Host]:
		h.t.Fatalf("an identity token is shown to %s", u.Host)
	}
}

var hostileURLs = []string{
	"https://" + hostileHost + "/token", "/v2/org/app/tags/list?last=x", "https://cdn.example.com/x?X-Signature=abc",
	"https://auth.example.com/token",
	"http://" + hostileHost + "/token", "https://10.0.0.1/", "https://[::ffff:127.0.0.1]/",
	"https://169.254.169.254/latest", "file:///etc/passwd",
	"https://user:pass@cdn.example.com/", "https://%zz", "", "//", "?last=a", "https://" + hostileHost +
		":444/x", "https://evil\x7f.example.com/",
}

// header draws the value of a header.
func (h *hostile) header(name, echo string) string {
	u := rapid.SampledFrom(hostileURLs).Draw(h.t, "URL")
	long := strings.Repeat("x", rapid.SampledFrom([]int{0, 0, 0, 100, 9 << 10, 70 << 10}).Draw(h.t, "long"))
	switch name {
	case "WWW-Authenticate":
		for _, host := range []string{"cdn.example.com", "auth.example.com", hostileHost, hostileHost + ":444"} {
			if strings.Contains(u, "https://"+host+"/") || strings.Contains(u, "@"+host+"/") {
				h.realms[host] = true
			}
		}
		return rapid.SampledFrom([]string{
			fmt.Sprintf(`Bearer realm="%s",service="s%s",scope="repository:org/app:pull"`, u, long),
			fmt.Sprintf(`Negotiate, Basic realm="%s", bearer REALM=%s`, echo, u),
			`Basic realm="x"`, "Negotiate " + long, echo, fmt.Sprintf(`Bearer realm="%s%s"`, u,
				echo), `Bearer, Bearer realm="` + u + `"`,
		}).Draw(h.t, "challenge")
	case "Location":
		return u + rapid.SampledFrom([]string{"", long, "?X-Signature=" + echo}).Draw(h.t, "location")
	case "Link":
		return fmt.Sprintf(`<%s%d%s>; rel="%s"`, u, h.requests, long,
			rapid.SampledFrom([]string{"next", "prev", echo}).Draw(h.t, "rel"))
	}
	return rapid.SampledFrom([]string{"", echo, long, "\x1b[2J\u202e", "application/json", "1", "99999999999999999999",
		string(digest.FromString("x"))}).Draw(h.t, "value")
}

// body draws a body.
func (h *hostile) body(echo string) io.Reader {
	quoted := fmt.Sprintf("%q", echo)
	switch kind := rapid.IntRange(0, 39).Draw(h.t, "body"); {
	case kind == 0:
		return flood(rapid.SampledFrom([]string{"x", `{"tags":["`, `{"token":"`, "[", "\x1b"}).Draw(h.t, "flood"))
	case kind == 1:
		return io.MultiReader(strings.NewReader(`{"tags":[`), broken{errors.New("cut " + echo)})
	default:
		return strings.NewReader(rapid.SampledFrom([]string{
			"", `{"schemaVersion":2}`, `{"token":"` + secretToken + `"}`, `{"access_token":"` + secretToken +
				`","token":""}`, `{"token":5}`, `{"token":"a\nb"}`,
			`{"errors":[{"code":` + quoted + `,"message":` + quoted + `}]}`, `{"details":` + quoted +
				`}`, echo, "https://cdn.example.com/x?X-Signature=" + echo,
			`{"tags":["a"]}`, `{"tags":[]}`, `{"tags":null}`, `{"tags":["` + strings.Repeat("a",
				200) + `"]}`, `{"tags":[` + strings.Repeat(`"b",`, 30) + `"c"]}`,
			"\x1b]0;" + echo + "\x07\u202e\r\n", strings.Repeat(" ", 64<<10-40) + echo, "{",
		}).Draw(h.t, "text"))
	}
}

// flood is a text without an end.
func flood(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), endless{})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
