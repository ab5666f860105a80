package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func TestServer(t *testing.T) {
	resttest.Run(t, func(t *testing.T) resttest.Subject {
		store, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), "streams.db"), bolt.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		registry := &fakes.Registry{}
		return resttest.Subject{API: rest.New(store, registry), Registry: registry}
	})
}
