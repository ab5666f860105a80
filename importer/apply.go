package importer

import (
	"maps"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// CheckAnnotation of a stream is the time of its last import, in RFC 3339. A stream without it was never imported.
const CheckAnnotation = "openshift.io/image.dockerRepositoryCheck"

// Apply returns stream with the answers to the plan of imp at the time now, and a new stream if stream is nil. The
// result must be written by [imagestream.PrepareUpdateInternal] or [imagestream.PrepareCreateInternal], which move
// the generations. Apply does not change stream; the result shares with it what did not change, and is stream itself
// if it was imported before and nothing is new. Imp must have its defaults. See conformance case import-1.
func Apply(
	stream *imagestream.ImageStream, imp *imagestream.ImageStreamImport, plan *Plan, answers *Answers, now time.Time,
) *imagestream.ImageStream {
	a := applier{now: tagevent.TimeOf(now), generation: 1}
	before := stream
	if stream == nil {
		a.stream = imagestream.ImageStream{
			TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
			Metadata: imagestream.ObjectMeta{Namespace: imp.Metadata.Namespace, Name: imp.Metadata.Name},
		}
	} else {
		before = stream.WithDefaults()
		a.stream = *before
		a.stream.Spec.Tags = slices.Clone(before.Spec.Tags)
		a.stream.Status.Tags = slices.Clone(before.Status.Tags)
		a.generation = stream.Metadata.Generation + 1
	}
	a.tagAt, a.historyAt = map[string]int{}, map[string]int{}
	for i, t := range a.stream.Spec.Tags {
		a.tagAt[t.Name] = i
	}
	for i, h := range a.stream.Status.Tags {
		a.historyAt[h.Tag] = i
	}
	a.pins, _ = a.stream.Pins() // what cannot be read, the transition reports
	if spec := imp.Spec.Repository; spec != nil {
		for i, tag := range answers.Repository.Tags {
			a.entry(entry{
				tag: tag, from: spec.From.Name + ":" + tag, importPolicy: spec.ImportPolicy,
				referencePolicy: spec.ReferencePolicy,
			}, statusOf(tag, answers.Repository.Images[i]))
		}
	}
	for i, spec := range imp.Spec.Images {
		if spec.To != nil {
			a.entry(entry{spec.To.Name, spec.From.Name, spec.ImportPolicy, spec.ReferencePolicy, true},
				plan.status(i, answers))
		}
	}
	if stream != nil && stream.Metadata.Annotations[CheckAnnotation] != "" && before.Same(&a.stream) {
		return stream
	}
	annotations := maps.Clone(a.stream.Metadata.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[CheckAnnotation] = a.now.String()
	a.stream.Metadata.Annotations = annotations
	return &a.stream
}

type applier struct {
	stream     imagestream.ImageStream // its lists of tags are the applier's own
	tagAt      map[string]int          // positions in them, by name
	historyAt  map[string]int
	now        imagestream.Time
	generation int64
	pins       map[string]imagestream.TagPin
}

// latest returns the event that the source of a tag gave last: its newest, or the one that a pin holds back.
func (a *applier) latest(history tagevent.History) (tagevent.Event, bool) {
	if held := a.pins[history.Tag].Held; held != nil {
		return *held, true
	}
	return history.Latest()
}

// specTag returns the spec tag of that name for writing, and nil if there is none.
func (a *applier) specTag(name string) *imagestream.TagReference {
	i, ok := a.tagAt[name]
	if !ok {
		return nil
	}
	return &a.stream.Spec.Tags[i]
}

func (a *applier) addSpecTag(t imagestream.TagReference) *imagestream.TagReference {
	a.tagAt[t.Name] = len(a.stream.Spec.Tags)
	a.stream.Spec.Tags = append(a.stream.Spec.Tags, t)
	return a.specTag(t.Name)
}

func (a *applier) history(tag string) tagevent.History {
	i, ok := a.historyAt[tag]
	if !ok {
		return tagevent.History{Tag: tag}
	}
	return a.stream.Status.Tags[i]
}

// setHistory puts h in the place of the history of its tag.
func (a *applier) setHistory(h tagevent.History) {
	if i, ok := a.historyAt[h.Tag]; ok {
		a.stream.Status.Tags[i] = h
		return
	}
	a.historyAt[h.Tag] = len(a.stream.Status.Tags)
	a.stream.Status.Tags = append(a.stream.Status.Tags, h)
}

// entry is what an import asks of a tag.
type entry struct {
	tag, from       string
	importPolicy    imagestream.TagImportPolicy
	referencePolicy imagestream.TagReferencePolicy
	// named reports whether the import names the tag. It is then created even if its import fails.
	named bool
}

func (a *applier) entry(e entry, status imagestream.ImageImportStatus) {
	if status.Image != nil {
		a.success(e, status.Image)
	} else {
		if status.Status.Status == imagestream.StatusSuccess {
			status.Status = imagestream.Status{} // the image needs credentials that were then left out; see import-115
		}
		a.failure(e, status.Status)
	}
}

func (a *applier) success(e entry, image *imagestream.Image) {
	name := e.tag
	event := tagevent.Event{
		Created: a.now, DockerImageReference: image.DockerImageReference, Image: image.Metadata.Name,
		Generation: a.generation,
	}
	history := a.history(name)
	tag := a.specTag(name)
	if a.changed(tag, history, event) {
		if tag == nil {
			tag = a.addSpecTag(imagestream.TagReference{Name: name, ReferencePolicy: e.referencePolicy})
		}
		tag.From = &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: e.from}
		tag.Generation = new(int64)
		if tag.ReferencePolicy.Type == "" {
			tag.ReferencePolicy = e.referencePolicy
		}
		history, _ = history.Push(event)
	}
	tag.ImportPolicy = e.importPolicy
	history.Conditions = nil
	a.setHistory(history)
}

// changed reports whether an import moves a tag, or answers the generation of its spec.
func (a *applier) changed(tag *imagestream.TagReference, history tagevent.History, event tagevent.Event) bool {
	latest, ok := a.latest(history)
	return !ok || tag == nil || tag.Generation == nil || latest.DockerImageReference != event.DockerImageReference ||
		latest.Image != event.Image || *tag.Generation > latest.Generation
}

func (a *applier) failure(e entry, status imagestream.Status) {
	name := e.tag
	condition := tagevent.Condition{
		Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, LastTransitionTime: a.now,
		Reason: string(status.Reason), Message: status.Message, Generation: a.generation,
	}
	history := a.history(name)
	tag := a.specTag(name)
	if !slices.ContainsFunc(history.Conditions, func(c tagevent.Condition) bool {
		return c.Type == condition.Type && c.Status == condition.Status && c.Reason == condition.Reason &&
			c.Message == condition.Message
	}) {
		history.Conditions = []tagevent.Condition{condition}
		a.setHistory(history)
		if tag != nil {
			tag.Generation = new(int64)
		}
	}
	if tag == nil && e.named {
		a.addSpecTag(imagestream.TagReference{
			Name: name, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: e.from}, Generation: new(int64),
			ImportPolicy: e.importPolicy, ReferencePolicy: e.referencePolicy,
		})
	}
}
