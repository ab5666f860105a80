package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// registry deletes in a registry over HTTPS, as the real client does: DELETE of /v2/NAMESPACE/NAME/blobs/DIGEST,
// /v2/NAMESPACE/NAME/manifests/DIGEST and /admin/blobs/DIGEST.
type registry struct {
	host, token string
	client      *http.Client
}

// requestTimeout bounds one deletion.
const requestTimeout = time.Minute

func (a *app) registry(address string) (prune.Registry, error) {
	if address == "" {
		return nil, errors.New("no image and no stream names the registry: " +
			"say which with --registry-url, or leave it alone with --prune-registry=false")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.authority != "" {
		certificates, err := pems.Read(a.authority)
		if err != nil {
			return nil, err
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		for _, c := range certificates {
			config.RootCAs.AddCert(c)
		}
	}
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	client := &http.Client{
		Transport: transport, Timeout: requestTimeout,
		// A redirect would carry the token elsewhere, and no deletion needs one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &registry{host: address, token: os.Getenv("REGISTRY_TOKEN"), client: client}, nil
}

func (r *registry) DeleteLayerLink(ctx context.Context, s imagestream.Key, digest string) error {
	return r.delete(ctx, "v2", s.Namespace, s.Name, "blobs", digest)
}

func (r *registry) DeleteManifestLink(ctx context.Context, s imagestream.Key, digest string) error {
	return r.delete(ctx, "v2", s.Namespace, s.Name, "manifests", digest)
}

func (r *registry) DeleteBlob(ctx context.Context, digest string) error {
	return r.delete(ctx, "admin", "blobs", digest)
}

// maxBody is how much of an answer is read, so that the connection can be used again.
const maxBody = 64 << 10

// delete deletes one thing. What is not there is deleted. The last part of the path is a digest.
func (r *registry) delete(ctx context.Context, path ...string) error {
	for _, part := range path {
		if part == "" || !pullspec.IsPathSegment(part) {
			return fmt.Errorf("%q cannot stand in a path", part)
		}
	}
	if d := path[len(path)-1]; !pullspec.IsDigest(d) {
		return fmt.Errorf("%q is not a digest", d)
	}
	address := (&url.URL{Scheme: "https", Host: r.host}).JoinPath(path...)
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, address.String(), nil)
	if err != nil {
		return err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxBody); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("the registry answers %s to DELETE %s", resp.Status, address.Path)
}
