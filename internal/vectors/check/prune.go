package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/prune"
)

var pruneOps = map[string]runner{"prune": runPrune}

// pruneInput is what the real system lists.
type pruneInput struct {
	Options struct {
		KeepYoungerThan                       *string
		KeepTagRevisions                      int
		PruneOverSizeLimit, IgnoreInvalidRefs bool
		AllImages, PruneRegistry              *bool
		Namespace                             string
	}
	Images   []imagestream.Image
	Streams  []imagestream.ImageStream
	Failures map[string][]string

	Pods, ReplicationControllers, DeploymentConfigs, ReplicaSets, Deployments, DaemonSets, StatefulSets []map[string]any
	Jobs, CronJobs, Builds, BuildConfigs, LimitRanges                                                   []map[string]any
}

// workloads returns the objects with the kinds that they were listed by.
func (in *pruneInput) workloads() []map[string]any {
	var all []map[string]any
	for _, list := range []struct {
		apiVersion, kind string
		objects          []map[string]any
	}{
		{"v1", "Pod", in.Pods}, {"v1", "ReplicationController", in.ReplicationControllers},
		{"apps.openshift.io/v1", "DeploymentConfig", in.DeploymentConfigs},
		{"apps/v1", "ReplicaSet", in.ReplicaSets}, {"apps/v1", "Deployment", in.Deployments},
		{"apps/v1", "DaemonSet", in.DaemonSets}, {"apps/v1", "StatefulSet", in.StatefulSets},
		{"batch/v1", "Job", in.Jobs}, {"batch/v1", "CronJob", in.CronJobs},
		{"build.openshift.io/v1", "Build", in.Builds}, {"build.openshift.io/v1", "BuildConfig", in.BuildConfigs},
		{"v1", "LimitRange", in.LimitRanges},
	} {
		for _, o := range list.objects {
			typed := map[string]any{"apiVersion": list.apiVersion, "kind": list.kind}
			for _, member := range []string{"metadata", "spec", "status"} {
				typed[member] = o[member]
			}
			all = append(all, typed)
		}
	}
	return all
}

func (in *pruneInput) options() (prune.Options, error) {
	o := prune.Options{
		KeepTagRevisions: in.Options.KeepTagRevisions, OverSizeLimit: in.Options.PruneOverSizeLimit,
		IgnoreInvalidReferences: in.Options.IgnoreInvalidRefs, Namespace: in.Options.Namespace,
		ManagedOnly:  in.Options.AllImages != nil && !*in.Options.AllImages,
		KeepRegistry: in.Options.PruneRegistry != nil && !*in.Options.PruneRegistry,
	}
	if in.Options.KeepYoungerThan == nil {
		return o, nil
	}
	d, err := time.ParseDuration(*in.Options.KeepYoungerThan)
	o.KeepYoungerThan = &d
	return o, err
}

func runPrune(c *call) (any, error) {
	var e environment
	var in pruneInput
	if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
		return nil, err
	}
	opts, err := in.options()
	if err != nil {
		return nil, err
	}
	input := prune.Input{Now: e.Now, Streams: in.Streams, Images: in.Images, Workloads: in.workloads()}
	plan, err := prune.Decide(input, opts)
	if err != nil {
		var bad *prune.BadReferencesError
		n := 0
		if errors.As(err, &bad) {
			n = len(bad.References)
		}
		return object{"buildError": true, "badReferences": n}, nil
	}
	server := newPruned(&in)
	result := plan.Run(context.Background(), server, server, nil)
	for _, list := range [][]string{server.layerLinks, server.manifestLinks, server.blobs, server.images} {
		slices.Sort(list)
	}
	slices.SortStableFunc(server.updates, byStream)
	return object{
		"errors": len(result.Errors), "streamUpdates": server.updates, "removedItems": server.removed(in.Streams),
		"layerLinks": server.layerLinks, "manifestLinks": server.manifestLinks,
		"blobs": server.blobs, "images": server.images,
		"stats": object{
			"deletedImages": result.Done[prune.DeleteImage], "deletedImageStreamTagItems": result.Events,
			"updatedImageStreams": result.Done[prune.UpdateStream], "deletedLayerLinks": result.Done[prune.DeleteLayerLink],
			"deletedManifestLinks": result.Done[prune.DeleteManifestLink], "deletedBlobs": result.Done[prune.DeleteBlob],
		},
	}, nil
}

func byStream(a, b object) int { return strings.Compare(a["stream"].(string), b["stream"].(string)) }

// pruned is a server and a registry that write down what they are asked, and fail where a case says so.
type pruned struct {
	streams   map[imagestream.Key]*imagestream.ImageStream
	failures  map[string][]string
	conflicts map[string]bool

	updates                                  []object
	layerLinks, manifestLinks, blobs, images []string
}

