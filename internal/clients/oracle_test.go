package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// command is a command of oc or kubectl, as it was typed.
type command struct {
	words     []string // without the program
	namespace string
	flags     oc.Flags
}

// valued are the flags whose value may be the next word.
var valued = []string{
	"context", "from", "from-image", "import-mode", "kubeconfig", "namespace", "output", "reference-policy", "selector",
	"source",
}

var shorthands = map[string]string{
	"A": "all-namespaces", "d": "delete", "l": "selector", "n": "namespace", "o": "output",
}

// parse reads a simple command of oc or kubectl. One that is somebody else's, or about another server, is not read.
func parse(typed []string) (command, bool) {
	c := command{namespace: "default", flags: oc.Flags{}}
	if len(typed) == 0 || typed[0] != "oc" && typed[0] != "kubectl" {
		return c, false
	}
	for i := 1; i < len(typed); i++ {
		word := typed[i]
		if !strings.HasPrefix(word, "-") || word == "-" {
			c.words = append(c.words, word)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if !strings.HasPrefix(word, "--") {
			if shorthands[name] == "" {
				return c, false
			}
			name = shorthands[name]
		}
		if !hasValue {
			value = "true"
			if slices.Contains(valued, name) && i+1 < len(typed) {
				i++
				value = typed[i]
			}
		}
		switch name {
		case "context", "kubeconfig":
			return c, false
		case "namespace":
			c.namespace = value
		default:
			c.flags[name] = append(c.flags[name], value)
		}
	}
	return c, true
}

// aliases are the names that a kind of object goes by.
var aliases = map[string]string{
	"is": "imagestreams", "imagestream": "imagestreams", "istag": "imagestreamtags", "imagestreamtag": "imagestreamtags",
	"isimage": "imagestreamimages", "isimg": "imagestreamimages", "imagestreamimage": "imagestreamimages",
	"itag": "imagetags", "imagetag": "imagetags", "image": "images",
}

func resource(word string) string {
	if known, ok := aliases[word]; ok {
		return known
	}
	return word
}

// carryOut returns how the library carries out a command that writes; nil if it has no such words.
func (c command) carryOut() func(*oc.Commands, context.Context, oc.Command) error {
	word := func(i int) string {
		if i < len(c.words) {
			return c.words[i]
		}
		return ""
	}
	switch {
	case word(0) == "tag":
		return (*oc.Commands).Tag
	case word(0) == "import-image":
		return (*oc.Commands).ImportImage
	case word(0) == "create" && resource(word(1)) == "imagestreams":
		return (*oc.Commands).CreateImageStream
	case word(0) == "create" && resource(word(1)) == "imagestreamtags":
		return (*oc.Commands).CreateImageStreamTag
	case word(0) == "set" && word(1) == "image-lookup":
		return (*oc.Commands).SetImageLookup
	}
	return nil
}

// prediction is what the library does with a command, on a store of its own.
type prediction struct {
	stdout string
	err    error
	world  *world
}

// predict carries a command out on a copy of the store; nil if it is none of the library's words.
func (s *story) predict(ctx context.Context, c command) (*prediction, error) {
	carryOut := c.carryOut()
	if carryOut == nil {
		return nil, nil
	}
	twin, err := newWorld(s.registry, everybody{})
	if err != nil {
		return nil, err
	}
	twin.store.Restore(s.world.store.Snapshot())
	args := c.words[1:]
	if c.words[0] == "create" || c.words[0] == "set" {
		args = c.words[2:]
	}
	var out bytes.Buffer
	commands := &oc.Commands{Server: oc.Local{API: twin.api}, Out: &out}
	failure := carryOut(commands, ctx, oc.Command{Namespace: c.namespace, Args: args, Flags: c.flags})

	looping, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- twin.run(looping) }()
	err = twin.settle(ctx)
	stop()
	return &prediction{out.String(), failure, twin}, errors.Join(err, <-ended)
}

