package main

import (
	"context"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/registryserver"
	"github.com/imagestreams/imagestreams/lookup"
)

//go:embed imagestream.yaml
var streamYAML string

//go:embed deployment.yaml
var deploymentYAML string

type options struct {
	file        string
	authorities string
	database    string
}

func run(ctx context.Context, out io.Writer, o options) error {
	if o.file == "" {
		return tellStory(ctx, out, o)
	}
	return importFile(ctx, out, o)
}

// story is a store, a registry client that counts, and a clock of its own.
type story struct {
	out      io.Writer
	now      time.Time
	requests atomic.Int64
	store    imagestream.Store
	close    func() error
	streams  *client.Client
	lookup   *lookup.Resolver
	steps    int
}

// newStory keeps its streams in memory, or in a file.
func newStory(ctx context.Context, out io.Writer, database string, opts oci.Options) (*story, error) {
	s := &story{out: out, now: time.Now(), store: &fakes.Store{}, close: func() error { return nil }}
	opts.Wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			s.requests.Add(1)
			return next.RoundTrip(r)
		})
	}
	registry, err := oci.New(opts)
	if err != nil {
		return nil, err
	}
	if database != "" {
		file, err := bolt.Open(ctx, database, bolt.Options{})
		if err != nil {
			return nil, err
		}
		s.store, s.close = file, file.Close
	}
	s.streams = client.New(s.store, registry)
	s.streams.API.(*rest.Server).Engine.Now = func() time.Time { return s.now }
	s.lookup = &lookup.Resolver{Source: s.store}
	return s, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *story) printf(format string, args ...any) {
	fmt.Fprintf(s.out, format, args...)
}

// step tells a step of the story, and what it cost.
func (s *story) step(title string, do func() error) error {
	if s.steps > 0 {
		s.printf("\n")
	}
	s.steps++
	s.printf("%d. %s\n", s.steps, title)
	s.requests.Store(0)
	if err := do(); err != nil {
		return err
	}
	s.done()
	return nil
}

func (s *story) done() {
	switch n := s.requests.Load(); n {
	case 0:
		s.printf("   (no registry request)\n")
	case 1:
		s.printf("   (1 registry request)\n")
	default:
		s.printf("   (%d registry requests)\n", n)
	}
}

func tellStory(ctx context.Context, out io.Writer, o options) error {
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := registryserver.Start(registryserver.Options{Dir: dir, Auth: true})
	if err != nil {
		return err
	}
	defer server.Close()
	s, err := newStory(ctx, out, o.database, oci.Options{RootCAs: []*x509.Certificate{server.CA}})
	if err != nil {
		return err
	}
	return errors.Join(s.tell(ctx, server), s.close())
}

func (s *story) tell(ctx context.Context, server *registryserver.Server) error {

	var stream *imagestream.ImageStream
	for _, step := range []struct {
		title string
		do    func() error
	}{
		{"Somebody runs a registry, with TLS and tokens, and pushes images for amd64 and arm64", func() error {
			s.printf("   %s/runtimes/nodejs has the tags 18, 20 and 22\n", server.Host)
			return push(ctx, server, "18", "20", "22")
		}},
		{"We ask for an image stream of them: nobody has looked at the registry yet", func() (err error) {
			stream, err = s.create(ctx, strings.ReplaceAll(streamYAML, "$REGISTRY", server.Host))
			return err
		}},
		{"The import looks", func() (err error) {
			stream, err = s.importTags(ctx, stream, importer.NeedsImport(stream))
			return err
		}},
		{"What people asked for and what the tags point at", func() error { return s.describe(stream) }},
		{"A Deployment says nodejs:20; this is what it runs", func() error { return s.resolve(ctx, deploymentYAML) }},
		{"An hour later somebody pushes a new nodejs:20; the scheduled import fetches that alone", func() (err error) {
			s.now = s.now.Add(time.Hour)
			if err := push(ctx, server, "20"); err != nil {
				return err
			}
			need, _ := importer.ScheduledImport(stream)
			if stream, err = s.importTags(ctx, stream, need); err != nil {
				return err
			}
			s.history(stream, "20")
			return s.resolve(ctx, deploymentYAML)
		}},
		{"The new image is bad: the tag goes back, and the Deployment with it", func() (err error) {
			s.now = s.now.Add(10 * time.Minute)
			stream, err = s.streams.Rollback(ctx, stream.Key(), "20", edit.Target{})
			if err != nil {
				return err
			}
			s.history(stream, "20")
			return s.resolve(ctx, deploymentYAML)
		}},
	} {
		if err := s.step(step.title, step.do); err != nil {
			return err
		}
	}
	return nil
}

// pushes counts what was pushed, so that each push is another image.
var pushes atomic.Int64

// push stores an image for amd64 and one for arm64 under each tag.
func push(ctx context.Context, server *registryserver.Server, tags ...string) error {
	contents := fakes.Contents{}
	for _, tag := range tags {
		build := fmt.Sprintf("nodejs %s, build %d", tag, pushes.Add(1))
		contents.PushList("runtimes/nodejs", []fakes.Image{
			{Architecture: "amd64", Layer: build + " for amd64"}, {Architecture: "arm64", Layer: build + " for arm64"},
		}, tag)
	}
	return server.Push(ctx, contents)
}

