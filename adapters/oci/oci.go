// Package oci is an [importer.Registry] over HTTP: Docker registries and OCI distribution servers, by
// oras-go's authentication.
//
// # Whom it trusts
//
// TLS with the system's authorities and [Options.RootCAs]. Certificates that cannot be checked, and plain
// HTTP where TLS cannot be had at all, only where the access says insecure. At most five redirects are
// followed, never from https to http; credentials stay with the host that they are for, and a token server
// that a registry names must not be on an internal address, unless it is the registry itself.
//
// Credentials are those of the access, or of [Options.Credentials], such as [DockerConfig]; without any,
// pulls are anonymous. They stand in no error and no log.
//
// # What it believes
//
// Everything read is bounded: 4 MiB for a manifest and for a page of tags, the caller's limit for a blob,
// [Options.MaxTags] tags, [Options.Timeout] for each question. What is asked by digest must have that digest.
//
// # What it costs
//
// Connections are kept. A repository is asked once without a token, whatever the number of goroutines; the
// token is then used until the registry refuses it. There is no ping, but for insecure access. Nothing is
// retried and no rate is kept: wrap the registry for that. The class of an error says what may help,
// RetryAfter when.
package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2/registry/remote/auth"

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
)

// Options say how registries are spoken to. The zero value is fine.
type Options struct {
	// Credentials returns what to use for a host where the access does not say; the zero Credentials are
	// anonymous. Nil is always anonymous.
	Credentials func(ctx context.Context, host string) (importer.Credentials, error)
	// RootCAs are authorities to trust besides the system's.
	RootCAs []*x509.Certificate
	// UserAgent is imagestreams/0.1 if empty.
	UserAgent string
	// Timeout bounds each question, redirects and token included; 0 is a minute.
	Timeout time.Duration
	// MaxTags is how many tags a repository may have; 0 is 100,000.
	MaxTags int
	// Wrap, if not nil, is put around the transport: to count, to log, to delay.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Registry speaks to any registry by HTTP. It is safe for concurrent use.
type Registry struct {
	opts             Options
	secure, insecure connection
}

// connection is a client with the tokens that were got through it by the Registry's own credentials.
type connection struct {
	client *http.Client
	tokens auth.Cache
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
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	transport.MaxIdleConnsPerHost = maxIdlePerHost
	var wrapped http.RoundTripper = transport
	if opts.Wrap != nil {
		wrapped = opts.Wrap(wrapped)
	}
	return connection{&http.Client{Transport: tokenRecorder{wrapped}, CheckRedirect: checkRedirect}, auth.NewCache()}
}

// checkRedirect bounds redirects; oras-go has removed the credentials by then if the origin is another one.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirect from https to " + req.URL.Scheme)
	}
	return nil
}

// dockerHubHost serves the registry that images without a host come from.
const dockerHubHost = "registry-1.docker.io"

// Repository implements [importer.Registry]. It asks nothing: the first question does.
func (r *Registry) Repository(ctx context.Context, name reference.Named, access importer.Access) (importer.Repository, error) {
	host := reference.Domain(name)
	if host == "docker.io" || host == "index.docker.io" {
		host = dockerHubHost
	}
	c := r.secure
	if access.Insecure {
		c = r.insecure
	}
	if access.Credentials != nil {
		c.tokens = auth.NewCache() // tokens of one set of credentials are nobody else's
	}
	repo := &repository{
		opts: &r.opts, name: name.Name(), path: reference.Path(name), host: host, insecure: access.Insecure,
		gate: make(chan struct{}, 1),
		client: &auth.Client{
			Client: c.client, Cache: c.tokens, ClientID: "imagestreams", Header: http.Header{"User-Agent": {r.opts.UserAgent}},
			Credential: r.credential(host, access.Credentials),
		},
	}
	return repo, ctx.Err()
}

// credential gives the credentials for host, and none for any other.
func (r *Registry) credential(host string, given *importer.Credentials) auth.CredentialFunc {
	return func(ctx context.Context, asked string) (auth.Credential, error) {
		c := importer.Credentials{}
		switch {
		case asked != host:
			return auth.EmptyCredential, nil
		case given != nil:
			c = *given
		case r.opts.Credentials != nil:
			var err error
			if c, err = r.opts.Credentials(ctx, host); err != nil {
				return auth.EmptyCredential, fmt.Errorf("credentials for %s: %w", host, err)
			}
		}
		return auth.Credential{
			Username: c.Username, Password: c.Password, RefreshToken: c.IdentityToken, AccessToken: c.RegistryToken,
		}, nil
	}
}