// check compares what the real client did with the prediction.
func (s *story) check(ctx context.Context, p *prediction, got result) error {
	var wrong []error
	if want, have := s.names.fold(p.stdout), s.names.fold(got.stdout); want != have {
		wrong = append(wrong, fmt.Errorf("package oc prints something else:\n%s", cmp.Diff(want, have)))
	}
	if (p.err != nil) != (got.exit != 0) {
		wrong = append(wrong, fmt.Errorf("package oc ends with error %v, the real client with %d", p.err, got.exit))
	}
	var status *imagestream.StatusError
	if reason, ok := reasonOf(got.stderr); ok && (!errors.As(p.err, &status) || reason != string(status.Reason)) {
		wrong = append(wrong, fmt.Errorf("package oc fails for another reason than %q: %v", reason, p.err))
	}
	want, err := stored(ctx, p.world)
	if err != nil {
		return err
	}
	have, err := stored(ctx, s.world)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, have); diff != "" {
		wrong = append(wrong, fmt.Errorf("package oc leaves other streams:\n%s", diff))
	}
	return errors.Join(wrong...)
}

// serverSays are the beginnings of what clients write when the server refuses something.
var serverSays = regexp.MustCompile(`^Error from server(?: \((\w+)\))?: |^The \w+ ".*" is (i)nvalid: `)

// reasonOf returns the reason of the server's answer that a client wrote.
func reasonOf(stderr string) (reason string, ok bool) {
	said := serverSays.FindStringSubmatch(stderr)
	if said == nil {
		return "", false
	}
	if said[2] != "" {
		return string(imagestream.ReasonInvalid), true
	}
	return said[1], true
}