// create reads an image stream and stores it.
func (s *story) create(ctx context.Context, text string) (*imagestream.ImageStream, error) {
	var stream imagestream.ImageStream
	if err := yaml.UnmarshalStrict([]byte(text), &stream); err != nil {
		return nil, fmt.Errorf("read the image stream: %w", err)
	}
	if stream.APIVersion == "v1" { // as older files have it, and oc takes it
		stream.APIVersion = imagestream.APIVersion
	}
	if stream.Kind != "ImageStream" || stream.APIVersion != imagestream.APIVersion {
		return nil, fmt.Errorf(
			"the object is a %s of %s; an ImageStream of %s is wanted",
			stream.Kind,
			stream.APIVersion,
			imagestream.APIVersion,
		)
	}
	if stream.Metadata.Namespace == "" {
		stream.Metadata.Namespace = "default"
	}
	did := "created"
	created, err := s.streams.Create(ctx, &stream)
	if errors.Is(err, imagestream.ErrAlreadyExists) {
		did = "found"
		created, err = s.streams.Update(
			ctx,
			stream.Key(),
			func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
				return edit.Merge(old, &stream), nil
			},
		)
	}
	if err != nil {
		return nil, err
	}
	s.printf("   "+did+" %s, generation %d, %d tags\n", created.Key(), created.Metadata.Generation, len(created.Spec.Tags))
	return created, nil
}

// importTags imports what the stream needs.
func (s *story) importTags(
	ctx context.Context,
	stream *imagestream.ImageStream,
	need importer.Need,
) (*imagestream.ImageStream, error) {
	wanted := need.Import
	if wanted == nil {
		s.printf("   there is nothing to import\n")
		return stream, nil
	}
	tags := make([]string, len(wanted.Spec.Images))
	for i, image := range wanted.Spec.Images {
		tags[i] = image.To.Name
	}
	done, err := s.streams.Import(ctx, stream.Key(), tags...)
	if err != nil && !errors.Is(err, importer.ErrFailed) {
		return nil, err
	}
	width := 0
	for _, image := range done.Spec.Images {
		width = max(width, len(image.To.Name))
	}
	for i, image := range done.Status.Images {
		before, _ := stream.LatestEvent(done.Spec.Images[i].To.Name)
		what := ""
		switch {
		case image.Image == nil:
			what = "failed: " + image.Status.Message
		case image.Image.Metadata.Name == before.Image:
			what = "is unchanged"
		default:
			what = "points at " + short(image.Image.Metadata.Name)
		}
		s.printf("   %-*s  %s\n", width, done.Spec.Images[i].To.Name, what)
	}
	return done.Status.Import, nil
}

func (s *story) describe(stream *imagestream.ImageStream) error {
	var text strings.Builder
	if err := describe.ImageStream(&text, stream, s.now); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		s.printf("%s\n", strings.TrimRight("   "+line, " \n"))
	}
	return nil
}

// history prints what a tag pointed at, newest first.
func (s *story) history(stream *imagestream.ImageStream, tag string) {
	h, _ := stream.History(tag)
	s.printf("   history of %s:\n", tag)
	for _, e := range h.Items {
		s.printf("     %s  %s ago\n", short(e.Image), strings.ToLower(describe.Age(s.now.Sub(e.Created.Time()))))
	}
}

// resolve prints what the images of a workload become.
func (s *story) resolve(ctx context.Context, text string) error {
	var workload map[string]any
	if err := yaml.Unmarshal([]byte(text), &workload); err != nil {
		return fmt.Errorf("read the workload: %w", err)
	}
	changes, err := s.lookup.Changes(ctx, workload, "")
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		s.printf("   nothing changes\n")
	}
	for _, c := range changes {
		s.printf("   %s\n     %s\n  -> %s\n     (%s)\n", c.Path, c.From, c.To, c.Why.Message())
	}
	return nil
}

// short cuts a digest to what people compare.
func short(digest string) string {
	const shown = len("sha256:") + 12
	if len(digest) > shown {
		return digest[:shown]
	}
	return digest
}

// importFile tells the part of the story that needs no registry of its own, with somebody's stream.
func importFile(ctx context.Context, out io.Writer, o options) error {
	text, err := os.ReadFile(o.file)
	if err != nil {
		return err
	}
	var opts oci.Options
	if opts.Credentials, err = oci.DockerConfig(""); err != nil {
		return err
	}
	if o.authorities != "" {
		if opts.RootCAs, err = pems.Read(o.authorities); err != nil {
			return err
		}
	}
	s, err := newStory(ctx, out, o.database, opts)
	if err != nil {
		return err
	}
	return errors.Join(s.tellOfFile(ctx, o, string(text)), s.close())
}

func (s *story) tellOfFile(ctx context.Context, o options, text string) error {
	var stream *imagestream.ImageStream
	err := s.step("The image stream of "+o.file, func() (err error) {
		stream, err = s.create(ctx, text)
		return err
	})
	if err != nil {
		return err
	}
	err = s.step("The import looks", func() (err error) {
		stream, err = s.importTags(ctx, stream, importer.NeedsImport(stream))
		return err
	})
	if err != nil {
		return err
	}
	if err := s.step(
		"What people asked for and what the tags point at",
		func() error { return s.describe(stream) },
	); err != nil {
		return err
	}
	if len(stream.Spec.Tags) == 0 {
		return nil
	}
	name := stream.Metadata.Name + ":" + stream.Spec.Tags[0].Name
	return s.step("A Deployment says "+name+"; this is what it runs", func() error {
		if !stream.Spec.LookupPolicy.Local {
			s.printf("   short names are not looked up: set spec.lookupPolicy.local in %s\n", o.file)
			return nil
		}
		workload := strings.ReplaceAll(deploymentYAML, "nodejs:20", `"`+name+`"`)
		return s.resolve(ctx, strings.ReplaceAll(workload, "namespace: shop", "namespace: "+stream.Metadata.Namespace))
	})
}
