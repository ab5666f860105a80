package describe_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/tagevent"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func stream() *imagestream.ImageStream {
	generation := int64(2)
	return &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Name: "app", Namespace: "shop", CreationTimestamp: tagevent.TimeOf(now.Add(-50 * time.Hour))},
		Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{
			{Name: "v1", Generation: &generation, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:v1"}},
			{Name: "latest", Generation: &generation, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: "v1"}},
		}},
		Status: imagestream.ImageStreamStatus{Tags: []tagevent.History{{Tag: "v1", Items: []tagevent.Event{
			{Created: tagevent.TimeOf(now.Add(-time.Hour)), DockerImageReference: "quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111", Image: "sha256:1111111111111111111111111111111111111111111111111111111111111111", Generation: 1},
		}}}},
	}
}

func ExampleImageStream() {
	var text strings.Builder
	err := describe.ImageStream(&text, stream(), now)
	fmt.Print(strings.ReplaceAll(text.String(), "\t", " "))
	fmt.Println(err)
	// Output:
	// Name:   app
	// Namespace:  shop
	// Created:  2 days ago
	// Labels:   <none>
	// Annotations:  <none>
	// Image Repository: <none>
	// Image Lookup:  local=false
	// Unique Images:  1
	// Tags:   2
	//
	// v1 (latest)
	//   tagged from quay.io/org/app:v1
	//
	//   ~ importing latest image ...
	//   * quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111
	//       About an hour ago
	// <nil>
}

func ExampleReasons() {
	var text strings.Builder
	err := describe.Reasons(&text, stream())
	fmt.Print(text.String())
	fmt.Println(err)
	// Output:
	// latest points at nothing.
	//   It follows another tag: latest -> v1.
	//   v1 points at quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111: it moved without latest.
	//   The source of v1 is quay.io/org/app:v1.
	//   An import is due: the spec asks for generation 2 of v1, and the status has 1.
	//   It would change with a move of v1, which it follows.
	//   or with an import of v1, if quay.io/org/app:v1 has moved.
	//   or with another source for latest, or a roll-back.
	//   or with an image that is pushed to it.
	//
	// v1 points at quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111, since 2026-01-02T02:04:05Z.
	//   The source of v1 is quay.io/org/app:v1.
	//   An import is due: the spec asks for generation 2 of v1, and the status has 1.
	//   It would change with an import of v1, if quay.io/org/app:v1 has moved.
	//   or with another source for v1, or a roll-back.
	//   or with an image that is pushed to it.
	// <nil>
}

func ExampleAge() {
	fmt.Println(describe.Age(90*time.Second), describe.Age(47*time.Hour), describe.Age(15*24*time.Hour))
	// Output: About a minute 47 hours 2 weeks
}

// failing fails at the n-th byte.
type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterErrorsAreReported(t *testing.T) {
	for n := range 5 {
		if err := describe.ImageStream(&failing{n * 60}, stream(), now); !errors.Is(err, errFull) {
			t.Errorf("a writer that is full after %d bytes: %v", n*60, err)
		}
	}
	if err := describe.ImageStream(io.Discard, &imagestream.ImageStream{}, now); err != nil {
		t.Error(err)
	}
}
