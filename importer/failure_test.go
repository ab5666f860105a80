package importer_test

import (
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

func ExampleFailure() {
	imp := &imagestream.ImageStreamImport{Spec: imagestream.ImageStreamImportSpec{Images: []imagestream.ImageImportSpec{
		{To: &imagestream.LocalObjectReference{Name: "v1"}}, {From: imagestream.ObjectReference{Name: "quay.io/org/app:v2"}},
	}}}
	fmt.Println(importer.Failure(imp))
	failed := imagestream.Status{Status: imagestream.StatusFailure, Message: "not found"}
	imp.Status.Images = []imagestream.ImageImportStatus{{Status: failed}, {Status: failed}}
	imp.Status.Repository = &imagestream.RepositoryImportStatus{Status: failed}
	err := importer.Failure(imp)
	fmt.Println(err, errors.Is(err, importer.ErrFailed))
	// Output:
	// <nil>
	// not imported: tag v1: not found; quay.io/org/app:v2: not found; repository: not found true
}
