package trigger

import "github.com/imagestreams/imagestreams/internal/podspec"

// HoldAnnotation keeps an object at what it runs now: a [Planner] leaves it alone, whatever its tags do. Its value is
// the reason, for people.
const HoldAnnotation = "imagestreams.github.io/hold"

// Hold returns object held at what it runs now: a rollback of the object alone that no trigger undoes. It shares with
// object what does not change.
func Hold(object map[string]any, reason string) map[string]any {
	if reason == "" {
		reason = "held"
	}
	return with(object, reason, "metadata", "annotations", HoldAnnotation)
}

// Release returns object without the hold.
func Release(object map[string]any) map[string]any {
	return with(object, nil, "metadata", "annotations", HoldAnnotation)
}

// IsHeld reports whether object is held: whether it has the annotation, with a reason or without.
func IsHeld(object map[string]any) bool {
	_, held := podspec.Walk(object, annotationSteps)[HoldAnnotation]
	return held
}
