package fakes_test

import (
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func TestServer(t *testing.T) {
	resttest.Run(t, func(*testing.T) resttest.Subject {
		registry := &fakes.Registry{}
		return resttest.Subject{API: rest.New(&fakes.Store{}, registry), Registry: registry}
	})
}
