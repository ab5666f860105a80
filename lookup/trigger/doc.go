// Package trigger is image change triggers: a tag moves, and the objects that follow it get its new image, or build
// from it.
//
// # Which objects follow which tags
//
// An object with a pod spec follows the tags in its [Annotation], each for one container. A deployment configuration
// follows those in spec.triggers that have imageChangeParams, a build configuration those that have imageChange; a
// trigger of a build configuration without a from means what its strategy builds from. [Of] lists them, in one form
// for all kinds.
//
// # What a tag resolves to
//
// [Resolve] takes the newest event of the tag: its pull spec or, under the reference policy Local, its image in the
// stream's repository. Neither generations nor imports that are due make a difference. A pin of the tag, see
// [imagestream.ImageStream.Pin], wins over its history.
//
// # What a moved tag changes
//
// Planning is level-triggered: a plan depends on the object and the streams as they are, never on what happened
// before, so that a missed event costs nothing. [For] plans for an object of any kind; [ForAnnotation],
// [ForDeploymentConfig] and [ForBuildConfig] plan for one. A plan is a list of changes with their reasons, for
// [lookup.Apply], or the request of a build. [Instantiate] computes what a build configuration records of a build.
// All of them are pure: they read nothing, and change none of their arguments.
//
// # Many objects
//
// An [Index] knows which objects follow which tags. A [Planner] plans for all of them: one update for each object for
// any number of moved tags, none that changes nothing, and none for objects whose tags did not move.
//
//   - A budget bounds how many objects are on their way at a time, in all and in a namespace. Whoever waits longest
//     is first. A Deployment, DeploymentConfig, StatefulSet or DaemonSet is on its way until its status says that all
//     of it runs; if it never does, it keeps its place. A build, and any other object, is on its way while it is
//     written.
//   - An object in a loop is left alone: one whose own output moves a tag that it follows, directly, over tags that
//     follow others, or over other objects. Outputs are those of build configurations, and those that an object names
//     in [PushesAnnotation].
//   - A tag that goes to and fro takes an object along once each way. The same step is made again after a time, that
//     doubles with each further time.
//   - What another writer undoes is done once more at once, and then after such a time.
//   - [Hold] keeps an object at what it runs now, whatever its tags do; a pinned tag does not move.
//
// A planner reads nothing, and takes the time as an argument. What it remembers, steps and places, is lost with it,
// and not needed: one that comes new ends at the same.
//
// # Setting triggers
//
// [Set] sets, pauses and removes triggers as "oc set triggers" does for images, and writes what the real controller
// and oc read.
//
// # Differences from OpenShift
//
// [Set] pauses a trigger of a build configuration where oc removes it, compares namespaces when it removes triggers,
// takes the only container if none is named, lets no two triggers set one container, and leaves alone what is not
// about images: spec.paused of a Deployment, triggers on changes of the configuration, and annotations that cannot be
// followed.
//
// Where the real controller fails by a nil dereference, [ErrNoFrom] is returned. Pins are looked at, which the real
// system does not know.
//
// A [Planner] is without accidents of the real controller: it takes resource versions as they are, follows a tag with
// an apiVersion and without a kind, and only image stream tags, by tag and not by stream; a tag without a pull spec
// does not resolve; the default trigger of a build whose strategy builds from no tag does nothing; namespaces are
// compared with the default filled in; a deployment configuration is woken by all its tags. The other functions
// answer as the real controller does.
package trigger
