package imagestream

import (
	"time"

	"github.com/imagestreams/imagestreams/tagevent"
)

// Settings are what one installation decides for all its streams. The zero Settings have no registry, no
// limits, and allow everything.
type Settings struct {
	// InternalRegistry is host[:port] of the registry that streams are served from; empty without one.
	InternalRegistry string
	// ExternalRegistry is the same registry's host for clients outside; empty without one.
	ExternalRegistry string
	// AllowedRegistries are the registries that images may come from; empty allows all.
	AllowedRegistries []RegistryLocation
	Limits            Limits
	// FollowChains lets an event go along whole chains of tags that follow each other, sources before what
	// follows them, on the updates of users and of the status too. Without it, as in the real system, it goes
	// one step for each tag in name order, so how far depends on the names, and not at all on a user's
	// update; and a tag that begins to follow another changes the generation of the other's event.
	FollowChains bool
}

// Env is everything that a transition may know about the world outside its arguments. The zero Env is a world
// without settings, and without any other stream.
type Env struct {
	Settings
	// Now is stamped on what is new, to the second.
	Now time.Time
	// Streams are other streams, read beforehand. One that is not here does not exist.
	Streams map[Key]*ImageStream
	// Readable are the streams whose layers the caller may get. One that is not here, it may not.
	Readable map[Key]bool
}

func (e *Env) now() Time { return tagevent.TimeOf(e.Now) }

// Limits bound the size of one stream. Nil is no limit.
type Limits struct {
	// Images is how many different images all histories together may have: openshift.io/images.
	Images *int64
	// ImageTags is how many different sources all spec tags together may have: openshift.io/image-tags.
	ImageTags *int64
}

// Needs lists what a transition looks at beyond its arguments, sorted and without repeats: what an [Env] must
// hold for the right answer. An Env that holds more gives the same answer.
type Needs struct {
	// Streams are for Env.Streams.
	Streams []Key
	// Layers are for Env.Readable.
	Layers []Key
}
