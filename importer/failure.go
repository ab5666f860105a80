package importer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
)

// ErrFailed means that an import was answered, and that something in it could not be imported.
var ErrFailed = errors.New("not imported")

// Failure returns what an answered import says could not be imported, as one error of class [ErrFailed]: the
// images of the request by tag, and the repository as a whole. Nil means that nothing failed.
func Failure(imp *imagestream.ImageStreamImport) error {
	var failed []string
	for i, image := range imp.Status.Images {
		if image.Status.Status == imagestream.StatusFailure {
			failed = append(failed, subject(imp, i)+image.Status.Message)
		}
	}
	if r := imp.Status.Repository; r != nil && r.Status.Status == imagestream.StatusFailure {
		failed = append(failed, "repository: "+r.Status.Message)
	}
	if failed == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrFailed, strings.Join(failed, "; "))
}

// subject names the i-th image of a request.
func subject(imp *imagestream.ImageStreamImport, i int) string {
	switch {
	case i < len(imp.Spec.Images) && imp.Spec.Images[i].To != nil:
		return "tag " + imp.Spec.Images[i].To.Name + ": "
	case i < len(imp.Spec.Images):
		return imp.Spec.Images[i].From.Name + ": "
	}
	return ""
}
