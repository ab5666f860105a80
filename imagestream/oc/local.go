package oc

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/view"
)

// Local is a [Server] on a client's Store: the commands work without a cluster. It knows image streams, image
// stream tags and imports; anything else is NotFound. Defaults are those of the API, and a patch is merged
// member by member. It is safe for concurrent
// use.
type Local struct{ Client *client.Client }

// Do implements [Server].
func (l Local) Do(ctx context.Context, r Request) (json.RawMessage, error) {
	answer, err := l.do(ctx, r)
	if err != nil || answer == nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (l Local) do(ctx context.Context, r Request) (any, error) {
	key := imagestream.Key{Namespace: r.Namespace, Name: r.Name}
	tags := &view.Writer{Streams: l.Client.Writer}
	opts := view.WriteOptions{DryRun: r.Query["dryRun"] != ""}
	switch object := r.Object.(type) {
	case *imagestream.ImageStream:
		return l.writeStream(ctx, r, object)
	case *imagestream.ImageStreamTag:
		sent := *object
		sent.Tag = withDefaults(object.Tag)
		if r.Verb == Create {
			return tags.CreateImageStreamTag(ctx, r.Namespace, &sent, opts)
		}
		written, _, err := tags.UpdateImageStreamTag(ctx, r.Namespace, r.Name, &sent, opts)
		return written, err
	case *imagestream.ImageStreamImport:
		images, err := l.Client.Importer()
		if err != nil {
			return nil, err
		}
		return images.Import(ctx, object)
	}
	switch r.Resource + " " + r.Verb {
	case imageStreams + " " + Get:
		return l.Client.Get(ctx, key)
	case imageStreams + " " + List:
		list := &imagestream.ImageStreamList{TypeMeta: typeMeta("ImageStreamList")}
		for s, err := range l.Client.List(ctx, imagestream.ListOptions{Namespace: r.Namespace}) {
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, *s)
		}
		return list, nil
	case imageStreams + " " + Patch:
		return l.patch(ctx, key, r)
	case imageStreams + " " + Delete:
		return nil, l.Client.Delete(ctx, key)
	case imageStreamTags + " " + Delete:
		return nil, tags.DeleteTag(ctx, r.Namespace, r.Name, opts)
	}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, r.Resource, key, fmt.Sprintf("this store does not know how to %s %s", r.Verb, r.Resource))
}

// withDefaults gives a tag the defaults that the API's decoder gives. The argument stays as it is.
func withDefaults(t *imagestream.TagReference) *imagestream.TagReference {
	if t == nil {
		return nil
	}
	s := imagestream.WithDefaults(&imagestream.ImageStream{Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{*t}}})
	return &s.Spec.Tags[0]
}

// writer writes streams, one time: what was sent is for the version that it says.
func (l Local) writer(r Request) *imagestream.Writer {
	w := l.Client.Writer
	w.Attempts = 1
	if r.Query["dryRun"] != "" {
		w.Store = view.DryRun(w.Store)
	}
	return &w
}

func (l Local) writeStream(ctx context.Context, r Request, s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	sent := imagestream.WithDefaults(s)
	if r.Verb == Create {
		created := *sent
		created.Metadata.Namespace = r.Namespace
		return l.writer(r).Create(ctx, &created)
	}
	return l.writer(r).Update(ctx, imagestream.Key{Namespace: r.Namespace, Name: r.Name}, func(*imagestream.ImageStream) (*imagestream.ImageStream, error) {
		return sent, nil
	})
}

// patch merges a patch into a stream.
func (l Local) patch(ctx context.Context, key imagestream.Key, r Request) (*imagestream.ImageStream, error) {
	var change map[string]any
	if err := json.Unmarshal(r.Patch, &change); err != nil {
		return nil, imagestream.NewError(imagestream.ReasonBadRequest, r.Resource, key, err.Error())
	}
	w := l.writer(r)
	w.Attempts = l.Client.Writer.Attempts
	return w.Update(ctx, key, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		raw, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		var tree map[string]any
		if err := json.Unmarshal(raw, &tree); err != nil {
			return nil, err
		}
		if raw, err = json.Marshal(merge(tree, change)); err != nil {
			return nil, err
		}
		next := new(imagestream.ImageStream)
		return next, json.Unmarshal(raw, next)
	})
}

// merge returns object with the members of patch, those that are null removed.
func merge(object, patch map[string]any) map[string]any {
	merged := maps.Clone(object)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(merged, name)
		case map[string]any:
			below, _ := merged[name].(map[string]any)
			merged[name] = merge(below, value)
		default:
			merged[name] = value
		}
	}
	return merged
}
