package real

import (
	"net/http"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// RetryRegistry is when the real importer asks a registry again, for a polite.Retry: manifests and tags up to three
// times, two seconds apart, if the registry says, not in its own JSON, that there were too many requests. See
// conformance case import-73.
func RetryRegistry(attempt int, failure *importer.RegistryError) (time.Duration, bool) {
	switch failure.Operation {
	case importer.OperationManifest, importer.OperationHead, importer.OperationTags:
		return 2 * time.Second, failure.StatusCode == http.StatusTooManyRequests && len(failure.Codes) == 0 &&
			attempt <= 2
	}
	return 0, false
}

// IsNotImportable reports whether an API server answers an import with a status that says that its stream can never be
// imported; its turn does not come again. No server is known that does. See conformance case needsimport-17.
func IsNotImportable(s imagestream.Status) bool {
	return s.Code == http.StatusNotFound && s.Details != nil && s.Details.Kind == "imageStream"
}
