package fakes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Host is a registry as it is served: what it holds, and how it is spoken to. The zero Host speaks TLS with a good
// certificate, wants no credentials, and holds nothing.
type Host struct {
	// Scheme is https, or http; empty is https.
	Scheme string `json:"scheme,omitempty"`
	// SelfSigned has a certificate that nobody trusts.
	SelfSigned bool  `json:"selfSigned,omitempty"`
	Auth       *Auth `json:"auth,omitempty"`
	// TagsPageSize is how many tags are listed at a time; 0 is all.
	TagsPageSize int      `json:"tagsPageSize,omitempty"`
	Repositories Contents `json:"repositories,omitempty"`
	// Latency is how long each answer takes, by the clock: under testing/synctest no time at all.
	Latency time.Duration `json:"-"`
	// NoHead refuses HEAD of manifests; NoDigest leaves the digest out of answers.
	NoHead   bool `json:"noHead,omitempty"`
	NoDigest bool `json:"noDigest,omitempty"`
}

// Auth is what a host wants to know of who asks.
type Auth struct {
	// Type is basic, by which every request needs a user, or bearer, by which it needs a token.
	Type string `json:"type"`
	// Users have passwords.
	Users map[string]string `json:"users,omitempty"`
	// Private are repositories that an anonymous token does not open.
	Private []string `json:"private,omitempty"`
	// Anonymous, if false, gives no tokens without a user. Nil is true.
	Anonymous *bool `json:"anonymous,omitempty"`
}

// Fault is an answer that a host gives in the place of its own. Empty members match everything.
type Fault struct {
	Host string `json:"host,omitempty"`
	// Kind is ping, token, tags, manifest, blob, or head, which is HEAD of a blob.
	Kind string `json:"kind,omitempty"`
	// Repo and Ref are as they stand in the URL.
	Repo string `json:"repo,omitempty"`
	Ref  string `json:"ref,omitempty"`
	// Times is for how many requests it holds; 0 is all.
	Times int `json:"times,omitempty"`
	// Refuse closes the connection. Otherwise Status is answered, with a body of Code, Details, or Body as it is.
	Refuse  bool        `json:"refuse,omitempty"`
	Status  int         `json:"status,omitempty"`
	Code    string      `json:"code,omitempty"`
	Details string      `json:"details,omitempty"`
	Body    string      `json:"body,omitempty"`
	Header  http.Header `json:"header,omitempty"`
}

// The kinds of request.
const (
	kindPing     = "ping"
	kindToken    = "token"
	kindTags     = "tags"
	kindManifest = "manifest"
	kindBlob     = "blob"
	kindHeadBlob = "head"
)

// ask is a request as a host reads it.
type ask struct {
	kind, repo, ref string
	head            bool   // HEAD in the place of GET
	last            string // the tag after which to go on
	user, password  string // of basic authentication
	basic           bool
	token           string
	base            string // "https://host", for URLs in answers
}

// reply is what a host answers.
type reply struct {
	status int
	header http.Header
	body   string
	size   int64 // of what HEAD asks for
}

func (r *reply) set(name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, value)
}

func errorReply(status int, code string) reply {
	body, _ := json.Marshal(map[string]any{"errors": []map[string]string{{"code": code}}})
	return jsonReply(status, string(body))
}

func jsonReply(status int, body string) reply {
	r := reply{status: status, body: body}
	r.set("Content-Type", "application/json")
	return r
}

// fault returns the answer of a fault that holds for a request, and counts it.
func (r *Registry) fault(host string, a ask) (answer reply, refuse, ok bool) {
	for i := range r.faults {
		f := &r.faults[i]
		if f.used > 0 && f.Times > 0 && f.used >= f.Times || !matches(f.Host, host) || !matches(f.Kind, a.kind) ||
			!matches(f.Repo, a.repo) ||
			!matches(f.Ref, a.ref) {
			continue
		}
		f.used++
		if f.Refuse {
			return reply{}, true, true
		}
		answer := reply{status: f.Status, body: f.Body, header: f.Header.Clone()}
		switch {
		case f.Code != "":
			answer = errorReply(f.Status, f.Code)
		case f.Details != "":
			body, _ := json.Marshal(map[string]string{"details": f.Details})
			answer = jsonReply(f.Status, string(body))
		}
		for name, values := range f.Header {
			answer.set(name, values[0])
		}
		return answer, false, true
	}
	return reply{}, false, false
}

func matches(want, have string) bool { return want == "" || want == have }

