package oci_test

import (
	"context"
	"fmt"

	"github.com/imagestreams/imagestreams/adapters/oci"
)

func ExamplePullSecret() {
	credentials, err := oci.PullSecret([]byte(`{"auths": {"quay.io": {"username": "robot", "password": "p"}, "https://index.docker.io/v1/": {"username": "hub", "password": "p"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, host := range []string{"quay.io", "registry-1.docker.io", "ghcr.io"} {
		c, err := credentials(context.Background(), host)
		fmt.Println(host, c, err)
	}
	_, err = oci.PullSecret([]byte("no JSON"))
	fmt.Println(err)
	// Output:
	// quay.io user robot <nil>
	// registry-1.docker.io user hub <nil>
	// ghcr.io anonymous <nil>
	// .dockerconfigjson: the Docker configuration cannot be read as JSON
}
