// Package trigger is image change triggers: a tag moves, and the objects that follow it get its new image, or build
// from it.
//
// # Which objects follow which tags
//
// An object with a pod spec follows the tags in its [Annotation], each for one container. A deployment
// configuration follows those in spec.triggers that have imageChangeParams, a build configuration those that have
// imageChange; a trigger of a build configuration without a from means what its strategy builds from. [Of] lists
// them, in one form for all kinds.
//
// # What a tag resolves to
//
// [Resolve] takes the newest event of the tag: its pull spec or, under the reference policy Local, its image in the
// stream's repository. Neither generations nor imports that are due make a difference. A pin of the tag, see
// [imagestream.Pin], wins over its history.
//
// # What a moved tag changes
//
// Planning is level-triggered: a plan depends on the object and the streams as they are, never on what happened
// before, so that a missed event costs nothing. [For] plans for an object of any kind; [ForAnnotation],
// [ForDeploymentConfig] and [ForBuildConfig] plan for one. A plan is a list of changes with their reasons, for
// [lookup.Apply], or the request of a build. [Instantiate] computes what a build configuration records of a build.
// All of them are pure: they read nothing, and change none of their arguments.
//
// # Setting triggers
//
// [Set] sets, pauses and removes triggers as "oc set triggers" does for images, and writes what the real controller
// and oc read.
//
// # Differences from OpenShift
//
// [Set] pauses a trigger of a build configuration where oc removes it, compares namespaces when it removes triggers,
// takes the only container if none is named, lets no two triggers set one container, and leaves alone what is not about
// images: spec.paused of a Deployment, triggers on changes of the configuration, and annotations that cannot be followed.
//
// Where the real controller fails by a nil dereference, [ErrNoFrom] is returned. Pins are looked at, which the real
// system does not know.
package trigger
