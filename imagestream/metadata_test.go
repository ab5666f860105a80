package imagestream_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
)

// causes are the errors as classes: type and field, sorted, without repeats.
func causes(errs imagestream.ErrorList) []string {
	var list []string
	for _, e := range errs {
		list = append(list, strings.TrimPrefix(string(e.Type), "FieldValue")+" "+e.Field)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestMetadataRules has the rules that few streams ever meet.
func TestMetadataRules(t *testing.T) {
	const finalizers, entry = "Invalid metadata.finalizers", "Invalid metadata.finalizers[0]"
	label := strings.Repeat("a", 64) // too long for a label, not for a word of a domain
	for _, tc := range []struct {
		name string
		meta imagestream.ObjectMeta
		want []string
	}{
		{"own finalizer", imagestream.ObjectMeta{Finalizers: []string{"example.com/f"}}, nil},
		{"standard finalizers", imagestream.ObjectMeta{Finalizers: []string{"kubernetes", "orphan"}}, nil},
		{"finalizer without a domain", imagestream.ObjectMeta{Finalizers: []string{"mine"}}, []string{entry}},
		{"finalizer that is no label key", imagestream.ObjectMeta{Finalizers: []string{"-"}}, []string{finalizers, entry}},
		{"empty finalizer", imagestream.ObjectMeta{Finalizers: []string{""}}, []string{finalizers, entry}},
		{"finalizer with a blank", imagestream.ObjectMeta{Finalizers: []string{"my own"}}, []string{finalizers, entry}},
		{"finalizer that is too long", imagestream.ObjectMeta{Finalizers: []string{label}}, []string{finalizers, entry}},
		{"finalizer with a bad domain", imagestream.ObjectMeta{Finalizers: []string{"EXAMPLE.com/f"}}, []string{finalizers}},
		{"finalizer with two slashes", imagestream.ObjectMeta{Finalizers: []string{"example.com/f/g"}}, []string{finalizers}},
		{"second of two finalizers", imagestream.ObjectMeta{Finalizers: []string{"example.com/f", "?"}}, []string{finalizers, "Invalid metadata.finalizers[1]"}},
		{"finalizers that exclude each other", imagestream.ObjectMeta{Finalizers: []string{"orphan", "foregroundDeletion"}}, []string{finalizers}},
		{"domain with a long word", imagestream.ObjectMeta{Finalizers: []string{label + ".com/f"}}, nil},
		{"domain with a dash behind 61 bytes", imagestream.ObjectMeta{Finalizers: []string{strings.Repeat("a", 61) + "-b.com/f"}}, nil},
		{"domain with a dash in front of a long word", imagestream.ObjectMeta{Finalizers: []string{"-" + label + ".com/f"}}, []string{finalizers}},
		{"managed fields", imagestream.ObjectMeta{ManagedFields: []imagestream.ManagedFieldsEntry{
			{Operation: "Apply", Manager: strings.Repeat("m", 129)}, {Operation: "Update", Manager: "a\nb"}, {Operation: "Update", Subresource: strings.Repeat("s", 257)},
		}}, []string{"Invalid metadata.managedFields[1].manager", "TooLong metadata.managedFields[0].manager", "TooLong metadata.managedFields[2].subresource"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.meta.Namespace, tc.meta.Name = "shop", "app"
			s := &imagestream.ImageStream{Metadata: tc.meta}
			_, errs := imagestream.PrepareCreate(s, imagestream.Env{})
			if got := causes(errs); !slices.Equal(got, tc.want) {
				t.Errorf("errors %q, want %q", got, tc.want)
			}
			old := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
			_, errs = imagestream.PrepareStatusUpdate(old, s, imagestream.Env{})
			if got := causes(errs); !slices.Equal(got, tc.want) {
				t.Errorf("errors of a status update %q, want %q", got, tc.want)
			}
		})
	}
}
