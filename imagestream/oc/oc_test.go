package oc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// serverFunc is a server in a function.
type serverFunc func(ctx context.Context, r oc.Request) (json.RawMessage, error)

func (f serverFunc) Do(ctx context.Context, r oc.Request) (json.RawMessage, error) { return f(ctx, r) }

func refuse(reason imagestream.StatusReason) error {
	return imagestream.NewError(reason, "imagestreamtags", imagestream.Key{Name: "app:v1"}, "")
}

// TestConflictsAreRetried counts attempts and the time between them.
func TestConflictsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		calls := 0
		c := &oc.Commands{Server: serverFunc(func(context.Context, oc.Request) (json.RawMessage, error) {
			calls++
			return nil, refuse(imagestream.ReasonConflict)
		})}
		err := c.Tag(t.Context(), in("shop", "quay.io/org/app:v1", "app:v1"))
		if !errors.Is(err, imagestream.ErrConflict) || calls != 5 || time.Since(begin) != 40*time.Millisecond {
			t.Errorf("%d calls in %v: %v; want 5 in 40 ms, and the conflict", calls, time.Since(begin), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c.Server = serverFunc(func(context.Context, oc.Request) (json.RawMessage, error) {
			cancel()
			return nil, refuse(imagestream.ReasonConflict)
		})
		if err := c.Tag(ctx, in("shop", "quay.io/org/app:v1", "app:v1")); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled command: %v", err)
		}
	})
}

// TestUsage has commands that are wrong as typed: nothing is asked or sent.
func TestUsage(t *testing.T) {
	c := &oc.Commands{Server: serverFunc(func(_ context.Context, r oc.Request) (json.RawMessage, error) {
		t.Errorf("%s %s was sent", r.Verb, r.Resource)
		return nil, io.EOF
	})}
	flag := func(cmd oc.Command, name string, values ...string) oc.Command {
		cmd.Flags[name] = values
		return cmd
	}
	for _, tc := range []struct {
		run   func(context.Context, oc.Command) error
		cmd   oc.Command
		about string
	}{
		{c.Tag, in("shop"), "SOURCE DEST"},
		{c.Tag, in("shop", "quay.io/org/app:v1"), "destination"},
		{c.Tag, in("shop", "Bad", "app:v1"), "source"},
		{c.Tag, flag(in("shop", "app:v1", "app:v2"), "source", "image"), "--source=image"},
		{c.Tag, flag(in("shop", "app:v1", "app:v2"), "delete", "perhaps"), "--delete=perhaps"},
		{c.Tag, flag(in("shop", "app:v1"), "nope", "1"), "--nope"},
		{c.Tag, in("shop", "quay.io/org/app", "app"), `"app": want STREAM:TAG`},
		{c.Tag, in("shop", "quay.io/org/app", "a/b/c:d"), "NAMESPACE/STREAM:TAG"},
		{c.Tag, flag(flag(in("shop", "app:v1"), "delete", "true"), "alias", "true"), "--alias and --delete"},
		{c.ImportImage, in("shop"), "STREAM[:TAG]"},
		{c.ImportImage, flag(in("shop", "app:v1"), "all", "true"), "--all"},
		{c.ImportImage, flag(in("shop", "app"), "import-mode", "legacy"), "Legacy or PreserveOriginal"},
		{c.ImportImage, flag(in("shop", "app"), "reference-policy", "both"), "source or local"},
		{c.CreateImageStream, in("shop"), "exactly one NAME"},
		{c.CreateImageStream, flag(in("shop", "app"), "dry-run", "maybe"), "none, client or server"},
		{c.CreateImageStream, flag(in("shop", "app"), "output", "yaml"), "json or name"},
		{c.CreateImageStreamTag, flag(in("shop", "app:v1"), "annotation", "example.com/a=b"), "key=value"},
		{c.CreateImageStreamTag, flag(in("shop", "app:v1"), "annotation", `a="b`), "--annotation"},
		{c.CreateImageStreamTag, flag(in("shop", "app:v1"), "from", "quay.io/org/app"), "--from-image"},
		{c.SetImageLookup, in("shop", "bogus/app"), `"bogus"`},
		{c.SetImageLookup, in("shop", "is/"), "TYPE/NAME"},
		{c.SetImageLookup, flag(in("shop", "app"), "list", "true"), "is/app"},
		{c.SetImageLookup, flag(in("shop"), "selector", "a=b"), "--all"},
		{c.SetImageLookup, flag(in("shop"), "local", "true"), "files"},
		{c.SetImageLookup, flag(in("shop", "app"), "all", "true"), "--all"},
		{c.SetImageLookup, flag(in("shop", "app"), "dry-run", "maybe"), "none, client or server"},
		{c.SetImageLookup, flag(in("shop", "app"), "output", "yaml"), "name"},
	} {
		if err := tc.run(t.Context(), tc.cmd); !errors.Is(err, oc.ErrUsage) || !strings.Contains(err.Error(), tc.about) {
			t.Errorf("%q %v: %v; want a usage error about %q", tc.cmd.Args, tc.cmd.Flags, err, tc.about)
		}
	}
}

