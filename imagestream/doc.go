// Package imagestream is the heart of image streams: the object model of image.openshift.io/v1, what happens
// to a stream when somebody changes it, and the ports to where streams are kept.
//
// # The model
//
// A stream's spec.tags is what people asked for: where a tag comes from, how it is imported, how it is
// referred to. Its status.tags is what the tags really pointed at, the newest event first (package tagevent).
// Both are lists on the outside; the API server keeps them in maps, so of several tags of one name the last
// one counts, and what it writes is in name order. Each spec tag has import mode Legacy and reference policy
// Source unless it says otherwise. [ImageStream.WithDefaults] does all that, and every transition does it to its
// arguments.
//
// Types have the JSON of the API: its names, its omissions, its nulls. Metadata is kept whole, members that
// are not known here in ObjectMeta.Unknown; elsewhere unknown members are dropped when decoding, and
// encoding/json's DisallowUnknownFields reports them. Names of members are compared as encoding/json does,
// without regard to case.
//
// # Transitions
//
// A transition is a pure function from a stream, or an old and a next one, and an [Env] to the stream as it
// is stored, or to the list of its wrong fields. [ImageStream.CreateNeeds] and [ImageStream.UpdateNeeds] say what the
// Env must hold. Arguments are never changed; results share with them what did not change, so whoever wants to edit
// in place calls Clone first. Package write reads, computes and writes on a [Store], again and again until nobody else
// writes meanwhile.
//
//	PrepareCreate          a user creates a stream
//	PrepareCreateInternal  an importer does, with a status
//	PrepareUpdate          a user replaces it
//	PrepareUpdateInternal  an importer does, or a write to one of its tags
//	PrepareStatusUpdate    somebody writes the status, as a registry does after a push
//
// # What a transition does, in order
//
// In parentheses stand conformance cases that show it: "go run ./internal/vectors/check -show stream-0072" prints one.
//
//  1. Metadata that only servers set comes from the old stream (stream-0072 to stream-0077).
//  2. The repositories of the status are computed: [ImageStream.Repositories] (stream-0002, stream-0003).
//  3. Generations move: the stream's when the spec differs, a tag's when it is new or [TagReference.Changed], or asks
//     for it with generation 0 (stream-0056 to stream-0065).
//  4. Pins that have ended let go, and pinned tags stay where they are: [ImageStream.Pin].
//  5. Tags that come from another namespace take leave to get imagestreams/layers there (stream-0010 to
//     stream-0013).
//  6. Tags that are new or changed are resolved, in name order: a reference to its pull spec, a tag or an
//     image of a stream to its event. A DockerImage that is no reference is left to the importer
//     (stream-0007, stream-0014 to stream-0019).
//  7. New events go to the tags that follow, one step for each tag in name order (streamstatus-0009,
//     streamstatus-0010). Not on a user's update, and not on a status update.
//  8. Limits are looked at, if there was no error so far (stream-0049 to stream-0052).
//  9. The whole stream is validated (stream-0020 to stream-0037), pull specs against the allowed registries
//     (stream-0039 to stream-0046).
//
// The errors of steps 5, 6 and 9 come back together. A status update has steps 1, 4, 8 and the part of 9 that
// concerns new pull specs; and it gives the newest events that have no generation one (streamstatus-0002 to
// streamstatus-0007).
//
// # Errors
//
// Wrong fields are an [ErrorList]. Everything else that an API answers is a [StatusError], of a class that
// errors.Is finds: [ErrNotFound], [ErrConflict] and so on. [CheckCreate], [ImageStream.CheckUnversioned] and
// [ImageStream.CheckUpdate] are the checks of a request before its transition.
//
// # Differences from OpenShift
//
// Where the real system goes through a map, its answer depends on chance. Here it is name order, which is
// always one of the real answers.
//
// These accidents of the real system are kept, because others see them; each is a step of its own in the
// source, with the vector that pins it. On a user's update the old and the new status are the same memory:
// events do not go to followers, limits do not see images that are added, and allowed registries do not apply
// to pull specs that the update itself adds. A tag that begins to follow another one of its stream gives the
// other's newest event its own generation. A source's kind is no part of what makes a tag changed. Limits and
// permissions that are violated are wrong fields, not a refusal.
//
// Not here: names made from generateName, server-side apply, and deletion by an update that removes the last
// finalizer.
//
// # Options
//
// Off unless asked for, since they change answers:
//
//   - Env.FollowChains: events go along whole chains of tags that follow each other, whatever their names, on
//     every kind of update; circles end; copies of events do not touch their sources.
//   - [ImageStream.Pin] and [ImageStream.Unpin]: a roll-back that stays, recorded in [PinsAnnotation]. A stream without pins behaves
//     as if there were no such thing.
package imagestream
