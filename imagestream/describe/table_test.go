package describe_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/tagevent"
	"pgregory.net/rapid"
)

func ExampleImageStreams() {
	s := *stream()
	s.Spec.DockerImageRepository = "quay.io/org/app"
	describe.ImageStreams([]imagestream.ImageStream{s}, now).Print(os.Stdout, describe.PrintOptions{})
	// Output:
	// NAME   IMAGE REPOSITORY   TAGS   UPDATED
	// app    quay.io/org/app    v1     About an hour ago
}

// TestHistoriesOfOneTag: the server keeps histories in a map, so of two of one name the last is all there is.
func TestHistoriesOfOneTag(t *testing.T) {
	at := func(tag string, ago time.Duration) tagevent.History {
		return tagevent.History{Tag: tag, Items: []tagevent.Event{{Created: tagevent.TimeOf(now.Add(-ago)), Image: "sha256:1111111111111111111111111111111111111111111111111111111111111111"}}}
	}
	for _, tc := range []struct {
		name          string
		histories     []tagevent.History
		tags, updated string
	}{
		{"the last is older", []tagevent.History{at("v1", time.Minute), at("v2", time.Hour), at("v1", 2*time.Hour)}, "v2,v1", "About an hour ago"},
		{"the last is newer", []tagevent.History{at("v1", 2*time.Hour), at("v2", time.Hour), at("v1", time.Minute)}, "v1,v2", "About a minute ago"},
		{"the last is empty", []tagevent.History{at("v1", time.Minute), at("v2", time.Hour), {Tag: "v1"}}, "v2,v1", "About an hour ago"},
		{"the only one is empty", []tagevent.History{at("v1", time.Minute), {Tag: "v1"}}, "v1", ""},
		{"hidden tags are counted once", []tagevent.History{
			at(strings.Repeat("a", 39), time.Minute), at("b", time.Hour), at("b", time.Hour), at("c", time.Hour),
		}, strings.Repeat("a", 39) + " + 2 more...", "About a minute ago"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := imagestream.ImageStream{Status: imagestream.ImageStreamStatus{Tags: tc.histories}}
			row := describe.ImageStreams([]imagestream.ImageStream{s}, now).Rows[0]
			if row[2] != tc.tags || row[3] != tc.updated {
				t.Errorf("tags %q, updated %q, want %q and %q", row[2], row[3], tc.tags, tc.updated)
			}
		})
	}
}

func ExampleImageStreamTags() {
	tags := []imagestream.ImageStreamTag{{Metadata: imagestream.ObjectMeta{Name: "app:v1", CreationTimestamp: tagevent.TimeOf(now.Add(-time.Minute))}}}
	tags[0].Image.DockerImageReference, tags[0].Image.Metadata.Name = "quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	table := describe.ImageStreamTags(tags, now)
	table.Print(os.Stdout, describe.PrintOptions{})
	table.Print(os.Stdout, describe.PrintOptions{Wide: true, NoHeaders: true})
	// Output:
	// NAME     IMAGE REFERENCE                                                                           UPDATED
	// app:v1   quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111   About a minute ago
	// app:v1   quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111   About a minute ago   sha256:1111111111111111111111111111111111111111111111111111111111111111
}

func ExampleImageStreamImages() {
	images := []imagestream.ImageStreamImage{{Metadata: imagestream.ObjectMeta{Name: "app@sha256:1111111111111111111111111111111111111111111111111111111111111111", CreationTimestamp: tagevent.TimeOf(now)}}}
	describe.ImageStreamImages(images, now).Print(os.Stdout, describe.PrintOptions{})
	// Output:
	// NAME                                                                          UPDATED
	// app@sha256:1111111111111111111111111111111111111111111111111111111111111111   Less than a second ago
}

func ExampleImages() {
	images := []imagestream.Image{{Metadata: imagestream.ObjectMeta{Name: "sha256:1111111111111111111111111111111111111111111111111111111111111111"}, DockerImageReference: "quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"}}
	describe.Images(images).Print(os.Stdout, describe.PrintOptions{Gap: 1})
	// Output:
	// NAME                                                                    IMAGE REFERENCE
	// sha256:1111111111111111111111111111111111111111111111111111111111111111 quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111
}

func ExampleImageTags() {
	tags := []imagestream.ImageTag{
		{Metadata: imagestream.ObjectMeta{Name: "app:v1"}, Spec: &stream().Spec.Tags[0], Status: &stream().Status.Tags[0]},
		{Metadata: imagestream.ObjectMeta{Name: "app:latest"}, Spec: &stream().Spec.Tags[1]},
	}
	describe.ImageTags(tags, now).Print(os.Stdout, describe.PrintOptions{})
	// Output:
	// NAME         SPEC    STATUS      HISTORY   UPDATED
	// app:v1       Tag     Importing   1         About an hour ago
	// app:latest   Track   istag/v1
}

