package inspect

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// CauseCode tells what kind of cause a [Cause] is.
type CauseCode string

// The causes of where a tag points.
const (
	NoTag          CauseCode = "NoTag"          // neither spec nor status has the tag
	Pinned         CauseCode = "Pinned"         // a pin keeps the tag where it is
	HeldBack       CauseCode = "HeldBack"       // the pin holds another event back
	PinsUnreadable CauseCode = "PinsUnreadable" // the annotation of pins cannot be read
	Follows        CauseCode = "Follows"        // the tag follows others of its stream
	Apart          CauseCode = "Apart"          // the followed tag points elsewhere
	FromElsewhere  CauseCode = "FromElsewhere"  // the source is a tag of another stream
	FromImage      CauseCode = "FromImage"      // the source is one image of a stream
	FromDigest     CauseCode = "FromDigest"     // the source is one image of a registry
	FromRegistry   CauseCode = "FromRegistry"   // the source is a tag of a registry
	IsReference    CauseCode = "IsReference"    // the source stands for itself and is never imported
	OtherSource    CauseCode = "OtherSource"    // the source is of a kind that nothing resolves
	NoSource       CauseCode = "NoSource"       // the spec names no source: images are pushed
	Waiting        CauseCode = "Waiting"        // what the spec asks for is not imported yet
	ImportFailed   CauseCode = "ImportFailed"   // the last import failed
	CameBack       CauseCode = "CameBack"       // the tag pointed there before
	MovedFrom      CauseCode = "MovedFrom"      // what the tag pointed at before
)

// What would change where a tag points.
const (
	byUnpin      CauseCode = "ByUnpin"      // the pin ends or is taken away
	bySchedule   CauseCode = "BySchedule"   // a scheduled import
	byImport     CauseCode = "ByImport"     // an import
	byMove       CauseCode = "ByMove"       // a move of the followed tag
	byTagging    CauseCode = "ByTagging"    // another source
	byPush       CauseCode = "ByPush"       // a pushed image
	byMendingPin CauseCode = "ByMendingPin" // nothing, until the annotation of pins is mended
)

// Cause is one reason why a tag points where it does, or one thing that would change it.
type Cause struct {
	Code CauseCode
	// Tag is whose cause it is: the tag itself, or the last one that it follows.
	Tag string
	// Text is a sentence for people, in one line.
	Text string
}

// Explanation tells why a tag points where it does.
type Explanation struct {
	Tag string
	// Event is what the tag points at; Points tells whether it points at anything.
	Event  tagevent.Event
	Points bool
	// Causes are the reasons, from what decides to what was before.
	Causes []Cause
	// Changes are what would let the tag point elsewhere.
	Changes []Cause
}

