// Package imagestream is the heart of image streams: the object model of image.openshift.io/v1, what happens
// to a stream when somebody changes it, and the ports to where streams are kept.
//
// # The model
//
// A stream's spec.tags is what people asked for; its status.tags is what the tags really pointed at, the newest
// event first (package tagevent). Both are lists in which the last of several tags of one name counts; what a
// transition writes is in name order. [ImageStream.WithDefaults] fills in what is left out. Types have the JSON of
// the API. Members of metadata that are not known here are kept; elsewhere they are dropped when decoding.
//
// # Transitions
//
// A transition is a pure function from a stream, or an old and a next one, and an [Env] to the stream as it is
// stored, or to the list of its wrong fields. [ImageStream.CreateNeeds] and [ImageStream.UpdateNeeds] say what the
// Env must hold. Arguments are never changed; results share with them what did not change. Package write reads,
// computes and writes on a [Store]. [PrepareUpdate] has the steps of a transition in order.
//
// # Errors
//
// Wrong fields are an [ErrorList]. Everything else that an API answers is a [StatusError], of a class that
// errors.Is finds: [ErrNotFound], [ErrConflict] and so on.
//
// # Differences from OpenShift
//
// Where the real system goes through a map, its answer depends on chance. Here it is name order, which is always
// one of the real answers. Server-side apply, and deletion by an update that removes the last finalizer, are not
// here. Two options change answers and are off: [Settings.FollowChains], and pins ([ImageStream.Pin]).
package imagestream
