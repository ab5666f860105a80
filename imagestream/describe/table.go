package describe

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Table is what "oc get" shows: columns, and a row of cells for every object. It is the columnDefinitions and
// the cells of a meta.k8s.io/v1 Table.
type Table struct {
	Columns []Column `json:"columns"`
	// Rows are the cells, one for each column: a string, an int64, or nil where there is nothing to say.
	Rows [][]any `json:"rows"`
}

// Column is the head of a column.
type Column struct {
	Name string `json:"name"`
	// Type is "string" or "number".
	Type string `json:"type"`
	// Format is "name" for the column with the objects' names.
	Format string `json:"format,omitempty"`
	// Priority is 0 for what is always shown, 1 for what only a wide table shows.
	Priority int `json:"priority"`
}

var nameColumn = Column{Name: "Name", Type: "string", Format: "name"}

func textColumn(name string) Column { return Column{Name: name, Type: "string"} }

func wideColumn(name string) Column { return Column{Name: name, Type: "string", Priority: 1} }

func table[T any](items []T, row func(*T) []any, columns ...Column) Table {
	t := Table{Columns: columns, Rows: make([][]any, len(items))}
	for i := range items {
		t.Rows[i] = row(&items[i])
	}
	return t
}

// ImageStreams is the table of streams at the time now: name, repository, the newest tags, and the age of the
// newest event. The repository is the public one, else that of the spec, else the internal one. The tags are
// those with the newest events, as many as go into 40 characters; of several histories of one tag the last counts.
// See conformance cases table-v0002 and print.table-v4.
func ImageStreams(streams []imagestream.ImageStream, now time.Time) Table {
	return table(streams, func(s *imagestream.ImageStream) []any {
		repository := s.Status.PublicDockerImageRepository
		if repository == "" {
			repository = s.Spec.DockerImageRepository
		}
		if repository == "" {
			repository = s.Status.DockerImageRepository
		}
		tags := tagevent.ByAge(s.Status.Tags)
		var updated imagestream.Time
		if len(tags) > 0 {
			h, _ := s.History(tags[0])
			updated = newest(h)
		}
		return []any{s.Metadata.Name, repository, firstTags(tags), updatedCell(updated, now)}
	}, nameColumn, textColumn("Image Repository"), textColumn("Tags"), textColumn("Updated"))
}

// ImageStreamTags is the table of image stream tags at the time now: name, pull spec, age, and the image's
// name in a wide table. See conformance case table-v0201.
func ImageStreamTags(tags []imagestream.ImageStreamTag, now time.Time) Table {
	return table(tags, func(t *imagestream.ImageStreamTag) []any {
		return []any{
			t.Metadata.Name,
			t.Image.DockerImageReference,
			ageCell(t.Metadata.CreationTimestamp, now),
			t.Image.Metadata.Name,
		}
	}, nameColumn, textColumn("Image Reference"), textColumn("Updated"), wideColumn("Image Name"))
}

// ImageStreamImages is the table of image stream images at the time now: name and age; pull spec and the
// image's name in a wide table. See conformance case table-v0251.
func ImageStreamImages(images []imagestream.ImageStreamImage, now time.Time) Table {
	return table(images, func(i *imagestream.ImageStreamImage) []any {
		return []any{
			i.Metadata.Name,
			ageCell(i.Metadata.CreationTimestamp, now),
			i.Image.DockerImageReference,
			i.Image.Metadata.Name,
		}
	}, nameColumn, textColumn("Updated"), wideColumn("Image Reference"), wideColumn("Image Name"))
}

// Images is the table of images: name and pull spec. See conformance case table-v0276.
func Images(images []imagestream.Image) Table {
	return table(images, func(i *imagestream.Image) []any {
		return []any{i.Metadata.Name, i.DockerImageReference}
	}, nameColumn, textColumn("Image Reference"))
}

// ImageTags is the table of image tags at the time now: name, how the spec gets its image, what the tag is or
// why it is not, the number of events, and the age of the newest event or condition. See conformance case
// table-v0296.
func ImageTags(tags []imagestream.ImageTag, now time.Time) Table {
	return table(tags, func(t *imagestream.ImageTag) []any {
		var history tagevent.History
		if t.Status != nil {
			history = *t.Status
		}
		spec, status := imageTagCells(t.Spec, history)
		updated := newest(history)
		for _, c := range history.Conditions {
			updated = max(updated, c.LastTransitionTime)
		}
		var events any
		if n := len(history.Items); n > 0 {
			events = int64(n)
		}
		return []any{t.Metadata.Name, spec, status, events, updatedCell(updated, now)}
	}, nameColumn, textColumn("Spec"), textColumn("Status"), Column{Name: "History", Type: "number"}, textColumn("Updated"))
}

// The words of the cells of an image tag.
const (
	specTag, specReference, specScheduled, specTrack, specPush = "Tag", "Ref", "Scheduled", "Track", "Push"

	statusImporting, statusBadName, statusBadKind = "Importing", "InvalidRefName", "InvalidRefKind"
)

