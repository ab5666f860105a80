package rest

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

type streams struct{ *Server }

// show sets what the API computes whenever it shows a stream. The stream is the caller's own.
func (s *Server) show(stream *imagestream.ImageStream) {
	env := s.engine().Env()
	stream.Status.DockerImageRepository, stream.Status.PublicDockerImageRepository = stream.Repositories(env)
}

func (r streams) Get(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	stream, err := r.store().GetImageStream(ctx, key)
	if err != nil {
		return nil, err
	}
	r.show(stream)
	return stream, nil
}

func (r streams) List(ctx context.Context, opts ListOptions) (*imagestream.ImageStreamList, error) {
	fields, err := parseFields(imagestream.ResourceImageStreams, opts.Fields)
	if err != nil {
		return nil, err
	}
	page := imagestream.ListOptions{
		Namespace: opts.Namespace,
		Labels:    opts.Labels,
		Limit:     opts.Limit,
		Continue:  opts.Continue,
	}
	if len(fields) > 0 {
		page.Limit, page.Continue = 0, ""
	}
	list, err := r.store().ListImageStreams(ctx, page)
	if err != nil {
		return nil, err
	}
	list.Items = slices.DeleteFunc(
		list.Items,
		func(s imagestream.ImageStream) bool { return !fields.matches(&s.Metadata) },
	)
	for i := range list.Items {
		r.show(&list.Items[i])
	}
	return list, nil
}

func (r streams) Watch(
	ctx context.Context,
	opts WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	fields, err := parseFields(imagestream.ResourceImageStreams, opts.Fields)
	if err != nil {
		return failed[imagestream.ImageStream](err)
	}
	name := fields.name()
	changes := r.store().WatchImageStreams(ctx, imagestream.WatchOptions{
		Namespace: opts.Namespace, Name: name, Labels: opts.Labels, ResourceVersion: opts.ResourceVersion,
	})
	return watched(
		changes,
		fields,
		func(s *imagestream.ImageStream) *imagestream.ObjectMeta { return &s.Metadata },
		r.show,
	)
}

func (r streams) Create(
	ctx context.Context,
	namespace string,
	object *imagestream.ImageStream,
	opts CreateOptions,
) (*imagestream.ImageStream, error) {
	if object == nil {
		return nil, noObject(imagestream.ResourceImageStreams, namespace)
	}
	next := *object.WithDefaults()
	if err := inNamespace(&next.Metadata, imagestream.ResourceImageStreams, namespace); err != nil {
		return nil, err
	}
	return named(&next.Metadata, func() (*imagestream.ImageStream, error) {
		return r.engine().CreateBy(ctx, write.AsUser, &next, opts.DryRun)
	})
}

// nameAttempts is how often a name is generated until it is not taken.
const nameAttempts = 8

// named creates an object, under a generated name if m has none but the beginning of one.
func named[T any](m *imagestream.ObjectMeta, create func() (*T, error)) (*T, error) {
	if m.Name != "" || m.GenerateName == "" {
		return create()
	}
	for attempt := 1; ; attempt++ {
		m.Name = generateName(m.GenerateName)
		stored, err := create()
		if !errors.Is(err, imagestream.ErrAlreadyExists) || attempt == nameAttempts {
			return stored, err
		}
	}
}

// generateName returns a name as the API generates it: the beginning, and five letters that make no words.
func generateName(beginning string) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	suffix := make([]byte, 5)
	for i := range suffix {
		suffix[i] = letters[rand.IntN(len(letters))]
	}
	return beginning[:min(len(beginning), 58)] + string(suffix)
}

func (r streams) Update(
	ctx context.Context,
	key imagestream.Key,
	change Change[imagestream.ImageStream],
	opts UpdateOptions,
) (*imagestream.ImageStream, bool, error) {
	return r.update(ctx, key, write.AsUser, change, opts)
}

func (r streams) UpdateStatus(
	ctx context.Context,
	key imagestream.Key,
	change Change[imagestream.ImageStream],
	opts UpdateOptions,
) (*imagestream.ImageStream, error) {
	opts.OrCreate = false
	stored, _, err := r.update(ctx, key, write.AsStatus, change, opts)
	return stored, err
}

func (r streams) update(
	ctx context.Context,
	key imagestream.Key,
	rules write.Rules,
	change Change[imagestream.ImageStream],
	opts UpdateOptions,
) (_ *imagestream.ImageStream, created bool, err error) {
	stored, err := r.engine().Write(ctx, write.Request{
		Key:      key,
		Rules:    rules,
		OrCreate: opts.OrCreate,
		DryRun:   opts.DryRun,
		Attempts: r.attempts(imagestream.ResourceImageStreams, "update"),
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if old != nil {
				r.show(old)
			}
			next, err := change.apply(imagestream.ResourceImageStreams, key, old)
			created = old == nil
			if err != nil || next == old {
				return next, err
			}
			sent := *next.WithDefaults()
			if err := inNamespace(&sent.Metadata, imagestream.ResourceImageStreams, key.Namespace); err != nil {
				return nil, err
			}
			if sent.Metadata.Name != key.Name {
				return nil, wrongName(imagestream.ResourceImageStreams, key, sent.Metadata.Name)
			}
			return &sent, nil
		},
	})
	if err != nil {
		return nil, false, err
	}
	r.show(stored)
	return stored, created, nil
}

// wrongName is the failure of an object that is sent under the name of another.
func wrongName(resource string, key imagestream.Key, sent string) error {
	return badRequest(resource, key, "the object's name is \""+sent+"\": it must be the request's, \""+key.Name+"\"")
}

func (r streams) Delete(ctx context.Context, key imagestream.Key, opts DeleteOptions) error {
	if !opts.DryRun {
		return r.store().DeleteImageStream(ctx, key, opts.Preconditions)
	}
	stored, err := r.store().GetImageStream(ctx, key)
	if err != nil {
		return err
	}
	m := &stored.Metadata
	return opts.Preconditions.Check(imagestream.ResourceImageStreams, key, m.UID, m.ResourceVersion)
}

func (r streams) Secrets(ctx context.Context, key imagestream.Key) (*SecretList, error) {
	if _, err := r.store().GetImageStream(ctx, key); err != nil {
		return nil, err
	}
	list := &SecretList{TypeMeta: imagestream.TypeMeta{Kind: "SecretList", APIVersion: "v1"}}
	if r.Server.Secrets == nil {
		return list, nil
	}
	all, err := r.Server.Secrets(ctx, key.Namespace)
	if err != nil {
		return nil, err
	}
	for _, secret := range all {
		if secret.Type == "kubernetes.io/dockercfg" || secret.Type == "kubernetes.io/dockerconfigjson" {
			list.Items = append(list.Items, secret)
		}
	}
	return list, nil
}