func ExampleTable_Print() {
	table := describe.Table{
		Columns: []describe.Column{{Name: "Name"}, {Name: "Owner"}},
		Rows:    [][]any{{"图像流", "zoë"}, {"app", "two\nlines"}, {"none", nil}},
	}
	table.Print(os.Stdout, describe.PrintOptions{})
	// Output:
	// NAME     OWNER
	// 图像流   zoë
	// app      two...
	// none
}

func ExampleWidth() {
	fmt.Println(describe.Width("app"), describe.Width("图像流"), describe.Width("zoe\u0308"), describe.Width("📦"))
	// Output: 3 6 3 2
}

func ExampleSize() {
	fmt.Println(describe.Size(999), describe.Size(83518432), describe.Size(5e9))
	// Output: 999B 83.52MB 5GB
}

func ExampleImage() {
	image := &imagestream.Image{
		Metadata:            imagestream.ObjectMeta{Name: "sha256:1111111111111111111111111111111111111111111111111111111111111111"},
		DockerImageMetadata: imagestream.Raw(`{"Architecture":"arm64","Created":"2026-01-01T00:00:00Z","Size":1000,"Config":{"Cmd":["serve"]}}`),
	}
	var text strings.Builder
	err := describe.Image(&text, image, "app:v1", now)
	fmt.Print(strings.ReplaceAll(text.String(), "\t", " "))
	fmt.Println(err, describe.Image(&text, &imagestream.Image{}, "", now) != nil)
	// Output:
	// Image Name: app:v1
	// Docker Image: <none>
	// Name:  sha256:1111111111111111111111111111111111111111111111111111111111111111
	// Layer Size: 1kB
	// Image Created: 27 hours ago
	// Author:  <none>
	// Arch:  arm64
	// Command: serve
	// Working Dir: <none>
	// User:  <none>
	// Exposes Ports: <none>
	// Docker Labels: <none>
	// <nil> true
}

func ExampleImageStreamTag() {
	var text strings.Builder
	t := &imagestream.ImageStreamTag{Image: imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1111111111111111111111111111111111111111111111111111111111111111"}, DockerImageMetadata: imagestream.Raw(`{}`)}}
	err := describe.ImageStreamTag(&text, t, now)
	first, _, _ := strings.Cut(text.String(), "\n")
	fmt.Println(strings.ReplaceAll(first, "\t", " "), err)
	// Output: Image Name: sha256:1111111111111111111111111111111111111111111111111111111111111111 <nil>
}

func ExampleImageStreamImage() {
	err := describe.ImageStreamImage(os.Stdout, &imagestream.ImageStreamImage{}, now)
	fmt.Println(err != nil) // nothing is known of that image
	// Output: true
}

// TestPrintAligns compares every column's start in every line.
func TestPrintAligns(t *testing.T) { rapid.Check(t, printAligns) }

func FuzzPrintAligns(f *testing.F) { f.Fuzz(rapid.MakeFuzz(printAligns)) }

func printAligns(t *rapid.T) {
	const mark = "|"
	cell := rapid.StringOfN(rapid.RuneFrom([]rune("az09-é世️界📦\u0301")), 0, 12, -1)
	columns := rapid.IntRange(1, 4).Draw(t, "columns")
	table := describe.Table{}
	for range columns {
		table.Columns = append(table.Columns, describe.Column{Name: mark + cell.Draw(t, "head")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "rows") {
		var row []any
		for range columns {
			row = append(row, mark+cell.Draw(t, "cell"))
		}
		table.Rows = append(table.Rows, row)
	}
	var text strings.Builder
	if err := table.Print(&text, describe.PrintOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(lines) != len(table.Rows)+1 {
		t.Fatalf("%d lines for %d rows", len(lines), len(table.Rows))
	}
	var want []int
	for i, line := range lines {
		var starts []int
		for at := range line {
			if strings.HasPrefix(line[at:], mark) {
				starts = append(starts, describe.Width(line[:at]))
			}
		}
		if i == 0 {
			want = starts
		}
		if len(starts) != columns || fmt.Sprint(starts) != fmt.Sprint(want) {
			t.Fatalf("columns of line %d begin at %v, of the first at %v:\n%s", i, starts, want, text.String())
		}
	}
}

func TestEveryWriterReportsErrors(t *testing.T) {
	image := &imagestream.Image{DockerImageMetadata: imagestream.Raw(`{}`)}
	if err := describe.Image(&failing{}, image, "", now); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if err := describe.Images([]imagestream.Image{*image}).Print(&failing{}, describe.PrintOptions{}); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

func BenchmarkImageStreams(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			s := *stream()
			s.Status.Tags = nil
			for i := range n {
				s.Status.Tags = append(s.Status.Tags, tagevent.History{Tag: fmt.Sprint("v", i), Items: []tagevent.Event{{Created: tagevent.TimeOf(now)}}})
			}
			b.ReportAllocs()
			for b.Loop() {
				describe.ImageStreams([]imagestream.ImageStream{s}, now)
			}
		})
	}
}
