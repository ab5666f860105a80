package trigger

import (
	"encoding/json"

	"github.com/imagestreams/imagestreams/internal/podspec"
)

// rolls reports whether a change of an object takes time after it was written. Objects of other kinds than these, or
// without a generation, are done when they are written.
func rolls(object map[string]any) bool {
	switch _, kind := podspec.GroupKind(object); kind {
	case "Deployment", "DeploymentConfig", "StatefulSet", "DaemonSet":
	default:
		return false
	}
	spec, _ := object["spec"].(map[string]any)
	if paused, _ := spec["paused"].(bool); paused || member(spec, "updateStrategy")["type"] == "OnDelete" {
		return false // nothing moves until somebody does more
	}
	return generationOf(object) != 0
}

// isRolling reports whether an object that was updated is still on its way: its controller has not got all of it
// running.
func isRolling(object map[string]any) bool {
	if !rolls(object) {
		return false
	}
	spec, _ := object["spec"].(map[string]any)
	status, _ := object["status"].(map[string]any)
	if number(status, "observedGeneration", 0) < generationOf(object) {
		return true
	}
	if _, kind := podspec.GroupKind(object); kind == "DaemonSet" {
		want := number(status, "desiredNumberScheduled", 0)
		return number(status, "updatedNumberScheduled", 0) < want || number(status, "numberAvailable", 0) < want
	}
	replicas := number(spec, "replicas", 1)
	want := replicas - number(member(member(spec, "updateStrategy"), "rollingUpdate"), "partition", 0)
	return number(status, "updatedReplicas", 0) < want || number(status, "availableReplicas", 0) < replicas ||
		number(status, "replicas", 0) > replicas
}

// generationOf returns metadata.generation, 0 without one.
func generationOf(object map[string]any) int64 {
	m, _ := object["metadata"].(map[string]any)
	return number(m, "generation", 0)
}

// number reads a whole number, however it was decoded; or is what it is if it is not there.
func number(object map[string]any, name string, or int64) int64 {
	switch n := object[name].(type) {
	case float64:
		return int64(n)
	case int64:
		return n
	case int:
		return int64(n)
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	return or
}
