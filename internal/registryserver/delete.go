package registryserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/opencontainers/go-digest"
)

// blobRemover removes blobs from the storage in dir, whoever has links to them.
func blobRemover(dir string) (http.Handler, error) {
	ctx := context.Background()
	files, err := factory.Create(ctx, "filesystem", map[string]any{"rootdirectory": dir})
	if err != nil {
		return nil, fmt.Errorf("open the storage: %w", err)
	}
	vacuum := storage.NewVacuum(ctx, files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := digest.Parse(r.PathValue("digest"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err = vacuum.RemoveBlob(d.String())
		var missing driver.PathNotFoundError
		switch {
		case errors.As(err, &missing):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}), nil
}