// imageTagCells returns the cells Spec and Status.
func imageTagCells(tag *imagestream.TagReference, history tagevent.History) (spec, status string) {
	var source string
	var generation int64
	if tag != nil && tag.From != nil {
		spec, source, status = specCells(tag)
	}
	if tag != nil && tag.Generation != nil {
		generation = *tag.Generation
	}
	if len(history.Items) > 0 {
		event := history.Items[0]
		switch {
		case generation > 0 && event.Generation > 0 && event.Generation < generation:
			status = statusImporting
		case event.Image != "":
			source = "image/" + event.Image
		case event.DockerImageReference != "":
			source = event.DockerImageReference
		}
		if source != "" && spec == "" || spec != specTrack && generation > 0 && event.Generation > generation {
			spec = specPush
		}
	}
	for _, c := range history.Conditions {
		if c.Type == tagevent.ImportSuccess && c.Status == tagevent.ConditionFalse {
			status = fmt.Sprintf("ImportFailed (%s)", c.Reason)
		}
	}
	if status == "" {
		status = source
	}
	return spec, status
}

// specCells returns how a tag with a source gets its image, from where, and what is wrong with that.
func specCells(tag *imagestream.TagReference) (spec, source, wrong string) {
	spec = specTag
	if tag.Reference {
		spec = specReference
	}
	if tag.ImportPolicy.Scheduled {
		spec = specScheduled
	}
	switch name := tag.From.Name; tag.From.Kind {
	case imagestream.KindDockerImage:
		return spec, name, ""
	case imagestream.KindImageStreamImage:
		_, id, ok := strings.Cut(name, "@")
		if !ok {
			return spec, "", statusBadName
		}
		return spec, "image/" + id, ""
	case imagestream.KindImageStreamTag:
		if !strings.Contains(name, ":") {
			spec = specTrack
		}
		if tag.From.Namespace != "" {
			return spec, "istag " + tag.From.Namespace + "/" + name, ""
		}
		return spec, "istag/" + name, ""
	}
	return spec, "", statusBadKind
}

func ageCell(t imagestream.Time, now time.Time) string { return Age(now.Sub(t.Time())) + " ago" }

// updatedCell is empty if nothing ever happened.
func updatedCell(t imagestream.Time, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ageCell(t, now)
}

// newest is the time of the newest event of h, zero if there is none.
func newest(h tagevent.History) imagestream.Time {
	if len(h.Items) == 0 {
		return imagestream.Time(0)
	}
	return h.Items[0].Created
}

// tagsWidth is how many characters the cell with the tags of a stream may take; a tag may run over it by
// tagsOverrun if at least that much of it would have gone in.
const tagsWidth, tagsOverrun = 40, 10

// firstTags lists the first of tags, as many as go into the cell, and how many are left.
func firstTags(tags []string) string {
	var shown []string
	budget := tagsWidth
	for i, tag := range tags {
		budget -= len(tag) + 1
		if budget < 0 {
			if i == 0 || tagsOverrun < budget+len(tag) && -budget <= tagsOverrun {
				shown = append(shown, tag)
			}
			break
		}
		shown = append(shown, tag)
	}
	text := strings.Join(shown, ",")
	if hidden := len(tags) - len(shown); hidden > 0 {
		text += fmt.Sprintf(" + %d more...", hidden)
	}
	return text
}

// PrintOptions are how a table is shown.
type PrintOptions struct {
	// Wide shows the columns of priority 1 too.
	Wide bool
	// NoHeaders leaves the first line out.
	NoHeaders bool
	// Gap is how many blanks stand between columns at least; 0 is 3.
	Gap int
}

// Print writes t as plain text: a line with the names of the columns in capitals, then a line a row. Columns
// are as wide as their widest cell and a gap, wide and combining characters counted as a terminal shows
// them. Of a cell with several lines the first is shown, and "...". The error is that of w.
func (t Table) Print(w io.Writer, opts PrintOptions) error {
	var columns []int
	var lines [][]string
	var head []string
	for i, c := range t.Columns {
		if c.Priority == 0 || opts.Wide {
			columns, head = append(columns, i), append(head, strings.ToUpper(c.Name))
		}
	}
	if !opts.NoHeaders {
		lines = append(lines, head)
	}
	for _, row := range t.Rows {
		line := make([]string, len(columns))
		for i, column := range columns {
			line[i] = cellText(row[column])
		}
		lines = append(lines, line)
	}
	return writeColumns(w, lines, cmp.Or(opts.Gap, 3))
}

// minColumn is how wide a column is at least, gap included.
const minColumn = 6

func cellText(cell any) string {
	if cell == nil {
		return ""
	}
	text := fmt.Sprint(cell)
	if first, _, more := strings.Cut(text, "\n"); more {
		return first + "..."
	}
	return text
}

// writeColumns writes lines with their cells in columns.
func writeColumns(w io.Writer, lines [][]string, gap int) error {
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, minColumn)
			}
			widths[i] = max(widths[i], Width(cell)+gap)
		}
	}
	var text strings.Builder
	for _, line := range lines {
		for i, cell := range line {
			text.WriteString(cell)
			if i < len(line)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-Width(cell)))
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}
