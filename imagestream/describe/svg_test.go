package describe_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/tagevent"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

// ago is an event that long before now.
func ago(d time.Duration, image string) tagevent.Event {
	return tagevent.Event{
		Created: tagevent.TimeOf(now.Add(-d)), DockerImageReference: "quay.io/shop/app@sha256:" + image, Image: "sha256:" + image, Generation: 1,
	}
}

const day = 24 * time.Hour

// shop is a stream as one finds them: releases, tags that follow them, one that was rolled back, one that failed.
func shop() *imagestream.ImageStream {
	generation := int64(1)
	from := func(name, kind, source string) imagestream.TagReference {
		return imagestream.TagReference{Name: name, Generation: &generation, From: &imagestream.ObjectReference{Kind: kind, Name: source}}
	}
	return &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{
			from("latest", imagestream.KindImageStreamTag, "2.1"),
			from("2.1", imagestream.KindDockerImage, "quay.io/shop/app:2.1"),
			from("2.0", imagestream.KindDockerImage, "quay.io/shop/app:2.0"),
			from("stable", imagestream.KindImageStreamTag, "app:2.0"),
			from("prod", imagestream.KindImageStreamTag, "stable"),
			from("nightly", imagestream.KindDockerImage, "quay.io/shop/app:nightly"),
			from("next", imagestream.KindDockerImage, "quay.io/shop/app:next"),
			from("pinned", imagestream.KindImageStreamImage, "app@sha256:b2c3d4e5f6"),
		}},
		Status: imagestream.ImageStreamStatus{Tags: []tagevent.History{
			{Tag: "latest", Items: []tagevent.Event{ago(3*day, "d4e5f60718"), ago(11*day, "c3d4e5f607")}},
			{Tag: "2.1", Items: []tagevent.Event{ago(3*day, "d4e5f60718"), ago(11*day, "c3d4e5f607")}},
			{Tag: "2.0", Items: []tagevent.Event{ago(16*day, "b2c3d4e5f6"), ago(28*day, "a1b2c3d4e5")}},
			{Tag: "stable", Items: []tagevent.Event{ago(15*day, "b2c3d4e5f6"), ago(28*day, "a1b2c3d4e5")}},
			{Tag: "prod", Items: []tagevent.Event{ago(8*day, "a1b2c3d4e5"), ago(14*day, "b2c3d4e5f6"), ago(27*day, "a1b2c3d4e5")}},
			{Tag: "pinned", Items: []tagevent.Event{ago(12*day, "b2c3d4e5f6")}},
			{Tag: "hotfix", Items: []tagevent.Event{ago(6*time.Hour, "e5f6071829")}},
			{
				Tag: "nightly", Items: []tagevent.Event{ago(2*day, "0718293a4b"), ago(4*day, "18293a4b5c"), ago(6*day, "293a4b5c6d")},
				Conditions: []tagevent.Condition{{Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, Generation: 1, Reason: "Unauthorized", Message: "the registry wants credentials"}},
			},
		}},
	}
}

// crowd has n tags that follow each other in threes.
func crowd(n int) *imagestream.ImageStream {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "crowd"}}
	for i := range n {
		t := imagestream.TagReference{Name: fmt.Sprintf("1.%d", i), From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: fmt.Sprintf("quay.io/shop/app:1.%d", i)}}
		if i%3 != 0 {
			t.From = &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: fmt.Sprintf("1.%d", i-1)}
		}
		s.Spec.Tags = append(s.Spec.Tags, t)
		h := tagevent.History{Tag: t.Name}
		for k := range 4 {
			h.Items = append(h.Items, ago(time.Duration(k*7+i%7+1)*day, fmt.Sprintf("%04d%06d", (i/3+k)*37, i/3+k)))
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s
}

