// Package write is the one engine that changes image streams in a Store.
//
//	engine := &write.Engine{Store: store}
//	stored, err := engine.Update(ctx, key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
//		return edit.WithoutTag(old, "v1"), nil
//	})
//
// Every write goes the same way. The engine reads the stream, lets the caller change it, lists what the
// transition needs to know, reads that concurrently, computes the stream as it will be stored, and stores it
// if nobody else wrote meanwhile. If somebody did, it pauses and begins again with the fresh stream.
//
// [Rules] say which transition of package imagestream applies: a user's, a status update, a write through a
// tag, or an import.
//
// # How a write ends
//
// A write is tried again only if the Store says that somebody else wrote first. An error of the caller's
// change ends it at once, whatever its class, and so does a changed stream that carries an old resource
// version. A write that others overtake until its attempts or its context end is a [*ConflictError]: it says
// how often it was tried, and keeps the last conflict and the context's error.
//
// # Differences from OpenShift
//
// The real system gives up after a small fixed number of attempts, without a pause. [Engine] goes on until the
// context ends, unless Attempts says otherwise.
package write
