package prune

import (
	"fmt"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Table shows the plan: a row for every event and every image that goes, or, with all, for every one. What an
// image frees is the size of the blobs that go with it, as far as it is known.
func (p *Plan) Table(all bool) describe.Table {
	t := describe.Table{Columns: []describe.Column{
		{Name: "What", Type: "string"}, {Name: "Where", Type: "string"}, {Name: "Image", Type: "string"},
		{Name: "Frees", Type: "string"}, {Name: "Why", Type: "string"}, {Name: "Image name", Type: "string", Priority: 1},
	}}
	for at := range p.Streams {
		s := &p.Streams[at]
		if all && s.Whole.Reason != "" {
			t.Rows = append(t.Rows, []any{"stream", s.Stream.String(), "", "", s.Whole.String(), ""})
		}
		for _, e := range s.Events {
			if all || e.Remove {
				where := fmt.Sprintf("%s #%d", pullspec.JoinTag(s.Stream.String(), e.Tag), e.Index)
				t.Rows = append(t.Rows, []any{"event", where, short(e.Event.Image), "", e.Verdict.String(), e.Event.Image})
			}
		}
	}
	for at := range p.Images {
		i := &p.Images[at]
		if !all && !i.Remove {
			continue
		}
		frees := ""
		if i.Remove {
			frees = describe.Size(i.Freed)
		}
		t.Rows = append(t.Rows, []any{"image", "", short(i.Name), frees, i.Verdict.String(), i.Name})
	}
	return t
}

// shortDigest is how many characters of a digest are shown.
const shortDigest = 12

// short returns an image's name as people know it by sight.
func short(name string) string {
	_, hex, ok := strings.Cut(name, ":")
	if !ok || len(hex) < shortDigest {
		return name
	}
	return hex[:shortDigest]
}

// Summary counts what goes.
type Summary struct {
	Streams, Events, Images, Blobs int
	// Freed is how many bytes the blobs have, as far as their sizes are known.
	Freed int64
}

// Summary counts what goes by the plan.
func (p *Plan) Summary() (sum Summary) {
	for at := range p.Streams {
		before := sum.Events
		for _, e := range p.Streams[at].Events {
			if e.Remove {
				sum.Events++
			}
		}
		if sum.Events > before {
			sum.Streams++
		}
	}
	for at := range p.Images {
		if i := &p.Images[at]; i.Remove {
			sum.Images++
			sum.Blobs += len(i.Blobs)
			sum.Freed += i.Freed
		}
	}
	return sum
}