// TestLocalServer is what the commands do not ask of a Local.
func TestCommandsWithoutServer(t *testing.T) {
	err := new(oc.Commands).Tag(t.Context(), oc.Command{Namespace: "shop", Args: []string{"quay.io/org/app:v1", "app:v1"}})
	if err == nil || !strings.Contains(err.Error(), "Commands.Server") {
		t.Errorf("%v; want that Commands.Server is not set", err)
	}
}

func TestLocalServer(t *testing.T) {
	_, streams := commands()
	l := oc.Local{API: streams.API}
	app := imagestream.Key{Namespace: "shop", Name: "app"}
	do := func(r oc.Request) error {
		r.Namespace = "shop"
		_, err := l.Do(t.Context(), r)
		return err
	}
	if err := do(oc.Request{Verb: oc.Create, Resource: "imagestreams", Query: map[string]string{"dryRun": "All"}, Object: &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Name: "app"},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := streams.Get(t.Context(), app); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a dry run created: %v", err)
	}
	if _, err := streams.Tag(t.Context(), app, "v1", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
		t.Fatal(err)
	}
	old, err := streams.Get(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	patch := func(text string) error {
		return do(oc.Request{Verb: oc.Patch, Resource: "imagestreams", Name: "app", Patch: json.RawMessage(text), PatchType: oc.StrategicMergePatch})
	}
	for _, text := range []string{`{"metadata":{"annotations":{"a":"1","b":"2"}}}`, `{"metadata":{"annotations":{"a":null}}}`} {
		if err := patch(text); err != nil {
			t.Fatal(err)
		}
	}
	s, err := streams.Get(t.Context(), app)
	if err != nil || len(s.Metadata.Annotations) != 1 || s.Metadata.Annotations["b"] != "2" || len(s.Spec.Tags) != 1 {
		t.Errorf("patched: %+v, %v", s, err)
	}
	if err := patch(`{"spec":{"tags":[{"name":"v1","importPolicy":{"scheduled":true}},{"name":"v2","from":{"kind":"DockerImage","name":"quay.io/org/app:v2"}}]}}`); err != nil {
		t.Fatal(err)
	}
	s, err = streams.Get(t.Context(), app)
	if err != nil || len(s.Spec.Tags) != 2 || !s.Spec.Tags[0].ImportPolicy.Scheduled || s.Spec.Tags[0].From.Name != "quay.io/org/app:v1" {
		t.Errorf("a patch of tags is not merged by name: %+v, %v", s.Spec.Tags, err)
	}
	for _, text := range []string{
		`{"spec":{"tags":[{"from":null}]}}`, `{"metadata":{"finalizers":["a/b"]}}`, `{"spec":{"$patch":"replace"}}`,
		`{"spec":{"tags":[{"name":"v1","$patch":"delete"}]}}`,
	} {
		var status *imagestream.StatusError
		if err := patch(text); !errors.As(err, &status) || status.Reason != imagestream.ReasonBadRequest {
			t.Errorf("patch %s: %v; want BadRequest", text, err)
		}
	}
	if err := patch("{"); err == nil {
		t.Error("half a patch was taken")
	}
	if err := do(oc.Request{Verb: oc.Update, Resource: "imagestreams", Name: "app", Object: old}); !errors.Is(err, imagestream.ErrConflict) {
		t.Errorf("an update of an old version: %v", err)
	}
	if err := do(oc.Request{Verb: oc.Create, Resource: "imagestreamtags", Object: &imagestream.ImageStreamTag{}}); err == nil {
		t.Error("a tag without a name was created")
	}
	for range 2 {
		err = do(oc.Request{Verb: oc.Delete, Resource: "imagestreams", Name: "app"})
	}
	if !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	without := oc.Local{API: rest.New(&fakes.Store{}, nil)}
	if _, err := without.Do(t.Context(), oc.Request{Verb: oc.Create, Resource: "imagestreamimports", Object: &imagestream.ImageStreamImport{}}); !errors.Is(err, rest.ErrNoImporter) {
		t.Errorf("an import without a registry: %v", err)
	}
}

// failing cannot be written to.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnswersAndOutputsThatFail(t *testing.T) {
	garbage := serverFunc(func(context.Context, oc.Request) (json.RawMessage, error) {
		return json.RawMessage(`{"items":3,"metadata":3`), nil
	})
	asJSON := func(name string) oc.Command {
		cmd := in("shop", name)
		cmd.Flags["output"] = []string{"json"}
		return cmd
	}
	for name, run := range map[string]func(c *oc.Commands) error{
		"import": func(c *oc.Commands) error { return c.ImportImage(t.Context(), in("shop", "app")) },
		"lookup": func(c *oc.Commands) error { return c.SetImageLookup(t.Context(), in("shop", "app")) },
		"list":   func(c *oc.Commands) error { return c.SetImageLookup(t.Context(), in("shop")) },
		"tag":    func(c *oc.Commands) error { return c.Tag(t.Context(), in("shop", "app:v1", "app:v2")) },
		"create": func(c *oc.Commands) error { return c.CreateImageStream(t.Context(), asJSON("app")) },
	} {
		if err := run(&oc.Commands{Server: garbage, Out: io.Discard}); err == nil || !strings.Contains(err.Error(), "server's") {
			t.Errorf("%s with an unreadable answer: %v", name, err)
		}
	}
	good, _ := commands()
	good.Out = failing{}
	for _, tc := range []struct {
		name string
		run  func() error
	}{
		{"create", func() error { return good.CreateImageStream(t.Context(), in("shop", "app")) }},
		{"json", func() error { return good.CreateImageStream(t.Context(), asJSON("other")) }},
		{"tag", func() error { return good.Tag(t.Context(), in("shop", "quay.io/org/app:v1", "app:v1")) }},
		{"import", func() error { return good.ImportImage(t.Context(), in("shop", "app:v1")) }},
		{"lookup", func() error { return good.SetImageLookup(t.Context(), in("shop")) }},
	} {
		if err := tc.run(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s to a closed pipe: %v", tc.name, err)
		}
	}
	good.Out = nil
	if err := good.SetImageLookup(t.Context(), in("shop")); err != nil {
		t.Errorf("without an output: %v", err)
	}
}

