// Package prune decides which images and which parts of histories nobody needs any more, with a reason for
// each thing that stays or goes, and carries the decision out.
//
// [Decide] is a pure function: streams, images, workloads, options and a time give a [Plan]. A Plan can be
// read, shown, and stepped through with [Plan.Steps], which is the dry run. [Plan.Run] takes the same steps on
// two ports, [Objects] and [Registry]; if nothing fails and nobody else writes meanwhile, it takes exactly
// these.
//
// # What is in use
//
// Containers and init containers of pods and of pod templates, and the sources of build strategies, use
// images. A finished pod counts only if it is younger than the threshold. A pull spec counts if it has a
// registry, a namespace and a name without a slash; whatever the registry, it then means the image stream of
// that namespace and name. One with an ID uses an image of that stream, any other a tag. A pull spec that
// cannot be read is an error, unless the options ignore it. See conformance cases prune-v0008 to
// prune-v0017, prune-v0032 and prune-v0033.
//
// # What goes from a history
//
// A stream that is younger than the threshold stays as it is. Of any other one, an event stays if it is
// younger than the threshold, or is the newest of a tag in use; it goes if its image does not exist; it stays
// if it is among the newest events of its tag that the options keep, or its image is in use; and it goes
// otherwise. Over size limits, what an image exceeds counts in the place of ages and numbers. A tag that loses
// its last event goes.
//
// The stream's repository loses its links to the layers and manifests that no event of it has any more.
//
// # Which images go
//
// An image goes if no history has it, and no list that a history has; if it is older than the threshold; and
// if the options do not spare it. With it go the blobs that no other image has.
//
// # Safe
//
// [Options.Safe] mends what is wrong with these rules; see there. Its promise: nothing that is removed can be
// reached from a stream, a workload, a list that stays, or a spec tag by digest. And what an interrupted run
// leaves behind refers to nothing that was removed, and is removed by the next run.
//
// # Differences from OpenShift
//
// Streams and images are gone through one at a time, in name order; in the real system the order is random,
// and it shows where an index holds an index, and where deletions of blobs fail. When a stream disappears
// before its status is written, the real system may crash; here the stream counts as gone.
package prune

