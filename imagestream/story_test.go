package imagestream_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

var update = flag.Bool("update", false, "write the stories anew, with what came out")

// TestStories plays testdata/*.txt. A story has comments, and commands with what came of them:
//
//	# The registry moves the tag.
//	push quay.io/org/app:v1 B
//	import app
//	----
//	(errors, and what the last command prints: the stream, as a rule)
//
// Images are called by a word, which is the content of their layer. The namespace is shop, and a minute passes before each
// command. See [story.run] for the commands.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStory().play(t.Context(), string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := gocmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s (-want +got); -update writes it anew:\n%s", file, diff)
			}
		})
	}
}

// story is a world in which a story happens.
type story struct {
	store    fakes.Store
	registry fakes.Registry
	server   *rest.Server
	streams  *client.Client
	now      time.Time
	names    map[string]string // of images, by their digests
	open     map[imagestream.Key]bool
}

func newStory() *story {
	s := &story{now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), names: map[string]string{}, open: map[imagestream.Key]bool{}}
	s.server = rest.New(&s.store, &s.registry)
	s.server.Engine.Now = func() time.Time { return s.now }
	s.server.Engine.Authorizer = s
	s.server.Engine.Settings.InternalRegistry = "registry:5000"
	s.server.Importer.FailAlone = true
	s.streams = &client.Client{API: s.server, Now: s.server.Engine.Now}
	return s
}

// MayGetLayers says yes for the streams that the command allow has named.
func (s *story) MayGetLayers(_ context.Context, key imagestream.Key) (bool, error) {
	return s.open[key], nil
}

// play returns text with what comes of its commands now.
func (s *story) play(ctx context.Context, text string) string {
	var out strings.Builder
	var failed, result string
	skip := false // what came of the commands before
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case skip && line != "":
			continue
		case line == "----":
			skip = true
			fmt.Fprintf(&out, "----\n%s%s", failed, result)
			failed, result = "", ""
			continue
		case line != "" && !strings.HasPrefix(line, "#"):
			s.now = s.now.Add(time.Minute)
			var err error
			if result, err = s.run(ctx, strings.Fields(line)); err != nil {
				failed += "error: " + outcome(err) + "\n"
			}
			for _, d := range slices.Sorted(maps.Keys(s.names)) {
				result = strings.ReplaceAll(result, d, s.names[d])
			}
		}
		skip = false
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

// outcome is what a program reads of an error: texts are for people.
func outcome(err error) string {
	var status *imagestream.StatusError
	var tag *importer.TagError
	switch {
	case errors.As(err, &tag):
		return fmt.Sprintf("tag %s is not imported: %s", tag.Tag, tag.Class)
	case errors.As(err, &status):
		return strings.Join(append([]string{string(status.Reason)}, causes(status.Errors)...), " ")
	}
	if errors.Is(err, inspect.ErrNotImported) {
		return "not imported yet"
	}
	return err.Error()
}

var errUsage = errors.New("no such command, or words are missing")

// run does a command, and returns the stream as it is then:
//
//	push PULLSPEC IMAGE        somebody pushes to a registry; "push PULLSPEC" takes the tag away
//	fail HOST STATUS           a registry answers this from now on; 0 is as it should
//	allow NAMESPACE/STREAM     its layers may be read
//	wait DURATION              time passes
//	create STREAM | delete STREAM | show STREAM | lookup STREAM on
//	tag STREAM:TAG PULLSPEC [scheduled] [reference] [local]
//	alias STREAM:TAG TAG       copy STREAM:TAG STREAM:TAG     track STREAM:TAG NAMESPACE/STREAM:TAG
//	untag STREAM:TAG           import STREAM [TAG...]         record STREAM:TAG IMAGE
//	rollback STREAM:TAG [N]    resume STREAM:TAG
//	pin STREAM:TAG [DURATION]  unpin STREAM:TAG               trim STREAM N
//	pull STREAM:TAG            state STREAM:TAG
func (s *story) run(ctx context.Context, words []string) (string, error) {
	words = append(words, "", "", "")
	verb, name, arg := words[0], words[1], words[2]
	key, tag := split(name)
	if shown, done, err := s.around(verb, name, arg); done {
		return shown, err
	}
	var err error
	c := s.streams
	switch verb {
	case "show":
	case "create":
		_, err = c.Create(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	case "delete":
		return "", c.Delete(ctx, key)
	case "lookup":
		_, err = c.SetLookup(ctx, key, arg == "on")
	case "tag":
		opts := client.TagOptions{Scheduled: slices.Contains(words, "scheduled"), Reference: slices.Contains(words, "reference")}
		if slices.Contains(words, "local") {
			opts.ReferencePolicy = imagestream.ReferencePolicyLocal
		}
		_, err = c.Tag(ctx, key, tag, arg, opts)
	case "alias":
		_, err = c.Alias(ctx, key, tag, arg)
	case "copy":
		from, fromTag := split(arg)
		_, err = c.Copy(ctx, key, tag, from, fromTag)
	case "track":
		from, fromTag := split(arg)
		_, err = c.Track(ctx, key, tag, from, fromTag)
	case "untag":
		err = c.Untag(ctx, key, tag)
	case "import":
		_, err = c.Import(ctx, key, slices.DeleteFunc(words[2:], func(w string) bool { return w == "" })...)
	case "record":
		_, err = c.Push(ctx, key, tag, &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: s.image(arg)}})
	case "rollback":
		n, _ := strconv.Atoi(arg)
		_, err = c.Rollback(ctx, key, tag, edit.Target{Events: n})
	case "resume":
		_, err = c.Resume(ctx, key, tag)
	case "pin":
		opts := client.PinOptions{Reason: "a story"}
		if d, failed := time.ParseDuration(arg); failed == nil {
			opts.Until = s.now.Add(d)
		}
		_, err = c.Pin(ctx, key, tag, "", opts)
	case "unpin":
		_, err = c.Unpin(ctx, key, tag)
	case "trim":
		err = s.trim(ctx, key, arg)
	case "pull":
		stream, err := c.Get(ctx, key)
		if err != nil {
			return "", err
		}
		spec, err := inspect.PullSpec(stream, tag, inspect.PullSpecOptions{})
		if err != nil {
			return "", err
		}
		return spec.PullSpec + "\n", nil
	case "state":
		stream, err := c.Get(ctx, key)
		if err != nil {
			return "", err
		}
		return string(inspect.TagState(stream, tag).Phase) + "\n", nil
	default:
		return "", errUsage
	}
	if err != nil {
		return "", err
	}
	return s.show(ctx, key)
}