// odd has names that are long, wide, or markup, tags that follow themselves and each other, and none.
func odd() *imagestream.ImageStream {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: `odd"<&>`}}
	follow := func(tag, target string) {
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: target}})
	}
	follow("a", "b")
	follow("b", "c")
	follow("c", "a")
	follow("d", "b")
	follow("self", "self")
	follow("lonely", "gone")
	follow("</text><script>alert(1)</script>", "elsewhere:v1")
	s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{Name: "数えきれないほど長い名前を持つとても長いタグ"}, imagestream.TagReference{Name: strings.Repeat("long-", 30)})
	s.Status.Tags = []tagevent.History{{Tag: "\x01", Items: []tagevent.Event{{Created: tagevent.TimeOf(now.Add(time.Hour)), DockerImageReference: "not a \x02 spec"}, {}}}}
	return s
}

var pictures = map[string]*imagestream.ImageStream{
	"shop": shop(), "one": stream(), "crowd": crowd(60), "odd": odd(), "empty": {Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "empty"}},
}

func draw(t *testing.T, kind string, s *imagestream.ImageStream) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	if kind == "timeline" {
		err = describe.Timeline(&out, s, now)
	} else {
		err = describe.Graph(&out, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPictures compares pictures with those in testdata, and checks what must hold for any.
func TestPictures(t *testing.T) {
	for name, s := range pictures {
		for _, kind := range []string{"timeline", "graph"} {
			before := s.Clone()
			got := draw(t, kind, s)
			if diff := cmp.Diff(before, s); diff != "" {
				t.Errorf("%s of %s changed its argument:\n%s", kind, name, diff)
			}
			if !bytes.Equal(got, draw(t, kind, s)) {
				t.Errorf("%s of %s is another one the second time", kind, name)
			}
			checkPicture(t, kind+" of "+name, got)
			file := filepath.Join("testdata", kind+"-"+name+".svg")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not %s; look at it, then run with -update", kind, file)
			}
		}
	}
}

// box is a rectangle, or the place where a text begins.
type box struct{ x, y, width, height float64 }

// checkPicture reads an SVG as a browser would: well-formed, nothing from outside, with title and description, all
// of it inside, bars and boxes not over each other, letters not too small.
func checkPicture(t *testing.T, what string, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	var stack []string
	var canvas box
	var boxes []box
	var title, description string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s is not well-formed: %v", what, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			stack = append(stack, token.Name.Local)
			attr := map[string]string{}
			for _, a := range token.Attr {
				attr[a.Name.Local] = a.Value
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || strings.Contains(a.Value, "//") && a.Name.Local != "xmlns" {
					t.Errorf("%s has the attribute %s=%q", what, a.Name.Local, a.Value)
				}
			}
			b := box{float(attr["x"]), float(attr["y"]), float(attr["width"]), float(attr["height"])}
			switch name := token.Name.Local; name {
			case "script", "style", "image", "use", "foreignObject", "a":
				t.Errorf("%s has a <%s>", what, name)
			case "svg":
				canvas = b
				if attr["role"] != "img" || attr["aria-labelledby"] == "" {
					t.Errorf("%s is no image to a screen reader", what)
				}
			case "text":
				if size, ok := attr["font-size"]; ok && float(size) < 11 {
					t.Errorf("%s has letters of %s pixels", what, size)
				}
				fallthrough
			case "rect":
				if len(stack) > 1 && stack[1] == "defs" {
					break
				}
				if b.x < 0 || b.y < 0 || b.x+b.width > canvas.width || b.y+b.height > canvas.height {
					t.Errorf("%s has a <%s> at %+v, outside of %+v", what, name, b, canvas)
				}
				if name == "rect" && b.width < canvas.width && !strings.HasPrefix(attr["fill"], "url") {
					boxes = append(boxes, b)
				}
			}
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			switch {
			case len(stack) == 2 && stack[1] == "title":
				title += string(token)
			case len(stack) == 2 && stack[1] == "desc":
				description += string(token)
			}
		}
	}
	if title == "" || description == "" {
		t.Errorf("%s has the title %q and the description %q", what, title, description)
	}
	for i, a := range boxes {
		for _, b := range boxes[:i] {
			across := math.Min(a.x+a.width, b.x+b.width) - math.Max(a.x, b.x)
			if down := math.Min(a.y+a.height, b.y+b.height) - math.Max(a.y, b.y); across > 3 && down > 0 {
				t.Errorf("%s has boxes over each other: %+v, %+v", what, a, b)
			}
		}
	}
}