// delay waits for the latency of a host, or until ctx ends.
func (r *Registry) delay(ctx context.Context, name string) error {
	r.mu.Lock()
	latency := time.Duration(0)
	if h := r.hosts[name]; h != nil {
		latency = h.Latency
	}
	r.mu.Unlock()
	if latency == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer is what a host says to a request.
func (h *Host) answer(a ask) reply {
	if h.Auth != nil {
		if refused, ok := h.authorize(a); !ok {
			return refused
		}
	}
	repository := h.Repositories[a.repo]
	switch a.kind {
	case kindPing:
		r := jsonReply(http.StatusOK, "{}")
		if h.Auth == nil {
			r.set("Docker-Distribution-API-Version", "registry/2.0")
		}
		return r
	case kindToken:
		return h.token(a)
	case kindTags:
		if repository == nil {
			return errorReply(http.StatusNotFound, "NAME_UNKNOWN")
		}
		return h.tags(a, repository)
	case kindManifest:
		return h.manifest(a, repository)
	}
	return blobReply(a, repository)
}

// authorize lets a request through, or says what is wanted for it.
func (h *Host) authorize(a ask) (reply, bool) {
	valid := a.user != "" && h.Auth.Users[a.user] == a.password
	refuse := func(challenge string) (reply, bool) {
		r := errorReply(http.StatusUnauthorized, "UNAUTHORIZED")
		r.set("WWW-Authenticate", challenge)
		return r, false
	}
	if h.Auth.Type == "basic" {
		if !a.basic || !valid {
			return refuse(`Basic realm="registry"`)
		}
		return reply{}, true
	}
	if a.kind == kindToken {
		return reply{}, true
	}
	challenge := fmt.Sprintf(`Bearer realm="%s/token",service="registry"`, a.base)
	if a.repo != "" {
		challenge += `,scope="repository:` + a.repo + `:pull"`
	}
	switch {
	case a.token == "":
		return refuse(challenge)
	case a.token == anonymousToken && slices.Contains(h.Auth.Private, a.repo):
		return refuse(challenge + `,error="insufficient_scope"`)
	}
	return reply{}, true
}

const anonymousToken = "anonymous"

// token gives a token to who asks for one.
func (h *Host) token(a ask) reply {
	token := anonymousToken
	switch {
	case h.Auth == nil:
		return errorReply(http.StatusNotFound, "UNSUPPORTED")
	case a.basic && (a.user == "" || h.Auth.Users[a.user] != a.password):
		return jsonReply(http.StatusUnauthorized, `{"details":"incorrect username or password"}`)
	case a.basic:
		token = "user-" + a.user
	case h.Auth.Anonymous != nil && !*h.Auth.Anonymous:
		return errorReply(http.StatusUnauthorized, "UNAUTHORIZED")
	}
	return jsonReply(http.StatusOK, `{"token":"`+token+`"}`)
}

func (h *Host) tags(a ask, repository *Repository) reply {
	tags := slices.Sorted(maps.Keys(repository.Tags))
	if i, found := slices.BinarySearch(tags, a.last); a.last != "" {
		if found {
			i++
		}
		tags = tags[i:]
	}
	next := ""
	if n := h.TagsPageSize; n > 0 && len(tags) > n {
		tags = tags[:n]
		next = fmt.Sprintf(`</v2/%s/tags/list?last=%s&n=%d>; rel="next"`, a.repo, url.QueryEscape(tags[n-1]), n)
	}
	body, _ := json.Marshal(map[string]any{"name": a.repo, "tags": tags})
	r := jsonReply(http.StatusOK, string(body))
	if next != "" {
		r.set("Link", next)
	}
	return r
}

func (h *Host) manifest(a ask, repository *Repository) reply {
	if a.head && h.NoHead {
		return reply{status: http.StatusMethodNotAllowed}
	}
	var m StoredManifest
	filed, ok := digest.Digest(a.ref), repository != nil
	if ok && !strings.Contains(a.ref, ":") {
		filed, ok = repository.Tags[a.ref]
	}
	if ok {
		m, ok = repository.Manifests[filed]
	}
	if !ok {
		return errorReply(http.StatusNotFound, "MANIFEST_UNKNOWN")
	}
	r := reply{status: http.StatusOK, body: m.Raw, size: int64(len(m.Raw))}
	r.set("Content-Type", m.MediaType)
	if !h.NoDigest {
		r.set("Docker-Content-Digest", filed.String())
	}
	r.set("Content-Length", strconv.FormatInt(r.size, 10))
	return r
}

// tagPage is a page of a list of tags.
type tagPage struct {
	Tags []string `json:"tags"`
}

func (p *tagPage) read(body string) error { return json.Unmarshal([]byte(body), p) }

func blobReply(a ask, repository *Repository) reply {
	if repository != nil {
		d := digest.Digest(a.ref)
		if text, ok := repository.Blobs[d]; ok {
			return sized(reply{status: http.StatusOK, body: text, size: int64(len(text))})
		}
		if size, ok := repository.BlobSizes[d]; ok && a.kind == kindHeadBlob {
			return sized(reply{status: http.StatusOK, size: size})
		}
	}
	return errorReply(http.StatusNotFound, "BLOB_UNKNOWN")
}

func sized(r reply) reply {
	r.set("Content-Type", "application/octet-stream")
	r.set("Content-Length", strconv.FormatInt(r.size, 10))
	return r
}
