// Package registryserver starts a real registry for tests and demonstrations: the CNCF distribution's
// handlers in this process, on loopback, with TLS, token authentication and storage in a folder.
package registryserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	// The parts of the registry that are used.
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

// Options say how a registry is started.
type Options struct {
	// Dir is where it keeps its data; it must exist.
	Dir string
	// Auth asks for tokens. Anybody may then pull what does not begin with "private/"; Users, by name with
	// their passwords, may pull everything.
	Auth  bool
	Users map[string]string
	// TokenHost and TokenPath are where challenges say that tokens are; empty is 127.0.0.1 and /token. The host must
	// lead to this machine.
	TokenHost, TokenPath string
	// Delete lets layers and manifests be deleted from repositories, and, as OpenShift's registry does, blobs for good by
	// DELETE /admin/blobs/DIGEST.
	Delete bool
}

// Server is a registry that runs.
type Server struct {
	// Host is host:port to reach it by.
	Host string
	// CA is the authority of its certificate.
	CA *x509.Certificate

	issuer *issuer // nil without authentication
	server *http.Server
	client *http.Client
}

// Start starts a registry. Close stops it; its data stay.
func Start(opts Options) (*Server, error) {
	key, cert, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	s := &Server{Host: listener.Addr().String(), CA: cert}

	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": opts.Dir},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.HTTP.Secret = "for one process only"
	mux := http.NewServeMux()
	if opts.Delete {
		config.Storage["delete"] = configuration.Parameters{"enabled": true}
		remove, err := blobRemover(opts.Dir)
		if err != nil {
			listener.Close()
			return nil, err
		}
		mux.Handle("DELETE /admin/blobs/{digest}", remove)
	}
	if opts.Auth {
		bundle := filepath.Join(opts.Dir, "token-ca.pem")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		if err := os.WriteFile(bundle, text, 0o600); err != nil {
			listener.Close()
			return nil, fmt.Errorf("write the token issuer's certificate: %w", err)
		}
		s.issuer = &issuer{key: key, cert: cert, users: opts.Users}
		path := cmp.Or(opts.TokenPath, "/token")
		_, port, _ := net.SplitHostPort(s.Host)
		realm := "https://" + net.JoinHostPort(cmp.Or(opts.TokenHost, "127.0.0.1"), port) + path
		config.Auth = configuration.Auth{"token": configuration.Parameters{
			"realm": realm, "service": service, "issuer": issuerName, "rootcertbundle": bundle,
		}}
		mux.Handle(path, s.issuer)
	}
	mux.Handle("/", handlers.NewApp(context.Background(), config))
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	certificate := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	tlsListener := tls.NewListener(listener,
		&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	go s.server.Serve(tlsListener) //nolint:errcheck // it ends with Close

	roots := x509.NewCertPool()
	roots.AddCert(cert)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return s, nil
}

// Close stops the registry.
func (s *Server) Close() error {
	s.client.CloseIdleConnections()
	return s.server.Close()
}

func newCertificate() (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test registry"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return key, cert, err
}

// Push stores contents as a client would: blobs, then images, then lists, then tags.
func (s *Server) Push(ctx context.Context, contents fakes.Contents) error {
	for _, path := range slices.Sorted(maps.Keys(contents)) {
		repository := contents[path]
		for d, text := range repository.Blobs {
			if err := s.pushBlob(ctx, path, d, text); err != nil {
				return fmt.Errorf("push blob %s to %s: %w", d, path, err)
			}
		}
		for _, lists := range []bool{false, true} {
			for d, m := range repository.Manifests {
				if lists != strings.Contains(m.MediaType, "index") && m.MediaType != manifest.MediaTypeDockerList {
					continue
				}
				if err := s.pushManifest(ctx, path, d.String(), m); err != nil {
					return fmt.Errorf("push manifest %s to %s: %w", d, path, err)
				}
			}
		}
		for tag, d := range repository.Tags {
			if err := s.pushManifest(ctx, path, tag, repository.Manifests[d]); err != nil {
				return fmt.Errorf("push tag %s to %s: %w", tag, path, err)
			}
		}
	}
	return nil
}

func (s *Server) pushManifest(ctx context.Context, path, ref string, m fakes.StoredManifest) error {
	_, err := s.do(ctx, http.MethodPut, path, "https://"+s.Host+"/v2/"+path+"/manifests/"+ref, m.MediaType, m.Raw)
	return err
}

func (s *Server) pushBlob(ctx context.Context, path string, d digest.Digest, text string) error {
	answer, err := s.do(ctx, http.MethodPost, path, "https://"+s.Host+"/v2/"+path+"/blobs/uploads/", "", "")
	if err != nil {
		return err
	}
	at, err := answer.Location()
	if err != nil {
		return err
	}
	query := at.Query()
	query.Set("digest", d.String())
	at.RawQuery = query.Encode()
	_, err = s.do(ctx, http.MethodPut, path, at.String(), "application/octet-stream", text)
	return err
}

func (s *Server) do(ctx context.Context, method, path, url, mediaType, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if s.issuer != nil {
		token, err := s.issuer.token([]access{{"repository", path, []string{"pull", "push"}}})
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, fmt.Errorf("%s: %s", answer.Status, text)
	}
	return answer, nil
}
