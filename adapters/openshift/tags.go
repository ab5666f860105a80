package openshift

import (
	"maps"
	"slices"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// mode is how a conversion treats memory that can be of both types.
type mode bool

const (
	copying mode = false // the results share no memory
	sharing mode = true  // what its owner gives away becomes part of the result where it can
)

func shareBytes[B ~[]byte](how mode, b B) B {
	if how == sharing {
		return b
	}
	return slices.Clone(b)
}

// Tags and histories are most of what streams are. The functions below copy them without reflection, and allocate what
// all of them point at, and all their events, in one piece each.

// pieces cuts elements from one piece of memory, which is as long as all of them together.
type pieces[T any] []T

// next cuts n elements; a slice of them has no room for more.
func (p *pieces[T]) next(n int) []T {
	s := (*p)[:n:n]
	*p = (*p)[n:]
	return s
}

// likeFrom returns a slice as long as from, and nil if that is.
func likeFrom[To, From any](from []From) []To {
	if from == nil {
		return nil
	}
	return make([]To, len(from))
}

// counts returns how many of the tags have a source, and how many a generation.
func counts[T, R any](tags []T, pointers func(*T) (*R, *int64)) (sources, generations int) {
	for i := range tags {
		source, generation := pointers(&tags[i])
		if source != nil {
			sources++
		}
		if generation != nil {
			generations++
		}
	}
	return sources, generations
}

func tagsToAPI(_ mode, to *[]imagev1.TagReference, from *[]imagestream.TagReference) error {
	*to = likeFrom[imagev1.TagReference](*from)
	n, g := counts(*from, func(t *imagestream.TagReference) (*imagestream.ObjectReference, *int64) {
		return t.From, t.Generation
	})
	sources, numbers := make(pieces[corev1.ObjectReference], n), make(pieces[int64], g)
	for i := range *from {
		f, t := &(*from)[i], &(*to)[i]
		t.Name, t.Annotations, t.Reference = f.Name, maps.Clone(f.Annotations), f.Reference
		t.ImportPolicy.Insecure, t.ImportPolicy.Scheduled = f.ImportPolicy.Insecure, f.ImportPolicy.Scheduled
		t.ImportPolicy.ImportMode = imagev1.ImportModeType(f.ImportPolicy.ImportMode)
		t.ReferencePolicy.Type = imagev1.TagReferencePolicyType(f.ReferencePolicy.Type)
		if f.Generation != nil {
			t.Generation = &numbers.next(1)[0]
			*t.Generation = *f.Generation
		}
		if r := f.From; r != nil {
			t.From = &sources.next(1)[0]
			*t.From = corev1.ObjectReference{
				Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: types.UID(r.UID), APIVersion: r.APIVersion,
				ResourceVersion: r.ResourceVersion, FieldPath: r.FieldPath,
			}
		}
	}
	return nil
}

func tagsFromAPI(_ mode, to *[]imagestream.TagReference, from *[]imagev1.TagReference) error {
	*to = likeFrom[imagestream.TagReference](*from)
	n, g := counts(*from, func(t *imagev1.TagReference) (*corev1.ObjectReference, *int64) {
		return t.From, t.Generation
	})
	sources, numbers := make(pieces[imagestream.ObjectReference], n), make(pieces[int64], g)
	for i := range *from {
		f, t := &(*from)[i], &(*to)[i]
		t.Name, t.Annotations, t.Reference = f.Name, maps.Clone(f.Annotations), f.Reference
		t.ImportPolicy.Insecure, t.ImportPolicy.Scheduled = f.ImportPolicy.Insecure, f.ImportPolicy.Scheduled
		t.ImportPolicy.ImportMode = imagestream.ImportModeType(f.ImportPolicy.ImportMode)
		t.ReferencePolicy.Type = imagestream.TagReferencePolicyType(f.ReferencePolicy.Type)
		if f.Generation != nil {
			t.Generation = &numbers.next(1)[0]
			*t.Generation = *f.Generation
		}
		if r := f.From; r != nil {
			t.From = &sources.next(1)[0]
			*t.From = imagestream.ObjectReference{
				Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: string(r.UID), APIVersion: r.APIVersion,
				ResourceVersion: r.ResourceVersion, FieldPath: r.FieldPath,
			}
		}
	}
	return nil
}

func timeToAPI(t imagestream.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return metav1.NewTime(t.Time())
}

func timeFromAPI(t metav1.Time) imagestream.Time {
	if t.IsZero() {
		return 0
	}
	return tagevent.TimeOf(t.Time)
}

func historiesToAPI(_ mode, to *[]imagev1.NamedTagEventList, from *[]tagevent.History) error {
	*to = likeFrom[imagev1.NamedTagEventList](*from)
	n := 0
	for i := range *from {
		n += len((*from)[i].Items)
	}
	events := make(pieces[imagev1.TagEvent], n)
	for i := range *from {
		f, t := &(*from)[i], &(*to)[i]
		t.Tag = f.Tag
		if f.Items != nil {
			t.Items = events.next(len(f.Items))
		}
		for j, e := range f.Items {
			t.Items[j] = imagev1.TagEvent{
				Created: timeToAPI(e.Created), DockerImageReference: e.DockerImageReference, Image: e.Image,
				Generation: e.Generation,
			}
		}
		t.Conditions = likeFrom[imagev1.TagEventCondition](f.Conditions)
		for j, c := range f.Conditions {
			t.Conditions[j] = imagev1.TagEventCondition{
				Type: imagev1.TagEventConditionType(c.Type), Status: corev1.ConditionStatus(c.Status),
				LastTransitionTime: timeToAPI(c.LastTransitionTime), Reason: c.Reason, Message: c.Message,
				Generation: c.Generation,
			}
		}
	}
	return nil
}

func historiesFromAPI(_ mode, to *[]tagevent.History, from *[]imagev1.NamedTagEventList) error {
	*to = likeFrom[tagevent.History](*from)
	n := 0
	for i := range *from {
		n += len((*from)[i].Items)
	}
	events := make(pieces[tagevent.Event], n)
	for i := range *from {
		f, t := &(*from)[i], &(*to)[i]
		t.Tag = f.Tag
		if f.Items != nil {
			t.Items = events.next(len(f.Items))
		}
		for j := range f.Items {
			e := &f.Items[j]
			t.Items[j] = tagevent.Event{
				Created: timeFromAPI(e.Created), DockerImageReference: e.DockerImageReference, Image: e.Image,
				Generation: e.Generation,
			}
		}
		t.Conditions = likeFrom[tagevent.Condition](f.Conditions)
		for j := range f.Conditions {
			c := &f.Conditions[j]
			t.Conditions[j] = tagevent.Condition{
				Type: tagevent.ConditionType(c.Type), Status: tagevent.ConditionStatus(c.Status),
				LastTransitionTime: timeFromAPI(c.LastTransitionTime), Reason: c.Reason, Message: c.Message,
				Generation: c.Generation,
			}
		}
	}
	return nil
}