func float(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

// TestContrast measures the letters on the bars of the crowd, which has every colour, as WCAG 2 does: 4.5 at least.
func TestContrast(t *testing.T) {
	svg := string(draw(t, "timeline", crowd(60)))
	seen := map[string]bool{}
	fill := ""
	for line := range strings.Lines(svg) {
		_, value, ok := strings.Cut(line, `fill="#`)
		if !ok {
			continue
		}
		switch {
		case strings.HasPrefix(line, "<rect") && strings.Contains(line, "stroke="):
			fill = value[:6]
		case strings.HasPrefix(line, `<text`) && strings.Contains(line, `font-size="11"`) && fill != "":
			seen[fill] = true
			if c := contrast(fill, value[:6]); c < 4.5 {
				t.Errorf("#%s on #%s has a contrast of %.1f", value[:6], fill, c)
			}
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d colours have letters on them: %v", len(seen), seen)
	}
}

func contrast(a, b string) float64 {
	x, y := luminance(a)+0.05, luminance(b)+0.05
	return math.Max(x, y) / math.Min(x, y)
}

func luminance(rgb string) float64 {
	var l float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(rgb[2*i:2*i+2], 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}

func TestPicturesReportErrors(t *testing.T) {
	if err := describe.Timeline(&failing{}, shop(), now); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if err := describe.Graph(&failing{}, shop()); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

func ExampleTimeline() {
	var svg strings.Builder
	err := describe.Timeline(&svg, stream(), now)
	_, words, _ := strings.Cut(svg.String(), "-desc\">")
	words, _, _ = strings.Cut(words, "<")
	fmt.Println(words, err)
	// Output: latest points at nothing. v1 points at 1111111 since About an hour ago. <nil>
}

func ExampleGraph() {
	var svg strings.Builder
	err := describe.Graph(&svg, stream())
	_, words, _ := strings.Cut(svg.String(), "-desc\">")
	words, _, _ = strings.Cut(words, "<")
	fmt.Println(words, err)
	// Output: v1 comes from quay.io/org/app:v1, waits for its import. latest comes from v1, waits for its import. <nil>
}

// FuzzPictures checks that any names make a picture that can be read.
func FuzzPictures(f *testing.F) {
	f.Add("v1", "app:v1", "quay.io/org/app:v1", "sha256:1", int64(5))
	f.Add("\xff", "<", "a:b", "]]>", int64(-1))
	f.Fuzz(func(t *testing.T, tag, source, reference, image string, age int64) {
		s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: source, Name: tag}}
		for _, kind := range []string{imagestream.KindImageStreamTag, imagestream.KindDockerImage, imagestream.KindImageStreamImage} {
			s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{Name: tag + kind, From: &imagestream.ObjectReference{Kind: kind, Name: source, Namespace: image}})
		}
		s.Status.Tags = []tagevent.History{{Tag: tag, Items: []tagevent.Event{
			{Created: tagevent.Time(age), DockerImageReference: reference, Image: image}, {Created: tagevent.TimeOf(now), Image: tag},
		}}}
		for _, kind := range []string{"timeline", "graph"} {
			svg := draw(t, kind, s)
			d := xml.NewDecoder(bytes.NewReader(svg))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s is not well-formed: %v\n%s", kind, err, svg)
				}
			}
			if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
				t.Errorf("%s has a coordinate that is no number:\n%s", kind, svg)
			}
		}
	})
}