import (
	"fmt"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Input is what a decision is made from. It is not changed, and must not be changed while the Plan is in use.
type Input struct {
	Now     time.Time
	Streams []imagestream.ImageStream
	// Images are all images. They must have been listed after the streams: an event whose image is not here
	// counts as one whose image is gone.
	Images []imagestream.Image
	// Workloads are the objects of all namespaces that may use images, as JSON trees with their apiVersion and
	// kind: pods, builds, build configurations, and the kinds of Kubernetes and OpenShift that have a pod template.
	// A LimitRange says how big images may be. Other kinds are ignored: of an Argo Rollout or a Knative Service
	// only the pods and replica sets count, and an image that nothing but such an object names is not in use.
	Workloads []map[string]any
}

// Options say what stays. The zero value removes nothing that has a creation time.
type Options struct {
	// KeepYoungerThan keeps what was created less than that before now. Nil keeps everything.
	KeepYoungerThan *time.Duration
	// KeepTagRevisions keeps as many of the newest events of each tag.
	KeepTagRevisions int
	// OverSizeLimit removes images that exceed a size limit of their namespace, in the place of what is old.
	OverSizeLimit bool
	// ManagedOnly spares images that were not pushed to the internal registry.
	ManagedOnly bool
	// KeepRegistry leaves layers, manifests and blobs in the registry alone.
	KeepRegistry bool
	// Namespace tells that the streams are those of one namespace. Then no images go. Under Safe the streams of all
	// namespaces are wanted in the input all the same, since their spec tags may use images of this one, and only
	// its own are pruned.
	Namespace string
	// IgnoreInvalidReferences ignores pull specs that cannot be read.
	IgnoreInvalidReferences bool

	// Safe mends what is wrong with the real system's rules.
	//
	// More is in use: by a digest in any container, ephemeral ones too, the image wherever it is; by volumes of
	// an image; by pods that neither succeeded nor failed; by a build's source images; by spec tags with a
	// digest; by pins. A list in use has all its images in use, however deep. A list stays in a history as long
	// as an image of it is in use there. Lists that stay keep their images.
	//
	// A tag is emptied, or stays: it never moves back to an older event.
	//
	// An image whose metadata is missing or cannot be read stays, with its events and with images of the same
	// layers, and nothing else is held up by it.
	//
	// An image that was pushed or imported since the images were listed is read as soon as a run meets it in a
	// stream; it stays, with all that it consists of. A push that the registry takes while the run deletes, after
	// it has read that stream, or in the end all streams, is not seen: that image may have to be pushed again.
	//
	// What no object says cannot be protected: the layers of an image of a list that has no object itself, and
	// the configuration of an image without metadata, if an image of other layers shares it.
	//
	// Before something is taken from the registry, what is about to go is written into [PruningAnnotation] of
	// its stream or image. References go before what they refer to: the event before the links, lists before
	// their images. A failure stops only what depends on it. The next run goes on from there.
	Safe bool
}

// PruningAnnotation holds, in a stream, the images whose links are being removed from its repository, a comma
// between them; in an image, the time when its removal began. Only Options.Safe writes it, and only the next
// run with it reads it.
const PruningAnnotation = "imagestreams.github.io/pruning"

// Reason is why something stays or goes.
type Reason string

// The reasons to stay.
const (
	Young        Reason = "Young"        // created after the threshold
	TagInUse     Reason = "TagInUse"     // the newest event of a tag that a workload uses
	ImageInUse   Reason = "ImageInUse"   // a workload, a pin or a spec tag uses the image
	PartInUse    Reason = "PartInUse"    // an image of the list is in use
	Revision     Reason = "Revision"     // among the newest events that are kept
	WithinLimit  Reason = "WithinLimit"  // no size limit is exceeded
	Unreadable   Reason = "Unreadable"   // what the image consists of cannot be read
	NewSince     Reason = "NewSince"     // appeared after the images were listed
	StaysNewest  Reason = "StaysNewest"  // older events of the tag stay, and it must not move
	InStream     Reason = "InStream"     // a history has the image
	PartOfList   Reason = "PartOfList"   // a list that stays has the image
	NotManaged   Reason = "NotManaged"   // not pushed to the internal registry
	LinksPending Reason = "LinksPending" // links to it are still being removed
	OneNamespace Reason = "OneNamespace" // only one namespace is looked at
)

// The reasons to go.
const (
	NoImage    Reason = "NoImage"    // the image does not exist
	Old        Reason = "Old"        // neither young nor among the newest, and not in use
	TooBig     Reason = "TooBig"     // a size limit is exceeded
	Unused     Reason = "Unused"     // nothing has the image
	WasRemoved Reason = "WasRemoved" // an earlier run began to remove it
)

var sentences = map[Reason]string{
	Young:        "is younger than the threshold",
	TagInUse:     "is what a tag in use points at",
	ImageInUse:   "is in use",
	PartInUse:    "is a list, of which an image is in use",
	Revision:     "is among the newest of its tag",
	WithinLimit:  "exceeds no size limit",
	Unreadable:   "has no metadata that can be read",
	NewSince:     "is new since the images were listed",
	StaysNewest:  "is what the tag points at, and older events stay",
	InStream:     "is in a history",
	PartOfList:   "belongs to a list that stays",
	NotManaged:   "was not pushed to the internal registry",
	LinksPending: "is still linked from a repository",
	OneNamespace: "may be in use in another namespace",
	NoImage:      "has no image any more",
	Old:          "is old, and nobody uses it",
	TooBig:       "exceeds a size limit",
	Unused:       "is in no history",
	WasRemoved:   "is in no history, and its removal began before",
}

// Verdict is what becomes of something, and why.
type Verdict struct {
	Remove bool
	Reason Reason
	// By is what the reason is about: who uses it, the list, the history.
	By string
}

// String returns the verdict as a sentence without a subject.
func (v Verdict) String() string {
	text := "stays: "
	if v.Remove {
		text = "goes: "
	}
	text += sentences[v.Reason]
	if v.By != "" {
		text += " (" + v.By + ")"
	}
	return text
}

func keep(r Reason, by string) Verdict   { return Verdict{Reason: r, By: by} }
func remove(r Reason, by string) Verdict { return Verdict{Remove: true, Reason: r, By: by} }

// Plan is what is to be removed, and what stays.
type Plan struct {
	// Streams are all streams that are looked at, in key order.
	Streams []StreamPlan
	// Images are all images, in name order.
	Images []ImagePlan

	opts    Options
	cluster *cluster
}

// BadReferencesError lists the pull specs of workloads that cannot be read.
type BadReferencesError struct{ References []BadReference }

// BadReference is a pull spec, or a name of an image stream tag or image, that cannot be read.
type BadReference struct {
	// Object is kind, namespace and name of the workload; Field is the path in it.
	Object, Field string
	Value, Reason string
}

func (b BadReference) String() string {
	return fmt.Sprintf("%s: %s %q: %s", b.Object, b.Field, b.Value, b.Reason)
}

// maxShownReferences is how many bad references an error text has.
const maxShownReferences = 3

func (e *BadReferencesError) Error() string {
	var texts []string
	for _, b := range e.References[:min(len(e.References), maxShownReferences)] {
		texts = append(texts, b.String())
	}
	if more := len(e.References) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return "what workloads use cannot be told: " + strings.Join(texts, "; ")
}

// Decide returns what is to be removed. It is an error if pull specs of workloads cannot be read, a
// *[BadReferencesError], if a size limit cannot be read, or, without Safe, the metadata of an image.
func Decide(in Input, opts Options) (*Plan, error) {
	c, err := newCluster(in, opts)
	if err != nil {
		return nil, err
	}
	p := &Plan{opts: opts, cluster: c}
	p.decide()
	return p, nil
}

func (p *Plan) decide() {
	c := p.cluster
	left := make([]*imagestream.ImageStream, 0, len(c.streams))
	for _, s := range c.streams {
		streamPlan := c.planStream(s)
		p.Streams = append(p.Streams, streamPlan)
		left = append(left, streamPlan.left)
	}
	p.Images = c.planImages(left, c.used.anywhere)
}
