package describe

import (
	"fmt"
	"io"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
)

// Reasons writes why each tag of s points where it does, and what would change that, in the order of the tags
// in [ImageStream], an empty line between two. It goes below that text where somebody asks why. The error is
// that of w.
func Reasons(w io.Writer, s *imagestream.ImageStream) error {
	for i, name := range index(s).names() {
		gap := "\n"
		if i == 0 {
			gap = ""
		}
		if _, err := fmt.Fprint(w, gap, inspect.Explain(s, name)); err != nil {
			return err
		}
	}
	return nil
}
