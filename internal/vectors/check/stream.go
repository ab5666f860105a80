package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/tagevent"
)

// environment is the env of a case.
type environment struct {
	Now               time.Time
	InternalRegistry  string
	ExternalRegistry  string
	Streams           []*imagestream.ImageStream
	Allow             []string
	AllowedRegistries []imagestream.RegistryLocation
	LimitRanges       []map[string]string
}

// env returns the library's Env, and the streams in the store.
func (e environment) env() imagestream.Env {
	env := imagestream.Env{
		Settings: imagestream.Settings{
			InternalRegistry: e.InternalRegistry, ExternalRegistry: e.ExternalRegistry, AllowedRegistries: e.AllowedRegistries,
			Limits: imagestream.Limits{Images: e.limit("openshift.io/images"), ImageTags: e.limit("openshift.io/image-tags")},
		},
		Now:      e.Now,
		Streams:  map[imagestream.Key]*imagestream.ImageStream{},
		Readable: map[imagestream.Key]bool{},
	}
	for _, s := range e.Streams {
		env.Streams[s.Key()] = s
	}
	return env
}

func (e environment) limit(resource string) *int64 {
	var limit *int64
	for _, item := range e.LimitRanges {
		if n, err := strconv.ParseInt(item[resource], 10, 64); err == nil && (limit == nil || n < *limit) {
			limit = &n
		}
	}
	return limit
}

// allows reports whether the caller may get the layers of key.
func (e environment) allows(key imagestream.Key) bool {
	for _, allowed := range e.Allow {
		if allowed == "*" || allowed == key.String() {
			return true
		}
	}
	return false
}

// only cuts env down to what needs lists, and adds the permissions that it lists.
func (e environment) only(env imagestream.Env, needs imagestream.Needs) imagestream.Env {
	streams := map[imagestream.Key]*imagestream.ImageStream{}
	for _, key := range needs.Streams {
		if s, ok := env.Streams[key]; ok {
			streams[key] = s
		}
	}
	env.Streams = streams
	for _, key := range needs.Layers {
		env.Readable[key] = e.allows(key)
	}
	return env
}

type streamInput struct {
	Stream, Old, New *imagestream.ImageStream
	Namespace        *string
}

// transitionRunner runs a transition with the checks of the request around it.
func transitionRunner(
	run func(in streamInput, e environment, env imagestream.Env) (*imagestream.ImageStream, error),
) runner {
	return func(c *call) (any, error) {
		var e environment
		var in streamInput
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		stream, err := run(in, e, e.env())
		if err != nil {
			return failure(err)
		}
		return object{"stream": shown(stream, in.Old == nil)}, nil
	}
}

func createRunner(
	prepare func(*imagestream.ImageStream, imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList),
) runner {
	return transitionRunner(func(in streamInput, e environment, env imagestream.Env) (*imagestream.ImageStream, error) {
		namespace := in.Stream.Metadata.Namespace
		if in.Namespace != nil {
			namespace = *in.Namespace
		}
		if ns := in.Stream.Metadata.Namespace; ns != "" && ns != namespace {
			return nil, imagestream.NewError(
				imagestream.ReasonBadRequest,
				imagestream.ResourceImageStreams,
				in.Stream.Key(),
				"another namespace",
			)
		}
		named := *in.Stream
		named.Metadata.Namespace = namespace
		stream, errs := prepare(&named, e.only(env, (&named).CreateNeeds()))
		if errs != nil {
			return nil, invalid(&named, errs)
		}
		if err := stream.CheckUnversioned(); err != nil {
			return nil, err
		}
		if env.Streams[stream.Key()] != nil {
			return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImageStreams, stream.Key(), "")
		}
		return stream, nil
	})
}

func updateRunner(
	prepare func(old, next *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList),
) runner {
	return transitionRunner(func(in streamInput, e environment, env imagestream.Env) (*imagestream.ImageStream, error) {
		old := *in.Old
		if in.Namespace != nil {
			old.Metadata.Namespace = *in.Namespace
		}
		if err := (&old).CheckUpdate(in.New); err != nil {
			return nil, err
		}
		stream, errs := prepare(in.Old, in.New, e.only(env, in.Old.UpdateNeeds(in.New)))
		if errs != nil {
			return nil, invalid(in.New, errs)
		}
		return stream, nil
	})
}

func invalid(s *imagestream.ImageStream, errs imagestream.ErrorList) error {
	return errs.Of(imagestream.ResourceImageStreams, s.Key())
}

// failure shows an error as the vectors do.
func failure(err error) (any, error) {
	var status *imagestream.StatusError
	if !errors.As(err, &status) {
		return nil, err
	}
	if status.Reason == imagestream.ReasonInvalid {
		return object{"errors": shownErrors(status.Errors)}, nil
	}
	return object{"status": object{"reason": status.Reason, "code": status.Reason.Code()}}, nil
}

func shownErrors(errs imagestream.ErrorList) []object {
	var out []object
	for _, e := range errs {
		out = append(out, object{"type": strings.TrimPrefix(string(e.Type), "FieldValue"), "field": e.Field})
	}
	return out
}

