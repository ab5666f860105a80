// Package oci is an [importer.Registry] over HTTP: Docker registries and OCI distribution servers. It needs nothing
// beyond the standard library for that.
//
// # What a registry may do
//
// It may want credentials by any number of challenges, in one header or in several, of which one that can be answered
// is taken, Bearer before Basic. It may name a token server, redirect to where its blobs are, and name the next page
// of a list of tags, of which path and query are followed. It may refuse a token that it gave with 401, 403 or 400:
// the token is then dropped and the question asked once more. It may serve a manifest without a media type that tells
// something: the manifest's own counts. Errors with status 200 are errors.
//
// # What is refused
//
// Redirects after the fifth, from https to anything else, of a POST, and to internal addresses: of this machine,
// private, link-local, shared or reserved, in IPv4, IPv6 and IPv4 within IPv6. Where a name leads is checked when it
// is dialled, over connections that are used for nothing else; through a proxy only addresses in the URL can be
// checked. The registry's own host is allowed, and what [Options.RedirectHosts] has. The same holds for token
// servers, with [Options.TokenHosts], and they must speak https unless the registry itself does not. A redirect that
// is refused is of class forbidden, a challenge that cannot be used of class invalid; neither is temporary.
//
// Credentials go to the registry, and to the token server that it names; they are left out once a redirect has left
// the server that they were sent to. Certificates that cannot be checked, and plain HTTP where TLS cannot be had at
// all, are accepted only where the access says insecure. Besides the system's authorities, [Options.RootCAs] are
// trusted.
//
// Credentials are those of the access, or of [Options.Credentials], such as [DockerConfig]; without any, pulls are
// anonymous. What was sent as a secret is struck out of every text that comes back. Texts are short and printable, and
// URLs in them have no query.
//
// # What it believes
//
// What is asked by digest must have that digest. Everything read is bounded: headers (64 KiB), a manifest and a page
// of tags (4 MiB), a blob (the caller's limit), a list of tags ([Options.MaxTags], 16 MiB, 128 bytes for a tag, as
// many pages as there are tags and 8 more), the texts of errors (1 KiB, codes 64 bytes), tokens (16 KiB; those of
// 1000 repositories are kept), and the time for each question ([Options.Timeout]).
//
// # What it costs
//
// Connections are kept. A repository is asked once without a token, whatever the number of goroutines, which wait for
// that for two seconds at most; the token is then used until the registry refuses it. There is no ping, but for
// insecure access. Nothing is retried and no rate is kept: wrap the registry for that. The class of an error says
// what may help, RetryAfter when.
package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/importer"
)

const (
	defaultUserAgent = "imagestreams/0.1"
	defaultTimeout   = time.Minute
	defaultMaxTags   = 100_000
	maxRedirects     = 5
	maxIdlePerHost   = 32
	maxManifest      = 4 << 20 // bytes, also of a page of tags
	maxFailure       = 64 << 10
	maxHeader        = 64 << 10
	maxMediaType     = 256
)

// Options say how registries are spoken to. The zero value is fine.
type Options struct {
	// Credentials returns what to use for a repository, as "quay.io/org/app", where the access does not say; the zero
	// Credentials are anonymous. Nil is always anonymous.
	Credentials func(ctx context.Context, repository string) (importer.Credentials, error)
	// RootCAs are authorities to trust besides the system's.
	RootCAs []*x509.Certificate
	// UserAgent is imagestreams/0.1 if empty.
	UserAgent string
	// Timeout bounds each question, redirects and token included; 0 is a minute.
	Timeout time.Duration
	// MaxTags is how many tags a repository may have; 0 is 100,000.
	MaxTags int
	// TokenHosts are hosts, "gitlab.home" or "10.0.0.7:8443", whose token servers are asked although they are on an
	// internal address. The registry's own host always is.
	TokenHosts []string
	// RedirectHosts are such hosts that registries may redirect to.
	RedirectHosts []string
	// Wrap, if not nil, is put around the transport: to count, to log, to delay. One that sends requests by itself
	// does not check where names lead. What http.DefaultTransport is does not matter; proxies are those of the
	// environment, as HTTPS_PROXY.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Registry speaks to any registry by HTTP. It is safe for concurrent use.
type Registry struct {
	opts             Options
	secure, insecure connection
}

// connection is a client with the authorizations that were got through it by the Registry's own credentials.
type connection struct {
	client *client
	tokens *authorizations
}

var _ importer.Registry = (*Registry)(nil)

// New returns a registry client. It asks nobody yet.
func New(opts Options) (*Registry, error) {
	if opts.UserAgent == "" {
		opts.UserAgent = defaultUserAgent
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.MaxTags <= 0 {
		opts.MaxTags = defaultMaxTags
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
	}
	for _, ca := range opts.RootCAs {
		roots.AddCert(ca)
	}
	return &Registry{
		opts:     opts,
		secure:   newConnection(opts, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		insecure: newConnection(opts, &tls.Config{InsecureSkipVerify: true}),
	}, nil
}

func newConnection(opts Options, config *tls.Config) connection {
	transport := newTransport()
	transport.TLSClientConfig = config
	transport.MaxIdleConnsPerHost = maxIdlePerHost
	transport.MaxResponseHeaderBytes = 2 * maxHeader
	var wrapped http.RoundTripper = newGuard(transport)
	if opts.Wrap != nil {
		wrapped = opts.Wrap(wrapped)
	}
	return connection{&client{wrapped, opts.UserAgent}, &authorizations{}}
}

// newTransport returns a transport with the settings that http.DefaultTransport has in a new program. What a program
// put there may dial, and check certificates, in its own way.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DialContext:       (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2: true,
		MaxIdleConns:      100, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
	}
}

// dockerHubHost serves the registry that images without a host come from.
const dockerHubHost = "registry-1.docker.io"

// Repository implements [importer.Registry]. It asks nothing: the first question does.
func (r *Registry) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	host := reference.Domain(name)
	if host == "docker.io" || host == "index.docker.io" {
		host = dockerHubHost
	}
	c := r.secure
	if access.Insecure {
		c = r.insecure
	}
	if access.Credentials != nil {
		c.tokens = &authorizations{} // those of one set of credentials are nobody else's
	}
	repo := &repository{
		opts: &r.opts, client: c.client, tokens: c.tokens, given: access.Credentials,
		name: name.Name(), path: reference.Path(name), host: host, insecure: access.Insecure,
		gate: newGate(), turn: make(chan struct{}, 1),
	}
	return repo, ctx.Err()
}
