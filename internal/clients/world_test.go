package clients

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
	"github.com/imagestreams/imagestreams/importer/registries"
	"github.com/imagestreams/imagestreams/importer/schedule"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

const (
	internalRegistry = "image-registry.openshift-image-registry.svc:5000"
	// interval is how often scheduled tags are imported.
	interval = 200 * time.Millisecond
	// maxTags is how many tags of a repository are imported.
	maxTags = 3
	// patience is how long a transcript may take.
	patience = 5 * time.Minute

	user, password = "robot", "secret"
	// secretNamespace has the pull secret of the private repositories.
	secretNamespace = "shop"
)

// clock is when everything is stored: long enough ago that the ages in one transcript are all the same.
var clock = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a store with its verbs, and a loop that keeps it imported.
type world struct {
	store    *fakes.Store
	api      *rest.Server
	importer *importer.Importer // of the loop

	mu       sync.Mutex
	imports  map[imagestream.Key]int
	imported chan struct{} // after an import, unless one waits there already
}

// newWorld is one over a registry of which the images of docker.io and quay.io are repositories. Who may read what is
// asked of the authorizer.
func newWorld(registry *registryserver.Server, who imagestream.Authorizer) (*world, error) {
	client, err := oci.New(oci.Options{
		RootCAs: []*x509.Certificate{registry.CA},
		Wrap: func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host != registry.Host {
					return nil, fmt.Errorf("%s is not on this machine", r.URL.Host)
				}
				return next.RoundTrip(r)
			})
		},
	})
	if err != nil {
		return nil, err
	}
	keys, err := pullSecret(registry.Host)
	if err != nil {
		return nil, err
	}
	rules := mirrors(registry.Host)
	store := &fakes.Store{}
	imports := func(who imagestream.Authorizer) *importer.Importer {
		return &importer.Importer{
			Registry: client,
			Engine: &write.Engine{
				Store: store, Authorizer: who, Now: func() time.Time { return clock },
				Settings: imagestream.Settings{InternalRegistry: internalRegistry},
			},
			Registries: registries.New(registries.Configuration{ITMS: rules, IDMS: rules}),
			MaxTags:    maxTags,
			Secrets:    keys,
		}
	}
	asked := imports(who)
	return &world{
		store: store, api: &rest.Server{Engine: asked.Engine, Importer: asked}, importer: imports(everybody{}),
		imports: map[imagestream.Key]int{}, imported: make(chan struct{}, 1),
	}, nil
}

// mirrors say that the images of public registries are in a registry of the test.
func mirrors(host string) (rules []registries.Rule) {
	for _, public := range []string{"docker.io", "quay.io"} {
		rules = append(rules, registries.Rule{Source: public, Mirrors: []string{host + "/" + public}})
	}
	return rules
}

// mirrorsYAML is the file that says so to a server.
func mirrorsYAML(host string) string {
	text := "itms:\n"
	for _, rule := range mirrors(host) {
		text += fmt.Sprintf("- {source: %s, mirrors: [%q]}\n", rule.Source, rule.Mirrors[0])
	}
	return text
}

// pullSecret has the credentials of the private repositories for one namespace.
func pullSecret(host string) (func(context.Context, string) (importer.CredentialFinder, error), error) {
	text := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, host, user, password)
	config, err := keyring.ParseConfig([]byte(text))
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, namespace string) (importer.CredentialFinder, error) {
		if namespace == secretNamespace {
			return keyring.New(config), nil
		}
		return keyring.New(), nil
	}, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// everybody may read everything.
type everybody struct{}

func (everybody) MayGetLayers(context.Context, imagestream.Key) (bool, error) { return true, nil }

// run keeps the streams imported until ctx ends.
func (w *world) run(ctx context.Context) error {
	loop := &schedule.Loop{
		Importer: w.importer,
		Options:  schedule.Options{Interval: interval},
		Imported: func(stream imagestream.Key, _ *imagestream.ImageStreamImport, _ error) {
			w.mu.Lock()
			w.imports[stream]++
			w.mu.Unlock()
			select {
			case w.imported <- struct{}{}:
			default:
			}
		},
	}
	if err := loop.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// start is run for a test, until it ends.
func (w *world) start(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// await waits until a condition holds, which only imports change.
func (w *world) await(ctx context.Context, what string, holds func() (bool, error)) error {
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-w.imported:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
}

// settle waits until no stream waits for an import.
func (w *world) settle(ctx context.Context) error {
	return w.await(ctx, "no stream waits for an import", func() (bool, error) {
		streams, err := w.store.ListImageStreams(ctx, imagestream.ListOptions{})
		if err != nil {
			return false, err
		}
		for i := range streams.Items {
			if importer.NeedsImport(&streams.Items[i]).Import != nil {
				return false, nil
			}
		}
		return true, nil
	})
}

// rounds waits until a stream was imported so many more times.
func (w *world) rounds(ctx context.Context, stream imagestream.Key, more int) error {
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.imports[stream]
	}
	until := count() + more
	return w.await(ctx, fmt.Sprintf("%s is imported again", stream), func() (bool, error) { return count() >= until, nil })
}

// history returns the images that a tag pointed at, the newest first; nil if there is no such tag.
func (w *world) history(ctx context.Context, namespace, name string) ([]string, error) {
	stream, tag, _ := strings.Cut(name, ":")
	got, err := w.store.GetImageStream(ctx, imagestream.Key{Namespace: namespace, Name: stream})
	if errors.Is(err, imagestream.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var images []string
	for _, history := range got.Status.Tags {
		if history.Tag != tag {
			continue
		}
		for _, event := range history.Items {
			images = append(images, event.Image)
		}
	}
	return images, nil
}

// contents is an image with everything that "oc describe istag" shows. What is in it depends on its title alone.
func contents(path, tag, title string) (fakes.Contents, digest.Digest) {
	repository := &fakes.Repository{
		Tags:      map[string]digest.Digest{},
		Manifests: map[digest.Digest]fakes.StoredManifest{},
		Blobs:     map[digest.Digest]string{},
	}
	layers := []string{"the first layer, which all images share", "the last layer, of " + title}
	var diffs []digest.Digest
	blob := func(mediaType, text string) manifest.Descriptor {
		d := digest.FromString(text)
		repository.Blobs[d] = text
		return manifest.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(text))}
	}
	var descriptors []manifest.Descriptor
	for _, layer := range layers {
		descriptors = append(descriptors, blob("application/vnd.docker.image.rootfs.diff.tar.gzip", layer))
		diffs = append(diffs, digest.FromString(layer))
	}
	config := encode(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2023-12-01T00:00:00Z", "author": "Ada <ada@example.com>",
		"config": map[string]any{
			"User": "1001", "WorkingDir": "/opt/app-root/src", "Entrypoint": []string{"container-entrypoint"},
			"Cmd": []string{"/bin/sh", "-c", "run"}, "ExposedPorts": map[string]any{"8080/tcp": map[string]any{}},
			"Env": []string{"PATH=/usr/bin:/bin", "TITLE=" + title}, "Labels": map[string]string{"title": title},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	raw := encode(map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeDockerManifest, "layers": descriptors,
		"config": blob("application/vnd.docker.container.image.v1+json", config),
	})
	d := digest.FromString(raw)
	repository.Manifests[d] = fakes.StoredManifest{MediaType: manifest.MediaTypeDockerManifest, Raw: raw}
	repository.Tags[tag] = d
	return fakes.Contents{path: repository}, d
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and strings have JSON
	}
	return string(raw)
}
