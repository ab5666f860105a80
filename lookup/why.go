package lookup

// Why is the reason of a decision: a short code that does not change. [Why.Message] is its sentence.
type Why string

// Why references change.
const (
	WhyNewest     Why = "Newest"
	WhyRepository Why = "Repository"
	WhyExact      Why = "Exact"
)

// Why references stay.
const (
	WhyUnchanged  Why = "Unchanged"
	WhyDecided    Why = "Decided"
	WhyUnreadable Why = "Unreadable"
	WhyNotText    Why = "NotText"
	WhyDigest     Why = "Digest"
	WhyFull       Why = "Full"
	WhyInternal   Why = "Internal"
	WhyHost       Why = "Host"
	WhyTag        Why = "Tag"
	WhyKind       Why = "Kind"
	WhyName       Why = "Name"
	WhyNoStream   Why = "NoStream"
	WhyNotLocal   Why = "NotLocal"
	WhyNoImage    Why = "NoImage"
	WhyImageGone  Why = "ImageGone"
	WhyNoPullSpec Why = "NoPullSpec"
	WhyNoPolicy   Why = "NoPolicy"
	WhyUpdate     Why = "Update"
	WhyRefused    Why = "Refused"
	WhyRequired   Why = "Required"
	WhySame       Why = "Same"
	WhyPlace      Why = "Place"
)

// Why whole objects stay.
const (
	WhySubresource Why = "Subresource"
	WhyController  Why = "Controller"
	WhyUncovered   Why = "Uncovered"
)

// Why triggers change an image, and why their tags do not resolve, beside the above; see package trigger.
const (
	WhyPinned    Why = "Pinned"
	WhyLastImage Why = "LastImage"
	WhyRecorded  Why = "Recorded"
	WhyNoTag     Why = "NoTag"
	WhyNoEvent   Why = "NoEvent"
	WhyVersion   Why = "Version"
	WhyEmpty     Why = "Empty"
	WhyPins      Why = "Pins"
)

// Why what stands in a file stays, for those who read objects from texts.
const (
	WhyNotObject Why = "NotObject"
	WhyNoKind    Why = "NoKind"
)

// Why objects that follow tags have to wait; see trigger.Planner.
const (
	WhyHeld     Why = "Held"
	WhyLoop     Why = "Loop"
	WhyFlapping Why = "Flapping"
	WhyUndone   Why = "Undone"
	WhyBusy     Why = "Busy"
	WhyBudget   Why = "Budget"
	WhyFailed   Why = "Failed"
	WhyBroken   Why = "Broken"
)

var messages = map[Why]string{
	WhyNewest:     "it is the newest image of the tag",
	WhyRepository: "the tag has no image yet: it will be in the image stream's repository",
	WhyExact:      "the configuration asks for exact images",

	WhyUnchanged:  "it did not change",
	WhyDecided:    "the same reference was decided before",
	WhyUnreadable: "it is not a pull spec",
	WhyNotText:    "it is not a text",
	WhyDigest:     "it names an exact image already",
	WhyFull:       "it is neither a short name nor a pull spec of the internal registry",
	WhyInternal:   "it is a pull spec of the internal registry, where only short names are rewritten",
	WhyHost:       "it reads as the host of a registry: a name with a dot can never be a short name",
	WhyTag:        "it names an image stream tag, where only short names are rewritten",
	WhyKind:       "this kind of reference is not looked up",
	WhyName:       "it cannot be the name of an image stream",
	WhyNoStream:   "there is no such image stream",
	WhyNotLocal:   "the image stream is not for local lookup: set spec.lookupPolicy.local",
	WhyNoImage:    "the tag has no image, and the image stream no repository",
	WhyImageGone:  "the image does not exist any more",
	WhyNoPullSpec: "the newest event of the tag has no pull spec that can be read",
	WhyNoPolicy:   "no rule asks for it to be rewritten",
	WhyUpdate:     "jobs and builds are not rewritten in updates",
	WhyRefused:    "no rule lets the image in, or one rejects it",
	WhyRequired:   "the configuration wants every image to be known",
	WhySame:       "it is so already",
	WhyPlace:      "this place is not looked at",

	WhySubresource: "only objects are looked at, not their subresources",
	WhyController:  "the object has a controller, which has looked up its images",
	WhyUncovered:   "objects of this kind are not looked at",

	WhyPinned:    "the tag is pinned to it",
	WhyLastImage: "the tag does not resolve: it is the image that the trigger gave last",
	WhyRecorded:  "it is the image that the trigger gives now",
	WhyNoTag:     "it must name a tag, as in web:v1",
	WhyNoEvent:   "the tag points at nothing yet",
	WhyVersion:   "the image stream's resource version is not a number",
	WhyEmpty:     "the newest event of the tag has no pull spec",
	WhyPins:      "the image stream's annotation of pins cannot be read",

	WhyNotObject: "it is not an object",
	WhyNoKind:    "the document has no kind: only what a path names is looked at",

	WhyHeld:     "it is held at what it runs now, by an annotation",
	WhyLoop:     "what it pushes comes back to a tag that it follows",
	WhyFlapping: "its tag goes to and fro: it was at this image a short time ago",
	WhyUndone:   "the same update was made before, and somebody has undone it",
	WhyBusy:     "its last update is still on its way",
	WhyBudget:   "as many objects as may are on their way",
	WhyFailed:   "its last update failed",
	WhyBroken:   "its triggers cannot be followed",
}

// Message returns the sentence for people, without a full stop; for a code that this package does not have, the code.
func (w Why) Message() string {
	if message, ok := messages[w]; ok {
		return message
	}
	return string(w)
}