// FuzzPlanTag checks that whatever is planned can be sent: each step has an error, or a tag whose name says
// where it goes and whose source can be read.
func FuzzPlanTag(f *testing.F) {
	f.Add("quay.io/org/app:v1", "app:v1", "docker", "local", "Legacy", byte(0))
	f.Add("app:v1", "other/app:", "", "", "", byte(1))
	f.Add("app@sha256:0101010101010101010101010101010101010101010101010101010101010101", "web:x", "isimage", "source", "", byte(6))
	f.Add("a/b/c", "a:b:c", "", "", "", byte(8))
	f.Fuzz(func(t *testing.T, source, dest, kind, policy, mode string, bits byte) {
		cmd := in("shop", source, dest)
		for name, value := range map[string]string{"source": kind, "reference-policy": policy, "import-mode": mode} {
			if value != "" {
				cmd.Flags[name] = []string{value}
			}
		}
		for i, name := range []string{"alias", "delete", "scheduled", "insecure", "reference"} {
			if bits&(1<<i) != 0 {
				cmd.Flags[name] = []string{"true"}
			}
		}
		plan, err := oc.PlanTag(cmd, oc.Resources())
		if err != nil {
			if !errors.Is(err, oc.ErrUsage) {
				t.Errorf("%v is no usage error", err)
			}
			return
		}
		var stream *imagestream.ImageStream
		if key, ok := plan.Needs(); ok {
			stream = &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		}
		steps, err := plan.Steps(stream)
		if err != nil {
			return
		}
		for _, s := range steps {
			switch {
			case s.Err != nil:
			case s.Message == "" || s.Namespace == "" || s.Tag == "":
				t.Errorf("a step without message or place: %+v", s)
			case s.Object == nil:
				if bits&2 == 0 {
					t.Errorf("a step that deletes unasked: %+v", s)
				}
			default:
				from := s.Object.Tag.From
				if from.Kind == imagestream.KindDockerImage && from.Name != "" {
					if _, err := pullspec.Parse(from.Name); err != nil {
						t.Errorf("source %q of %q: %v", from.Name, source, err)
					}
				}
				if s.Object.Metadata.Name != s.Name || !pullspec.IsTag(s.Tag) || s.Object.Tag.Name != s.Tag {
					t.Errorf("a tag %q that is sent as %q: %+v", s.Tag, s.Name, s.Object)
				}
			}
		}
	})
}