// stored is everything in a store, without what counts writes.
func stored(ctx context.Context, w *world) (map[string]any, error) {
	streams, err := w.store.ListImageStreams(ctx, imagestream.ListOptions{})
	if err != nil {
		return nil, err
	}
	images, err := w.store.ListImages(ctx, imagestream.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for i := range streams.Items {
		stream := &streams.Items[i]
		stream.Metadata.ManagedFields, stream.Metadata.ResourceVersion, stream.Metadata.UID = nil, "", ""
		if all[stream.Metadata.Namespace+"/"+stream.Metadata.Name], err = tree(stream); err != nil {
			return nil, err
		}
	}
	for i := range images.Items {
		all[images.Items[i].Metadata.Name] = true
	}
	return all, nil
}

func tree(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(raw, &out)
}

// look returns what the library shows for a command that reads; ok is false if it has no such words.
func (s *story) look(ctx context.Context, c command) (text string, ok bool, err error) {
	if len(c.words) < 2 {
		return "", false, nil
	}
	kind, name, split := strings.Cut(c.words[1], "/")
	if !split && len(c.words) == 3 {
		name = c.words[2]
	}
	var b bytes.Buffer
	switch c.words[0] {
	case "describe":
		ok, err = s.describe(ctx, &b, resource(kind), imagestream.Key{Namespace: c.namespace, Name: name})
	case "get":
		ok, err = s.table(ctx, &b, resource(kind), name, c)
	}
	return b.String(), ok, err
}

func (s *story) describe(ctx context.Context, w io.Writer, resource string, key imagestream.Key) (bool, error) {
	now, api := time.Now(), s.world.api
	switch resource {
	case "imagestreams":
		stream, err := api.ImageStreams().Get(ctx, key)
		if err != nil {
			return false, err
		}
		return true, describe.ImageStream(w, stream, now)
	case "imagestreamtags":
		tag, err := api.ImageStreamTags().Get(ctx, key)
		if err != nil {
			return false, err
		}
		return true, describe.ImageStreamTag(w, tag, now)
	case "imagestreamimages":
		image, err := api.ImageStreamImages().Get(ctx, key)
		if err != nil {
			return false, err
		}
		return true, describe.ImageStreamImage(w, image, now)
	case "images":
		image, err := api.Images().Get(ctx, imagestream.Key{Name: key.Name})
		if err != nil {
			return false, err
		}
		return true, describe.Image(w, image, "", now)
	}
	return false, nil
}

// tableFlags are those of "get" that the library has words for.
var tableFlags = []string{"all-namespaces", "no-headers", "output"}

// table prints what "get" prints of objects that need no further words.
func (s *story) table(ctx context.Context, w io.Writer, resource, name string, c command) (bool, error) {
	wide := slices.Equal(c.flags["output"], []string{"wide"})
	for flag := range c.flags {
		if !slices.Contains(tableFlags, flag) {
			return false, nil
		}
	}
	if len(c.flags["output"]) > 0 && !wide {
		return false, nil
	}
	namespace := c.namespace
	all := len(c.flags["all-namespaces"]) > 0
	if all {
		namespace = ""
	}
	table, namespaces, err := s.rows(ctx, resource, imagestream.Key{Namespace: namespace, Name: name})
	if err != nil || len(table.Rows) == 0 {
		return false, err
	}
	if all {
		table.Columns = append([]describe.Column{{Name: "Namespace", Type: "string"}}, table.Columns...)
		for i := range table.Rows {
			table.Rows[i] = append([]any{namespaces[i]}, table.Rows[i]...)
		}
	}
	return true, table.Print(w, describe.PrintOptions{Wide: wide, NoHeaders: len(c.flags["no-headers"]) > 0})
}

func (s *story) rows(ctx context.Context, resource string, key imagestream.Key) (
	table describe.Table, namespaces []string, err error,
) {
	now, api, opts := time.Now(), s.world.api, rest.ListOptions{Namespace: key.Namespace}
	switch resource {
	case "imagestreams":
		list, err := api.ImageStreams().List(ctx, opts)
		if err != nil {
			return table, nil, err
		}
		list.Items = named(list.Items, key.Name, func(s imagestream.ImageStream) string { return s.Metadata.Name })
		for _, stream := range list.Items {
			namespaces = append(namespaces, stream.Metadata.Namespace)
		}
		return describe.ImageStreams(list.Items, now), namespaces, nil
	case "imagestreamtags":
		list, err := api.ImageStreamTags().List(ctx, opts)
		if err != nil {
			return table, nil, err
		}
		list.Items = named(list.Items, key.Name, func(t imagestream.ImageStreamTag) string { return t.Metadata.Name })
		for _, tag := range list.Items {
			namespaces = append(namespaces, tag.Metadata.Namespace)
		}
		return describe.ImageStreamTags(list.Items, now), namespaces, nil
	case "imagetags":
		list, err := api.ImageTags().List(ctx, opts)
		if err != nil {
			return table, nil, err
		}
		list.Items = named(list.Items, key.Name, func(t imagestream.ImageTag) string { return t.Metadata.Name })
		for _, tag := range list.Items {
			namespaces = append(namespaces, tag.Metadata.Namespace)
		}
		return describe.ImageTags(list.Items, now), namespaces, nil
	case "imagestreamimages":
		image, err := api.ImageStreamImages().Get(ctx, key)
		if err != nil {
			return table, nil, err
		}
		return describe.ImageStreamImages([]imagestream.ImageStreamImage{*image}, now), []string{key.Namespace}, nil
	case "images":
		list, err := api.Images().List(ctx, opts)
		if err != nil {
			return table, nil, err
		}
		list.Items = named(list.Items, key.Name, func(i imagestream.Image) string { return i.Metadata.Name })
		return describe.Images(list.Items), make([]string, len(list.Items)), nil
	}
	return table, nil, nil
}

// named returns the objects of that name; all without one.
func named[T any](objects []T, name string, of func(T) string) []T {
	return slices.DeleteFunc(objects, func(object T) bool { return name != "" && of(object) != name })
}
