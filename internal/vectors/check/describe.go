package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
)

// describeRunner runs a function that writes about in.object.
func describeRunner[T any](write func(w io.Writer, o *T, title string, now time.Time) error) runner {
	return func(c *call) (any, error) {
		var e environment
		var in struct {
			Object    *T
			ImageName string
		}
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		var text strings.Builder
		if err := write(&text, in.Object, in.ImageName, e.Now); err != nil {
			return object{"error": true}, nil
		}
		return object{"text": text.String()}, nil
	}
}

// tableRunner runs a function that makes a table of in.items.
func tableRunner[T any](table func(items []T, now time.Time) describe.Table) runner {
	return func(c *call) (any, error) {
		var e environment
		var in struct{ Items []T }
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		return table(in.Items, e.Now), nil
	}
}

func imagesTable(images []imagestream.Image, _ time.Time) describe.Table {
	return describe.Images(images)
}

// printTable answers print.table: in.object is an object or a list of any kind.
func printTable(c *call) (any, error) {
	var kind struct {
		Object struct{ Kind string }
	}
	if err := json.Unmarshal(c.In, &kind); err != nil {
		return nil, err
	}
	switch k := kind.Object.Kind; strings.TrimSuffix(k, "List") {
	case "Image":
		return printItems(c, imagesTable)
	case "ImageStream":
		return printItems(c, describe.ImageStreams)
	case "ImageStreamImage":
		return printItems(c, describe.ImageStreamImages)
	case "ImageStreamTag":
		return printItems(c, describe.ImageStreamTags)
	case "ImageTag":
		return printItems(c, describe.ImageTags)
	default:
		return nil, fmt.Errorf("no table of kind %q", k)
	}
}

func printItems[T any](c *call, table func(items []T, now time.Time) describe.Table) (any, error) {
	var e environment
	var one struct{ Object T }
	var list struct {
		Object struct {
			Kind  string
			Items []T
		}
	}
	if err := errors.Join(c.env(&e), c.in(&one), c.in(&list)); err != nil {
		return nil, err
	}
	items := list.Object.Items
	if !strings.HasSuffix(list.Object.Kind, "List") {
		items = []T{one.Object}
	}
	t := table(items, e.Now)
	columns := make([]object, len(t.Columns)) // where the other tables leave an empty format out, this has it
	for i, column := range t.Columns {
		columns[i] = object{"name": column.Name, "type": column.Type, "format": column.Format, "priority": column.Priority}
	}
	return object{"columns": columns, "rows": t.Rows}, nil
}

var describeOps = map[string]runner{
	"describe.imagestream": describeRunner(func(w io.Writer, s *imagestream.ImageStream, _ string, now time.Time) error {
		return describe.ImageStream(w, s, now)
	}),
	"describe.istag": describeRunner(func(w io.Writer, t *imagestream.ImageStreamTag, _ string, now time.Time) error {
		return describe.ImageStreamTag(w, t, now)
	}),
	"describe.isimage": describeRunner(func(w io.Writer, i *imagestream.ImageStreamImage, _ string, now time.Time) error {
		return describe.ImageStreamImage(w, i, now)
	}),
	"describe.image": describeRunner(describe.Image),

	"table.image":            tableRunner(imagesTable),
	"table.imagestream":      tableRunner(describe.ImageStreams),
	"table.imagestreamimage": tableRunner(describe.ImageStreamImages),
	"table.imagestreamtag":   tableRunner(describe.ImageStreamTags),
	"table.imagetag":         tableRunner(describe.ImageTags),
	"print.table":            printTable,
}