// TestImportAllOfARepository imports a repository that the stream does not have yet, with all of its tags.
func TestImportAllOfARepository(t *testing.T) {
	c, streams := commands()
	registry := streams.API.(*rest.Server).Importer.Registry.(*fakes.Registry)
	registry.Edit("quay.io", func(contents fakes.Contents) { contents.Push("org/app", fakes.Image{Layer: "two"}, "v2", "latest") })
	var out strings.Builder
	c.Out = &out
	all := in("shop", "app")
	all.Flags["from"], all.Flags["all"], all.Flags["confirm"] = []string{"quay.io/org/app"}, []string{"true"}, []string{"true"}
	if err := c.ImportImage(t.Context(), all); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	stream, err := streams.Get(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"latest", "v1", "v2"} {
		if latest, ok := stream.LatestEvent(tag); !ok || latest.Image == "" {
			t.Errorf("%s has no image:\n%s", tag, out.String())
		}
	}
}

// TestImportEndsAsTheRealClientDoes: its printer adds a line, and what is not imported stands apart.
func TestImportEndsAsTheRealClientDoes(t *testing.T) {
	c, streams := commands()
	server := streams.API.(*rest.Server)
	server.Importer.Registry.(*fakes.Registry).Edit("quay.io", func(contents fakes.Contents) {
		contents.Push("org/app", fakes.Image{Layer: "two"}, "v2")
	})
	server.Importer.MaxTags = 1
	var out strings.Builder
	c.Out = &out
	all := in("shop", "app")
	all.Flags["from"], all.Flags["all"], all.Flags["confirm"] = []string{"quay.io/org/app"}, []string{"true"}, []string{"true"}
	if err := c.ImportImage(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	const want = "\n\n\ninfo: The remote repository contained 1 additional tags which were not imported: v2\n\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q does not end with %q", out.String(), want)
	}
}

// TestNoCircles: with the option, no alias closes a circle; without it, as with the real client, it does.
func TestNoCircles(t *testing.T) {
	for _, noCircles := range []bool{true, false} {
		c, streams := commands()
		c.Out, c.NoCircles = nil, noCircles
		app := imagestream.Key{Namespace: "shop", Name: "app"}
		if _, err := streams.Tag(t.Context(), app, "v1", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
			t.Fatal(err)
		}
		alias := func(source, dest string) error {
			cmd := in("shop", source, dest)
			cmd.Flags["alias"] = []string{"true"}
			return c.Tag(t.Context(), cmd)
		}
		if err := alias("app:v1", "app:a"); err != nil {
			t.Fatal(err)
		}
		for _, tc := range [][2]string{{"app:b", "app:b"}, {"app:a", "app:v1"}} {
			if err := alias(tc[0], tc[1]); errors.Is(err, oc.ErrUsage) != noCircles {
				t.Errorf("NoCircles %t: %s to follow %s: %v", noCircles, tc[1], tc[0], err)
			}
		}
	}
}

// TestMessagesQuoteWhatWasTyped: the source as it was typed, not as it was read.
func TestMessagesQuoteWhatWasTyped(t *testing.T) {
	c, _ := commands()
	for _, source := range []string{"quay.io/org/app:v1", "library/app"} {
		cmd := in("shop", source, "app:x")
		cmd.Flags["source"] = []string{"istag"}
		if err := c.Tag(t.Context(), cmd); !errors.Is(err, oc.ErrUsage) || !strings.Contains(err.Error(), strconv.Quote(source)) {
			t.Errorf("source %s: %v", source, err)
		}
	}
}

// TestLookupOfANameWithADotIsWarnedOf: turning it on says that it does nothing.
func TestLookupOfANameWithADotIsWarnedOf(t *testing.T) {
	c, streams := commands()
	var warnings strings.Builder
	c.Out, c.Warnings = nil, &warnings
	for _, name := range []string{"my.app", "app"} {
		if _, err := streams.Create(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}}); err != nil {
			t.Fatal(err)
		}
		if err := c.SetImageLookup(t.Context(), in("shop", name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := warnings.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"my.app"`) {
		t.Errorf("warnings %q, want one about my.app", got)
	}
}