// around does what is not done to a stream.
func (s *story) around(verb, name, arg string) (shown string, done bool, err error) {
	host, path, _ := strings.Cut(name, "/")
	switch verb {
	case "push":
		path, tag, _ := strings.Cut(path, ":")
		s.registry.Edit(host, func(c fakes.Contents) {
			if arg == "" {
				delete(c[path].Tags, tag)
				return
			}
			s.names[c.Push(path, fakes.Image{Layer: arg}, tag).String()] = arg
		})
	case "fail":
		status, failed := strconv.Atoi(arg)
		if s.registry.SetFaults(); status != 0 {
			s.registry.SetFaults(fakes.Fault{Host: name, Kind: "manifest", Status: status})
		}
		err = failed
	case "allow":
		s.open[imagestream.Key{Namespace: host, Name: path}] = true
	case "wait":
		d, failed := time.ParseDuration(name)
		s.now, err = s.now.Add(d), failed
	default:
		return "", false, nil
	}
	return "", true, err
}

// split reads [NAMESPACE/]STREAM[:TAG].
func split(name string) (imagestream.Key, string) {
	namespace, name, ok := strings.Cut(name, "/")
	if !ok {
		namespace, name = "shop", namespace
	}
	name, tag, _ := strings.Cut(name, ":")
	return imagestream.Key{Namespace: namespace, Name: name}, tag
}

// image returns the digest of an image that is recorded as pushed.
func (s *story) image(name string) string {
	d := digest.FromString(name).String()
	s.names[d] = name
	return d
}

func (s *story) trim(ctx context.Context, key imagestream.Key, keep string) error {
	n, err := strconv.Atoi(keep)
	if err != nil {
		return err
	}
	_, err = s.server.ImageStreams().UpdateStatus(ctx, key, func(stream *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		return edit.Trim(stream, edit.Retention{Keep: n}, s.now, nil), nil
	}, rest.UpdateOptions{})
	return err
}

// show prints a stream: each tag with where it comes from, its history, and why its last import failed; then the pins.
func (s *story) show(ctx context.Context, key imagestream.Key) (string, error) {
	stream, err := s.streams.Get(ctx, key)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, generation %d", key, stream.Metadata.Generation)
	if stream.Spec.LookupPolicy.Local {
		out.WriteString(", looked up")
	}
	out.WriteByte('\n')
	names := map[string]bool{}
	for _, tag := range stream.Spec.Tags {
		names[tag.Name] = true
	}
	for _, h := range stream.Status.Tags {
		names[h.Tag] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&out, "  %s%s\n", name, asked(stream, name))
		h, _ := stream.History(name)
		for _, e := range h.Items {
			fmt.Fprintf(&out, "    %s %s, generation %d\n", clock(e.Created), e.DockerImageReference, e.Generation)
		}
		for _, c := range h.Conditions {
			fmt.Fprintf(&out, "    %s %s is %s: %s, generation %d\n", clock(c.LastTransitionTime), c.Type, c.Status, c.Reason, c.Generation)
		}
	}
	pins, err := stream.Pins()
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		pin := pins[name]
		fmt.Fprintf(&out, "  pin: %s at %s", name, pin.Event.Image)
		if !pin.Until.IsZero() {
			fmt.Fprintf(&out, " until %s", clock(pin.Until))
		}
		if pin.Held != nil {
			fmt.Fprintf(&out, ", holds back %s", pin.Held.Image)
		}
		out.WriteByte('\n')
	}
	return out.String(), err
}

// asked says what the spec asks for a tag.
func asked(stream *imagestream.ImageStream, name string) string {
	tag, ok := stream.SpecTag(name)
	switch {
	case !ok:
		return ": not in the spec"
	case tag.From == nil:
		return ": no source"
	}
	words := []string{" from", cmp.Or(tag.From.Kind, "?"), tag.From.Name}
	if tag.From.Namespace != "" {
		words[2] = tag.From.Namespace + "/" + tag.From.Name
	}
	if tag.Reference {
		words = append(words, "reference")
	}
	if tag.ImportPolicy.Scheduled {
		words = append(words, "scheduled")
	}
	if tag.ReferencePolicy.Type == imagestream.ReferencePolicyLocal {
		words = append(words, "local")
	}
	text := strings.Join(words, " ")
	if tag.Generation != nil {
		text += fmt.Sprintf(", generation %d", *tag.Generation)
	}
	return text
}

func clock(t tagevent.Time) string { return t.Time().Format("15:04") }