// String returns the explanation in at most 12 lines, one for each cause.
func (e Explanation) String() string {
	lines := []string{e.Tag + " points at nothing."}
	if e.Points {
		lines[0] = fmt.Sprintf("%s points at %s%s.", e.Tag, where(e.Event), since(e.Event))
	}
	for _, c := range e.Causes {
		lines = append(lines, "  "+c.Text)
	}
	for at, c := range e.Changes {
		head := "  It would change with "
		if at > 0 {
			head = "  or with "
		}
		lines = append(lines, head+c.Text)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Explain tells why a tag of s points where it does, and what would change that. An empty tag is latest.
func Explain(s *imagestream.ImageStream, tag string) Explanation {
	x := explainer{s: s, e: Explanation{Tag: cmp.Or(tag, pullspec.DefaultTag)}}
	x.e.Event, x.e.Points = s.LatestEvent(x.e.Tag)
	spec, inSpec := s.SpecTag(x.e.Tag)
	history, inStatus := s.History(x.e.Tag)
	if !inSpec && !inStatus {
		x.cause(NoTag, x.e.Tag, "The stream has no such tag.")
		x.change(byTagging, "a source that it is given, or an image that is pushed to it.")
		return x.e
	}
	pinned := x.pin()
	x.source(spec, inSpec)
	x.past(history)
	if !pinned {
		x.changes(spec)
	}
	return x.e
}

type explainer struct {
	s *imagestream.ImageStream
	e Explanation
}

func (x *explainer) cause(code CauseCode, tag, format string, args ...any) {
	x.e.Causes = append(x.e.Causes, Cause{code, tag, oneLine(format, args...)})
}

func (x *explainer) change(code CauseCode, format string, args ...any) {
	x.e.Changes = append(x.e.Changes, Cause{code, x.e.Tag, oneLine(format, args...)})
}

// oneLine formats a text whose parts may have line breaks.
func oneLine(format string, args ...any) string {
	return strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}

func where(e tagevent.Event) string {
	return cmp.Or(e.DockerImageReference, e.Image, "an event without an image")
}

func since(e tagevent.Event) string {
	if e.Created.IsZero() {
		return ""
	}
	return ", since " + e.Created.String()
}

// pin explains a pin, and reports whether there is one, or may be.
func (x *explainer) pin() bool {
	pins, err := x.s.Pins()
	if err != nil {
		x.cause(PinsUnreadable, x.e.Tag, "No write to the stream succeeds: %v.", err)
		x.change(byMendingPin, "nothing, until the annotation is mended or removed.")
		return true
	}
	pin, ok := pins[x.e.Tag]
	if !ok {
		return false
	}
	text := "It is pinned there"
	if !samePlace(pin.Event, x.e.Event) {
		text = "It is pinned to " + where(pin.Event) + ", and goes there with the next write"
	}
	end := "unpinning it."
	if !pin.Until.IsZero() {
		text += ", until " + pin.Until.String()
		end = "unpinning it, or the first write after " + pin.Until.String() + "."
	}
	if pin.Reason != "" {
		text += ": " + pin.Reason
	}
	x.cause(Pinned, x.e.Tag, "%s.", text)
	if pin.Held != nil {
		x.cause(HeldBack, x.e.Tag, "The pin holds back %s, where it goes when the pin ends.", where(*pin.Held))
	}
	x.change(byUnpin, "%s", end)
	return true
}

func samePlace(a, b tagevent.Event) bool {
	return a.Image == b.Image && a.DockerImageReference == b.DockerImageReference
}

// source explains where the tag comes from, along the tags that it follows, and what came of its import.
func (x *explainer) source(spec imagestream.TagReference, inSpec bool) {
	name := x.e.Tag
	followed, follows := x.s.TrackedTag(spec)
	if follows {
		chain := Follow(x.s, name)
		path := strings.Join(chain.Path, " -> ")
		switch chain.End {
		case EndsNowhere:
			last, _ := x.s.SpecTag(chain.Last())
			missing, _ := x.s.TrackedTag(last)
			x.cause(Follows, name, "It follows another tag: %s -> %s, for which the spec has no source.", path, missing)
		case EndsInCircle:
			x.cause(Follows, name, "It follows tags in a circle: %s -> %s.", path, followed)
		default:
			x.cause(Follows, name, "It follows another tag: %s.", path)
		}
		if e, ok := x.s.LatestEvent(followed); ok && !samePlace(e, x.e.Event) {
			x.cause(Apart, name, "%s points at %s: it moved without %s.", followed, where(e), name)
		}
		if chain.End == EndsNowhere || chain.End == EndsInCircle {
			return
		}
		name = chain.Last()
		spec, inSpec = x.s.SpecTag(name)
	}
	x.from(name, spec, inSpec)
	state := TagState(x.s, name)
	switch state.Phase {
	case Pending:
		switch {
		case !imported(spec):
		case state.Generation > state.Observed:
			x.cause(Waiting, name, "An import is due: the spec asks for generation %d of %s, and the status has %d.",
				state.Generation, name, state.Observed)
		default:
			x.cause(Waiting, name, "An import is due: %s has never been imported.", name)
		}
	case Failed:
		h, _ := x.s.History(name)
		c, _ := h.Condition(tagevent.ImportSuccess)
		x.cause(ImportFailed, name, "The last import of %s failed (%s)%s: %s", name, state.Reason, at(c), state.Message)
	}
}

func at(c tagevent.Condition) string {
	if c.LastTransitionTime.IsZero() {
		return ""
	}
	return " at " + c.LastTransitionTime.String()
}

// imported reports whether a tag is imported from a registry.
func imported(t imagestream.TagReference) bool {
	return t.From != nil && t.From.Kind == imagestream.KindDockerImage && !t.Reference
}

// from explains the source of a spec tag that follows no other tag of the stream.
func (x *explainer) from(name string, t imagestream.TagReference, inSpec bool) {
	switch {
	case !inSpec:
		x.cause(NoSource, name, "The spec does not have %s: images are pushed to it.", name)
	case t.From == nil:
		x.cause(NoSource, name, "The spec names no source of %s: images are pushed to it.", name)
	case t.From.Kind == imagestream.KindDockerImage && t.Reference:
		x.cause(IsReference, name, "%s is a reference to %s, which is never imported.", name, t.From.Name)
	case t.From.Kind == imagestream.KindDockerImage && isExact(t.From.Name):
		x.cause(FromDigest, name, "The source of %s is one image, %s: no import moves it.", name, t.From.Name)
	case t.From.Kind == imagestream.KindDockerImage:
		x.cause(FromRegistry, name, "The source of %s is %s%s.", name, t.From.Name,
			scheduled(t, ", imported again and again"))
	case t.From.Kind == imagestream.KindImageStreamImage:
		x.cause(FromImage, name, "The source of %s is one image of a stream, %s: no import moves it.", name, t.From.Name)
	case t.From.Kind == imagestream.KindImageStreamTag:
		x.cause(FromElsewhere, name, "The source of %s is a tag of another stream, %s, as that was when it was tagged.",
			name, strings.TrimPrefix(t.From.Namespace+"/"+t.From.Name, "/"))
	default:
		x.cause(OtherSource, name, "The source of %s is of kind %q, which nothing resolves.", name, t.From.Kind)
	}
}

func isExact(spec string) bool {
	r, err := pullspec.Parse(spec)
	return err == nil && r.ID != ""
}

func scheduled(t imagestream.TagReference, text string) string {
	if t.ImportPolicy.Scheduled {
		return text
	}
	return ""
}

// past explains what the history tells.
func (x *explainer) past(h tagevent.History) {
	if len(h.Items) < 2 {
		return
	}
	for ago, e := range h.Items[1:] {
		if e.Image != "" && e.Image == x.e.Event.Image {
			x.cause(CameBack, x.e.Tag, "It came back: it pointed at this image before, %d events ago%s.", ago+1, since(e))
			break
		}
	}
	if before := h.Items[1]; !samePlace(before, x.e.Event) {
		x.cause(MovedFrom, x.e.Tag, "Before, it pointed at %s%s.", where(before), since(before))
	}
}

// changes tells what would move a tag that is not pinned.
func (x *explainer) changes(spec imagestream.TagReference) {
	last, end := spec, x.e.Tag
	if followed, follows := x.s.TrackedTag(spec); follows {
		x.change(byMove, "a move of %s, which it follows.", followed)
		end = Follow(x.s, x.e.Tag).Last()
		last, _ = x.s.SpecTag(end)
	}
	switch {
	case !imported(last) || isExact(last.From.Name):
	case last.ImportPolicy.Scheduled:
		x.change(bySchedule, "the next scheduled import of %s, if %s has moved.", end, last.From.Name)
	default:
		x.change(byImport, "an import of %s, if %s has moved.", end, last.From.Name)
	}
	x.change(byTagging, "another source for %s, or a roll-back.", x.e.Tag)
	x.change(byPush, "an image that is pushed to it.")
}