// shown is a stream as the vectors show it: without kind, resource version and condition messages, on create
// without uid.
func shown(s *imagestream.ImageStream, created bool) *imagestream.ImageStream {
	c := s.Clone()
	c.TypeMeta = imagestream.TypeMeta{}
	c.Metadata.ResourceVersion = ""
	if created {
		c.Metadata.UID = ""
	}
	c.Status.Tags = shownHistories(c.Status.Tags)
	return c
}

func shownHistories(histories []tagevent.History) []tagevent.History {
	for _, h := range histories {
		for i := range h.Conditions {
			h.Conditions[i].Message = ""
		}
	}
	return histories
}

var streamOps = map[string]runner{
	"stream.create":         createRunner(imagestream.PrepareCreate),
	"stream.createInternal": createRunner(imagestream.PrepareCreateInternal),
	"stream.update":         updateRunner(imagestream.PrepareUpdate),
	"stream.updateInternal": updateRunner(imagestream.PrepareUpdateInternal),
	"stream.updateStatus":   updateRunner(imagestream.PrepareStatusUpdate),
	"names.admitRegistry": func(c *call) (any, error) {
		var e environment
		var in struct {
			PullSpec     string
			Transport    string
			Repositories []string
		}
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		list := e.env().Allowlist().WithRepositories(in.Repositories...)
		if in.Transport == "any" {
			return object{"allowed": list.Allows(in.PullSpec)}, nil
		}
		return object{"allowed": list.AllowsOver(in.PullSpec, in.Transport == "insecure")}, nil
	},
}

type tagInput struct {
	Stream    *imagestream.ImageStream
	Tag, ID   string
	Event     *tagevent.Event
	Condition tagevent.Condition
	TagRef    imagestream.TagReference
}

// overTag makes a runner of a function of a stream and the time.
func overTag(f func(in tagInput, now imagestream.Time) (any, error)) runner {
	return func(c *call) (any, error) {
		var e environment
		var in tagInput
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		return f(in, tagevent.TimeOf(e.Now))
	}
}

func statusTags(s *imagestream.ImageStream) any { return shownHistories(s.Clone().Status.Tags) }

var tagOps = map[string]runner{
	"tagevent.add": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		s, changed := in.Stream.Push(in.Tag, *in.Event)
		return object{"changed": changed, "statusTags": statusTags(s)}, nil
	}),
	"tagevent.track": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		s, updated := in.Stream.PushToTrackers(in.Tag, *in.Event)
		return object{"updated": updated, "statusTags": statusTags(s)}, nil
	}),
	"tagevent.latest": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		event, found := in.Stream.LatestEvent(in.Tag)
		if !found {
			return object{"found": false}, nil
		}
		return object{"found": true, "event": event}, nil
	}),
	"tagevent.resolve": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		if in.Event != nil {
			p, err := inspect.PullSpec(in.Stream, in.Tag, inspect.PullSpecOptions{Event: in.Event})
			return object{"pullSpec": p.PullSpec, "ok": true}, err
		}
		p, err := inspect.PullSpec(in.Stream, in.Tag, inspect.PullSpecOptions{Want: inspect.Recent})
		return object{"pullSpec": p.PullSpec, "ok": err == nil}, nil
	}),
	"tagevent.resolveImageID": overTag(func(in tagInput, now imagestream.Time) (any, error) {
		event, err := in.Stream.FindImage(in.ID, now)
		if err != nil {
			return failure(err)
		}
		return object{"event": event}, nil
	}),
	"tagevent.hasCondition": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		h, _ := in.Stream.History(in.Tag)
		return object{"has": h.HasCondition(in.Condition)}, nil
	}),
	"tagevent.sortTags": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		return object{"tags": tagevent.ByAge(in.Stream.Status.Tags)}, nil
	}),
	"tagevent.pullSpec": func(c *call) (any, error) {
		var in struct {
			Stream          *imagestream.ImageStream
			Tag             string
			Mode            string
			DefaultExternal bool
		}
		if err := c.in(&in); err != nil {
			return nil, err
		}
		opts := inspect.PullSpecOptions{StandIn: inspect.FromLocal}
		if in.DefaultExternal {
			opts.StandIn = inspect.FromPublic
		}
		if in.Mode == "recent" {
			opts.Want = inspect.Recent
		}
		got, err := inspect.PullSpec(in.Stream, in.Tag, opts)
		switch {
		case errors.Is(err, inspect.ErrNoRepository):
			return object{"error": "NoStreamRepository"}, nil
		case errors.Is(err, inspect.ErrNotImported):
			return object{"error": "WaitForPullSpec"}, nil
		case err != nil:
			return nil, err
		}
		out := object{"pullSpec": got.PullSpec, "hasStatus": got.HasStatus, "isTagEmpty": got.IsTagEmpty}
		if in.Mode == "recent" {
			out["hasNewer"] = got.HasNewer
		}
		return out, nil
	},
	"tagevent.localTag": overTag(func(in tagInput, _ imagestream.Time) (any, error) {
		tag, ok := in.Stream.LocalTag(in.TagRef)
		return object{"tag": tag, "ok": ok}, nil
	}),
}