func newPruned(in *pruneInput) *pruned {
	s := &pruned{
		streams: map[imagestream.Key]*imagestream.ImageStream{}, failures: in.Failures, conflicts: map[string]bool{},
	}
	for i := range in.Streams {
		s.streams[in.Streams[i].Key()] = &in.Streams[i]
	}
	for _, key := range in.Failures["streamConflictOnce"] {
		s.conflicts[key] = true
	}
	return s
}

var errPruned = errors.New("fails in this case")

func (p *pruned) fail(kind, what string) error {
	if slices.Contains(p.failures[kind], what) {
		return errPruned
	}
	return nil
}

// pruneAttempts is how often the real system writes a status that conflicts.
const pruneAttempts = 5

func (p *pruned) UpdateStatus(_ context.Context, key imagestream.Key,
	change func(*imagestream.ImageStream) (*imagestream.ImageStream, error),
) (*imagestream.ImageStream, error) {
	for attempt := 1; ; attempt++ {
		next, err := p.updateOnce(key, change)
		if !errors.Is(err, imagestream.ErrConflict) || attempt == pruneAttempts {
			return next, err
		}
	}
}

func (p *pruned) updateOnce(key imagestream.Key,
	change func(*imagestream.ImageStream) (*imagestream.ImageStream, error),
) (*imagestream.ImageStream, error) {
	name := key.String()
	gone := imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key, "")
	if p.fail("streamGone", name) != nil {
		return nil, gone
	}
	if err := p.fail("streamGet", name); err != nil {
		return nil, err
	}
	old := p.streams[key]
	next, err := change(old)
	if err != nil || next == old {
		return old, err
	}
	tags := []object{}
	for _, h := range next.Status.Tags {
		items := []string{}
		for _, e := range h.Items {
			items = append(items, e.Image)
		}
		tags = append(tags, object{"tag": h.Tag, "items": items})
	}
	p.updates = append(p.updates, object{"stream": name, "deletedItems": events(old) - events(next), "tags": tags})
	switch {
	case p.conflicts[name]:
		delete(p.conflicts, name)
		return nil, imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "")
	case p.fail("streamUpdateGone", name) != nil:
		return nil, gone
	case p.fail("streamUpdate", name) != nil:
		return nil, errPruned
	}
	p.streams[key] = next
	return next, nil
}

func events(s *imagestream.ImageStream) (n int) {
	for _, h := range s.Status.Tags {
		n += len(h.Items)
	}
	return n
}

// removed lists the events that the server does not have any more.
func (p *pruned) removed(streams []imagestream.ImageStream) []object {
	list := []object{}
	keys := map[imagestream.Key]bool{}
	for i := range streams {
		s := &streams[i]
		if keys[s.Key()] {
			continue
		}
		keys[s.Key()] = true
		now := p.streams[s.Key()]
		for _, h := range s.Status.Tags {
			left, _ := now.History(h.Tag)
			for index, e := range h.Items {
				if len(left.Items) > 0 && left.Items[0] == e {
					left.Items = left.Items[1:]
					continue
				}
				list = append(list, object{"stream": s.Key().String(), "tag": h.Tag, "index": index, "image": e.Image})
			}
		}
	}
	slices.SortStableFunc(list, byStream)
	return list
}

func (p *pruned) ListImageStreams(context.Context, imagestream.ListOptions) (*imagestream.ImageStreamList, error) {
	return nil, errPruned
}

func (p *pruned) GetImage(context.Context, string) (*imagestream.Image, error) {
	return nil, errPruned
}

func (p *pruned) UpdateImage(context.Context, *imagestream.Image) (*imagestream.Image, error) {
	return nil, errPruned
}

func (p *pruned) DeleteImage(_ context.Context, name string, _ imagestream.Preconditions) error {
	p.images = append(p.images, name)
	if p.fail("imagesGone", name) != nil {
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImages, imagestream.Key{Name: name}, "")
	}
	return p.fail("images", name)
}

func (p *pruned) DeleteLayerLink(_ context.Context, s imagestream.Key, digest string) error {
	link := s.String() + "|" + digest
	p.layerLinks = append(p.layerLinks, link)
	return p.fail("layerLinks", link)
}

func (p *pruned) DeleteManifestLink(_ context.Context, s imagestream.Key, digest string) error {
	link := s.String() + "|" + digest
	p.manifestLinks = append(p.manifestLinks, link)
	return p.fail("manifestLinks", link)
}

func (p *pruned) DeleteBlob(_ context.Context, digest string) error {
	p.blobs = append(p.blobs, digest)
	return p.fail("blobs", digest)
}
