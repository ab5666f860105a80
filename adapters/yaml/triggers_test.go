package yaml_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

const (
	tiedTo = "quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8"
	tied   = `# tied, with CRLF below
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations:
    image.openshift.io/triggers: '[{"from":{"kind":"ImageStreamTag","name":"%s"},"fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image"%s}]'
%sspec: {template: {spec: {containers: [{name: web, image: "%s"}, {name: log, image: log:1}]}}}` + "\r\n"
)

func ExampleOptions() {
	w, _ := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{Triggers: true})
	res, err := w.Rewrite(context.Background(), fmt.Appendf(nil, tied, "nodejs:20", "", "", " "))
	for _, c := range res.Changes {
		fmt.Printf("%d:%d %s: %s\n", c.Line, c.Column, c.To, c.Why.Message())
	}
	fmt.Println(err)
	// Output:
	// 9:58 quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8: it is the newest image of the tag
	// <nil>
}

func TestTriggers(t *testing.T) {
	file := func(tag, paused, held, image string) string { return fmt.Sprintf(tied, tag, paused, held, image) }
	config := func(image string) string {
		return `{"kind": "List", "items": [{"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "metadata": {"name": "web"},
	"spec": {"triggers": [{"type": "ImageChange", "imageChangeParams": {"automatic": true, "containerNames": ["web"],
		"from": {"kind": "ImageStreamTag", "name": "nodejs:20"}}}],
	"template": {"spec": {"containers": [{"name": "web",   "image": "` + image + `"}]}}}}]}`
	}
	for _, tc := range []struct {
		name, file, want, problem string
	}{
		{"a placeholder", file("nodejs:20", "", "", " "), file("nodejs:20", "", "", tiedTo), ""},
		{"an older image", file("nodejs:20", "", "", "quay.io/org/nodejs@sha256:"+strings.Repeat("0", 64)), file("nodejs:20", "", "", tiedTo), ""},
		{"a short name of another tag", file("nodejs:20", "", "", "nodejs:18"), file("nodejs:20", "", "", tiedTo), ""},
		{"so already", file("nodejs:20", "", "", tiedTo), file("nodejs:20", "", "", tiedTo), ""},
		{"paused", file("nodejs:20", `,"paused":true`, "", "old"), file("nodejs:20", `,"paused":true`, "", "old"), ""},
		{"held", file("nodejs:20", "", "    imagestreams.github.io/hold: why\n", "old"), file("nodejs:20", "", "    imagestreams.github.io/hold: why\n", "old"), ""},
		{"held without a reason", file("nodejs:20", "", "    imagestreams.github.io/hold:\n", "old"), file("nodejs:20", "", "    imagestreams.github.io/hold:\n", "old"), ""},
		{"a tag that is not there", file("nodejs:99", "", "", "old"), file("nodejs:99", "", "", "old"), ""},
		{"a stream that is not there", file("gone:1", "", "", "old"), file("gone:1", "", "", "old"), ""},
		{"a broken annotation", file("nodejs:20", `,"paused":"false"`, "", "old"), file("nodejs:20", `,"paused":"false"`, "", "old"), "paused must be true or false"},
		{"a deployment config of the default namespace, in a list", config("old"), config(tiedTo), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, err := yaml.New(&lookup.Resolver{Source: streams(), Options: lookup.Options{Explain: true}}, yaml.Options{Namespace: "shop", Triggers: true})
			if err != nil {
				t.Fatal(err)
			}
			res, err := w.Rewrite(t.Context(), []byte(tc.file))
			if err != nil || string(res.Bytes) != tc.want {
				t.Fatalf("%v\n%s\nwant\n%s", err, res.Bytes, tc.want)
			}
			if tc.problem == "" && len(res.Reports) > 0 || tc.problem != "" && (len(res.Reports) != 1 || !strings.Contains(res.Reports[0].String(), tc.problem)) {
				t.Errorf("reports %v, want %q", res.Reports, tc.problem)
			}
			locked, err := yaml.New(&lookup.Resolver{Source: w.Lock().Source(), Options: lookup.Options{Explain: true}}, yaml.Options{Namespace: "shop", Triggers: true})
			if err != nil {
				t.Fatal(err)
			}
			again, err := locked.Rewrite(t.Context(), []byte(tc.file))
			if err != nil || string(again.Bytes) != tc.want {
				t.Errorf("by the lock: %v\n%s", err, again.Bytes)
			}
			if lacking := w.Lock().Lacking(again.Decisions); len(lacking) > 0 {
				t.Errorf("the lock lacks %+v", lacking)
			}
			off, err := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{Namespace: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := off.Rewrite(t.Context(), []byte(tc.file)); err != nil || string(plain.Bytes) != tc.file {
				t.Errorf("without the option: %v\n%s", err, plain.Bytes)
			}
		})
	}
}

// TestTriggersOfAPinnedTag: a pin counts until it ends, by the resolver's clock.
func TestTriggersOfAPinnedTag(t *testing.T) {
	pinnedTo, until := "quay.io/org/nodejs@sha256:"+strings.Repeat("5", 64), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	nodejs, err := streams().GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "nodejs"})
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := nodejs.Pin("20", tagevent.Event{Image: pinnedTo[len(pinnedTo)-71:], DockerImageReference: pinnedTo}, "", until)
	if err != nil {
		t.Fatal(err)
	}
	source := lookup.Streams{pinned.Key(): pinned}
	for now, want := range map[time.Time]string{until.Add(-time.Second): pinnedTo, until: tiedTo, {}: tiedTo} {
		resolver := &lookup.Resolver{Source: source, Options: lookup.Options{Explain: true}}
		if !now.IsZero() {
			resolver.Now = func() time.Time { return now }
		}
		w, err := yaml.New(resolver, yaml.Options{Triggers: true})
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Rewrite(t.Context(), fmt.Appendf(nil, tied, "nodejs:20", "", "", "nodejs:18"))
		if err != nil || len(res.Changes) != 1 || res.Changes[0].To != want {
			t.Errorf("at %v: %+v, error %v, want %s", now, res.Changes, err, want)
		}
	}
}

// TestTriggersDecideOnce: what a trigger decides about a container is the one decision about it.
func TestTriggersDecideOnce(t *testing.T) {
	w, err := yaml.New(&lookup.Resolver{Source: streams(), Options: lookup.Options{Explain: true}}, yaml.Options{Triggers: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.Rewrite(t.Context(), fmt.Appendf(nil, tied, "nodejs:20", "", "", "nodejs:18"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range res.Decisions {
		if seen[d.Path] {
			t.Errorf("%s is decided about twice", d.Path)
		}
		seen[d.Path] = true
		if strings.HasSuffix(d.Path, "/containers/0/image") && (d.To != tiedTo || len(d.Tried) != 1 || d.Tried[0].Tag != "20") {
			t.Errorf("decision %+v, want one of the tag 20 alone", d)
		}
	}
}

// TestTriggersOfABrokenSource: a source that fails ends the rewriting.
func TestTriggersOfABrokenSource(t *testing.T) {
	w, err := yaml.New(&lookup.Resolver{Source: brokenSource{}}, yaml.Options{Triggers: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Rewrite(t.Context(), fmt.Appendf(nil, tied, "nodejs:20", "", "", "quay.io/x/y:z")); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenSource struct{}

func (brokenSource) GetImageStream(context.Context, imagestream.Key) (*imagestream.ImageStream, error) {
	return nil, errBroken
}
func (brokenSource) GetImage(context.Context, string) (*imagestream.Image, error) {
	return nil, errBroken
}
