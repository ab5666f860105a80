package apiserver

import (
	"context"
	"fmt"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
)

// tables makes the tables of a resource.
type tables[T openshift.Theirs, O openshift.Ours] struct {
	table func([]O, time.Time) describe.Table
	// items returns the objects of a list; nil if the resource has no lists.
	items func(runtime.Object) []T
}

func (c tables[T, O]) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	var theirs []T
	table := &metav1.Table{}
	switch o := any(object).(type) {
	case *T:
		theirs = []T{*o}
		table.ResourceVersion = any(o).(metav1.Object).GetResourceVersion()
	case metav1.ListInterface:
		if c.items == nil {
			return nil, fmt.Errorf("no table shows a %T", object)
		}
		theirs = c.items(object)
		table.ResourceVersion, table.Continue = o.GetResourceVersion(), o.GetContinue()
		table.RemainingItemCount = o.GetRemainingItemCount()
	default:
		return nil, fmt.Errorf("no table shows a %T", object)
	}
	ours := make([]O, len(theirs))
	for i := range theirs {
		o, err := openshift.FromAPI[O](&theirs[i])
		if err != nil {
			return nil, err
		}
		ours[i] = *o
	}
	shown := c.table(ours, time.Now())
	if opts, ok := options.(*metav1.TableOptions); !ok || !opts.NoHeaders {
		for _, column := range shown.Columns {
			table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{
				Name: column.Name, Type: column.Type, Format: column.Format, Priority: int32(column.Priority),
			})
		}
	}
	for i, cells := range shown.Rows {
		row := metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: objectOf(&theirs[i])}}
		table.Rows = append(table.Rows, row)
	}
	return table, nil
}

// newTable returns a table without rows.
func newTable(options runtime.Object, meta metav1.ListMeta, columns ...string) *metav1.Table {
	table := &metav1.Table{ListMeta: meta}
	if opts, ok := options.(*metav1.TableOptions); ok && opts.NoHeaders {
		return table
	}
	for i, name := range columns {
		column := metav1.TableColumnDefinition{Name: name, Type: "string"}
		if i == 0 {
			column.Format = "name"
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, column)
	}
	return table
}

// ageOf returns the cell with the age of an object.
func ageOf(created metav1.Time, now time.Time) string {
	if created.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(created.Time))
}

var (
	streamTables = tables[imagev1.ImageStream, imagestream.ImageStream]{
		describe.ImageStreams,
		func(l runtime.Object) []imagev1.ImageStream { return l.(*imagev1.ImageStreamList).Items },
	}
	streamTagTables = tables[imagev1.ImageStreamTag, imagestream.ImageStreamTag]{
		describe.ImageStreamTags,
		func(l runtime.Object) []imagev1.ImageStreamTag { return l.(*imagev1.ImageStreamTagList).Items },
	}
	tagTables = tables[imagev1.ImageTag, imagestream.ImageTag]{
		describe.ImageTags,
		func(l runtime.Object) []imagev1.ImageTag { return l.(*imagev1.ImageTagList).Items },
	}
	streamImageTables = tables[imagev1.ImageStreamImage, imagestream.ImageStreamImage]{describe.ImageStreamImages, nil}

	imageTables = tables[imagev1.Image, imagestream.Image]{
		func(images []imagestream.Image, _ time.Time) describe.Table { return describe.Images(images) },
		func(l runtime.Object) []imagev1.Image { return l.(*imagev1.ImageList).Items },
	}
)
