package apiserver_test

import (
	"testing"

	"github.com/openshift/client-go/image/clientset/versioned"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestHTTPKeepsTheContract runs the suite of the verbs through the typed clientset, HTTP, the server, and the verbs.
func TestHTTPKeepsTheContract(t *testing.T) {
	resttest.Run(t, func(t *testing.T) resttest.Subject {
		registry := &fakes.Registry{}
		client, err := versioned.NewForConfig(apiserver.NewTestServer(t, rest.New(&fakes.Store{}, registry)))
		if err != nil {
			t.Fatal(err)
		}
		return resttest.Subject{API: openshift.API(client), Registry: registry, NoUIDs: true}
	})
}
