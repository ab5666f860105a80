package real

import "github.com/imagestreams/imagestreams/imagestream"

// Attempts returns how often the real system tries a write that others overtake, by resource and verb.
func Attempts(resource, verb string) int {
	switch {
	case verb == "update" && resource == imagestream.ResourceImageStreamTags:
		return 4
	case verb == "update":
		return 1
	}
	return 10
}
