package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// kinds are the words for the kinds of object, the short one first.
var kinds = [][]string{
	{"is", "imagestream", "imagestreams"}, {"istag", "imagestreamtag", "imagestreamtags"},
	{"itag", "imagetag", "imagetags"}, {"images", "image"},
}

// kindOf returns the short word for a kind; "" is none.
func kindOf(word string) string {
	for _, words := range kinds {
		if slices.Contains(words, word) {
			return words[0]
		}
	}
	return ""
}

// kindAndNames reads KIND NAME..., or KIND/NAME... of one kind.
func kindAndNames(args []string) (kind string, names []string, err error) {
	if len(args) == 0 {
		return "is", nil, nil
	}
	if kind = kindOf(args[0]); kind != "" {
		return kind, args[1:], nil
	}
	for _, arg := range args {
		word, name, slash := strings.Cut(arg, "/")
		switch of := kindOf(word); {
		case !slash && pullspec.IsStreamName(word):
			return "", nil, usageError{fmt.Errorf("%q: want %s; 'streams get is %s' gets a stream", arg, kindRule, arg)}
		case of == "":
			return "", nil, usageError{fmt.Errorf("%q: want %s", arg, kindRule)}
		case kind != "" && of != kind:
			return "", nil, usageError{fmt.Errorf("%q: want another %s: one call gets one kind", arg, kind)}
		default:
			kind, names = of, append(names, name)
		}
	}
	return kind, names, nil
}

const kindRule = "is, istag, itag or images"

func (a *app) get() *cobra.Command {
	var output string
	var everywhere, noHeaders bool
	cmd := &cobra.Command{
		Use: "get [is|istag|itag|images] [NAME ...]", Short: "List streams, tags or images",
		Long: `List streams, tags or images, or those with a name; an image may be named by the beginning of its digest.

A column tells of pins, if there are any.`,
		Example: "  streams get\n  streams get istag -o wide\n  streams get is app -o json\n  streams get images " +
			"sha256:8c3e",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.completeGet,
		Args: func(cmd *cobra.Command, args []string) error {
			_, names, err := kindAndNames(args)
			if err != nil {
				return err
			}
			if len(names) > 0 && everywhere {
				return usageError{fmt.Errorf("%q: --all-namespaces takes no names", names[0])}
			}
			return checkOutput(output, "wide", "json", "yaml")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, names, err := kindAndNames(args)
			if err != nil {
				return err
			}
			namespace := a.namespace
			if everywhere {
				namespace = ""
			}
			found, err := a.list(cmd.Context(), kind, namespace)
			if err == nil {
				found, err = found.named(kind, a.namespace, names)
			}
			switch {
			case err != nil:
				return err
			case output == "json" || output == "yaml":
				if len(names) == 1 {
					return encode(a.out, output, found.items[0])
				}
				return encode(a.out, output, listOf(found.items))
			}
			if everywhere && kind != "images" {
				found.addFirst(describe.Column{Name: "Namespace"}, func(i int) any { return found.keys[i].Namespace })
			}
			return found.table.Print(a.out, describe.PrintOptions{Wide: output == "wide", NoHeaders: noHeaders})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "wide, json or yaml")
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "leave out the first line")
	return cmd
}

// found are objects, their names and their table, in one order.
type found struct {
	items []any
	keys  []imagestream.Key
	table describe.Table
}

// of collects objects that have a kind.
func of[T any](objects []T, kind string, parts func(*T) (*imagestream.TypeMeta, *imagestream.ObjectMeta),
	table describe.Table) found {
	f := found{table: table}
	for i := range objects {
		typeMeta, meta := parts(&objects[i])
		*typeMeta = imagestream.TypeMeta{Kind: kind, APIVersion: imagestream.APIVersion}
		f.items = append(f.items, &objects[i])
		f.keys = append(f.keys, imagestream.Key{Namespace: meta.Namespace, Name: meta.Name})
	}
	return f
}

// named returns the objects with these names, in their order; all of them without names.
func (f found) named(kind, namespace string, names []string) (found, error) {
	if len(names) == 0 {
		return f, nil
	}
	kept := found{table: describe.Table{Columns: f.table.Columns}}
	for _, name := range names {
		i, err := f.find(kind, namespace, name)
		if err != nil {
			return found{}, err
		}
		kept.items, kept.keys = append(kept.items, f.items[i]), append(kept.keys, f.keys[i])
		kept.table.Rows = append(kept.table.Rows, f.table.Rows[i])
	}
	return kept, nil
}

