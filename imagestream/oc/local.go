package oc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Local is a [Server] on an API: the commands work without a cluster. It knows image streams, image stream tags
// and imports; anything else is NotFound. A patch is merged as the API merges it, spec.tags by name; a patch of
// another list, or with directives, is refused with the reason BadRequest. It is safe for concurrent use.
type Local struct{ API rest.API }

var errNoAPI = errors.New("there is no API to carry commands out on: set Local.API, for example to rest.New(store, registry)")

// Do implements [Server].
func (l Local) Do(ctx context.Context, r Request) (json.RawMessage, error) {
	answer, err := l.do(ctx, r)
	if err != nil || answer == nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (l Local) do(ctx context.Context, r Request) (any, error) {
	if l.API == nil {
		return nil, errNoAPI
	}
	key := imagestream.Key{Namespace: r.Namespace, Name: r.Name}
	dryRun := r.Query["dryRun"] != ""
	create, update := rest.CreateOptions{DryRun: dryRun}, rest.UpdateOptions{DryRun: dryRun}
	streams, tags := l.API.ImageStreams(), l.API.ImageStreamTags()
	switch object := r.Object.(type) {
	case *imagestream.ImageStream:
		if r.Verb == Create {
			return streams.Create(ctx, r.Namespace, object, create)
		}
		stored, _, err := streams.Update(ctx, key, rest.Replace(object), update)
		return stored, err
	case *imagestream.ImageStreamTag:
		if r.Verb == Create {
			return tags.Create(ctx, r.Namespace, object, create)
		}
		stored, _, err := tags.Update(ctx, key, rest.Replace(object), update)
		return stored, err
	case *imagestream.ImageStreamImport:
		return l.API.ImageStreamImports().Create(ctx, r.Namespace, object, create)
	}
	switch r.Resource + " " + r.Verb {
	case imageStreams + " " + Get:
		return streams.Get(ctx, key)
	case imageStreams + " " + List:
		return streams.List(ctx, rest.ListOptions{Namespace: r.Namespace})
	case imageStreams + " " + Patch:
		stored, _, err := streams.Update(ctx, key, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			return patched(s, r.Patch)
		}, update)
		return stored, err
	case imageStreams + " " + Delete:
		return nil, streams.Delete(ctx, key, rest.DeleteOptions{DryRun: dryRun})
	case imageStreamTags + " " + Delete:
		return nil, tags.Delete(ctx, key, rest.DeleteOptions{DryRun: dryRun})
	}
	return nil, imagestream.NewError(
		imagestream.ReasonNotFound,
		r.Resource,
		key,
		fmt.Sprintf("this server cannot %s %s", r.Verb, r.Resource),
	)
}
