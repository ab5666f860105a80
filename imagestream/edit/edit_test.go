package edit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/tagevent"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func event(n int) tagevent.Event {
	return tagevent.Event{
		Created: tagevent.TimeOf(now.Add(time.Duration(n) * time.Hour)), Image: fmt.Sprintf("sha256:%064d", n), Generation: 1,
		DockerImageReference: fmt.Sprintf("quay.io/org/app@sha256:%064d", n),
	}
}

// stream has the tag v1 with three events, and imports due for it.
func stream() *imagestream.ImageStream {
	s := &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{
			{Name: "v1", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:v1"},
				ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicySource}},
		}},
	}
	for n := range 3 {
		s, _ = imagestream.Push(s, "v1", event(n))
	}
	return s
}

func tracker(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: from}}
}

func ExampleRollback() {
	env := imagestream.Env{Now: now.Add(24 * time.Hour)}
	s, _ := imagestream.PrepareCreateInternal(stream(), env)
	back, err := edit.Rollback(s, "v1", 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	stored, errs := imagestream.PrepareUpdate(s, back, env)
	h, _ := stored.History("v1")
	fmt.Println(len(h.Items), h.Items[0].Image == h.Items[3].Image, stored.Spec.Tags[0].From.Kind, len(errs))

	_, err = edit.Rollback(s, "v1", 3)
	fmt.Println(err)
	// Output:
	// 4 true ImageStreamImage 0
	// shop/app: the tag v1 can go back 1 to 2 events, not 3
}

func ExampleRollbackTo() {
	back, err := edit.RollbackTo(stream(), "v1", event(1).Image)
	fmt.Println(strings.HasPrefix(back.Spec.Tags[0].From.Name, "app@sha256:0"), err)
	_, err = edit.RollbackTo(stream(), "v1", "sha256:ff")
	fmt.Println(err)
	// Output:
	// true <nil>
	// shop/app: the tag v1 never held the image sha256:ff
}

func TestRollbackRefuses(t *testing.T) {
	s := stream()
	s, _ = imagestream.Push(s, "ref", tagevent.Event{DockerImageReference: "quay.io/a"})
	s, _ = imagestream.Push(s, "ref", event(1))
	for name, ask := range map[string]func() (*imagestream.ImageStream, error){
		"0":         func() (*imagestream.ImageStream, error) { return edit.Rollback(s, "v1", 0) },
		"no tag":    func() (*imagestream.ImageStream, error) { return edit.Rollback(s, "none", 1) },
		"no image":  func() (*imagestream.ImageStream, error) { return edit.Rollback(s, "ref", 1) },
		"ambiguous": func() (*imagestream.ImageStream, error) { return edit.RollbackTo(s, "v1", "sha256:0") },
	} {
		if got, err := ask(); err == nil {
			t.Errorf("%s: rolled back to %+v", name, got.Spec.Tags)
		}
	}
}

func ExampleWithTag() {
	s := edit.WithTag(stream(), tracker("latest", "v1"))
	s = edit.WithTag(s, imagestream.TagReference{Name: "v1"})
	for _, t := range s.Spec.Tags {
		fmt.Println(t.Name, t.From != nil)
	}
	// Output:
	// v1 false
	// latest true
}

func ExampleWithoutTag() {
	s := edit.WithoutTag(stream(), "v1")
	fmt.Println(len(s.Spec.Tags), len(s.Status.Tags))
	// Output: 0 0
}

func ExampleMerge() {
	desired := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Labels: map[string]string{"team": "web"}}}
	desired.Spec.LookupPolicy.Local = true
	desired.Spec.Tags = []imagestream.TagReference{tracker("latest", "v1")}
	merged := edit.Merge(stream(), desired)
	fmt.Println(len(merged.Spec.Tags), merged.Metadata.Labels, merged.Spec.LookupPolicy.Local, len(merged.Status.Tags))
	fmt.Println(imagestream.Equal(merged, edit.Merge(merged, desired)))
	// Output:
	// 2 map[team:web] true 1
	// true
}

func ExampleSnapshot() {
	s := stream()
	s.Spec.Tags[0].ImportPolicy.Scheduled = true
	frozen := edit.Snapshot(s)
	t := frozen.Spec.Tags[0]
	fmt.Println(t.Name, strings.HasPrefix(t.From.Name, "quay.io/org/app@sha256:0"), t.ImportPolicy.Scheduled)
	// Output: v1 true false
}