// find returns the index of the object with a name, or, of an image, with the beginning of one.
func (f found) find(kind, namespace, name string) (int, error) {
	var at []int
	for i, key := range f.keys {
		if key.Name == name {
			return i, nil
		}
		if kind == "images" && name != "" && pullspec.MatchImageID(key.Name, name) {
			at = append(at, i)
		}
	}
	switch len(at) {
	case 0:
		resources := map[string]string{"is": "imagestreams", "istag": "imagestreamtags", "itag": "imagetags",
			"images": "images"}
		if kind == "images" {
			namespace = ""
		}
		return 0, imagestream.NewError(imagestream.ReasonNotFound, resources[kind],
			imagestream.Key{Namespace: namespace, Name: name}, "")
	case 1:
		return at[0], nil
	}
	return 0, usageError{fmt.Errorf("%q: the names of %d images begin with it: give more of the digest", name, len(at))}
}

func (f *found) addFirst(column describe.Column, cell func(i int) any) {
	f.table.Columns = slices.Insert(slices.Clone(f.table.Columns), 0, column)
	for i := range f.table.Rows {
		f.table.Rows[i] = slices.Insert(f.table.Rows[i], 0, cell(i))
	}
}

// addPins adds a column, if one of the cells has something to say.
func (f *found) addPins(cell func(key imagestream.Key) string) {
	var cells []string
	for _, key := range f.keys {
		cells = append(cells, cell(key))
	}
	if !slices.ContainsFunc(cells, func(text string) bool { return text != "" }) {
		return
	}
	f.table.Columns = append(slices.Clone(f.table.Columns), describe.Column{Name: "Pinned"})
	for i := range f.table.Rows {
		f.table.Rows[i] = append(f.table.Rows[i], cells[i])
	}
}

// list returns objects of a kind and their table; no namespace is all.
func (a *app) list(ctx context.Context, kind, namespace string) (found, error) {
	now := time.Now()
	if kind == "images" {
		return a.listImages(ctx)
	}
	var streams []imagestream.ImageStream
	pins := map[imagestream.Key]map[string]imagestream.TagPin{}
	for s, err := range a.streams.List(ctx, rest.ListOptions{Namespace: namespace}) {
		if err != nil {
			return found{}, err
		}
		streams, pins[s.Key()] = append(streams, *s), pinsOf(s)
	}
	if kind == "is" {
		f := of(streams, "ImageStream", func(s *imagestream.ImageStream) (*imagestream.TypeMeta, *imagestream.ObjectMeta) {
			return &s.TypeMeta, &s.Metadata
		}, describe.ImageStreams(streams, now))
		f.addPins(func(key imagestream.Key) string { return pinnedTags(pins[key], now) })
		return f, nil
	}
	f, err := a.listTags(ctx, kind, namespace, now)
	f.addPins(func(key imagestream.Key) string {
		stream, tag, _ := strings.Cut(key.Name, ":")
		if pin, ok := pins[imagestream.Key{Namespace: key.Namespace, Name: stream}][tag]; ok {
			return pinned(pin, now)
		}
		return ""
	})
	return f, err
}

func (a *app) listTags(ctx context.Context, kind, namespace string, now time.Time) (found, error) {
	opts := rest.ListOptions{Namespace: namespace}
	if kind == "itag" {
		tags, err := a.streams.API.ImageTags().List(ctx, opts)
		if err != nil {
			return found{}, err
		}
		return of(tags.Items, "ImageTag", func(t *imagestream.ImageTag) (*imagestream.TypeMeta, *imagestream.ObjectMeta) {
			return &t.TypeMeta, &t.Metadata
		}, describe.ImageTags(tags.Items, now)), nil
	}
	tags, err := a.streams.API.ImageStreamTags().List(ctx, opts)
	if err != nil {
		return found{}, err
	}
	return of(tags.Items, "ImageStreamTag", func(t *imagestream.ImageStreamTag) (
		*imagestream.TypeMeta, *imagestream.ObjectMeta,
	) {
		return &t.TypeMeta, &t.Metadata
	}, describe.ImageStreamTags(tags.Items, now)), nil
}

func (a *app) listImages(ctx context.Context) (found, error) {
	var images []imagestream.Image
	for i, err := range imagestream.All(ctx, a.store.ListImages, imagestream.ListOptions{}) {
		if err != nil {
			return found{}, err
		}
		images = append(images, *i)
	}
	return of(images, "Image", func(i *imagestream.Image) (*imagestream.TypeMeta, *imagestream.ObjectMeta) {
		return &i.TypeMeta, &i.Metadata
	}, describe.Images(images)), nil
}

// pinnedTags are the pinned tags of a stream, and until when.
func pinnedTags(pins map[string]imagestream.TagPin, now time.Time) string {
	var texts []string
	for tag, pin := range pins {
		texts = append(texts, tag+" "+pinned(pin, now))
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
