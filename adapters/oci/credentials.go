package oci

import (
	"context"
	"fmt"

	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
)

// DockerConfig returns the credentials of a Docker configuration file, with its helpers, for
// [Options.Credentials]. An empty path is the file that docker uses: config.json in $DOCKER_CONFIG, or in
// .docker of the home directory; that one need not exist.
func DockerConfig(path string) (func(ctx context.Context, host string) (importer.Credentials, error), error) {
	var store credentials.Store
	var err error
	if path == "" {
		store, err = credentials.NewStoreFromDocker(credentials.StoreOptions{})
	} else {
		store, err = credentials.NewStore(path, credentials.StoreOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	find := credentials.Credential(store)
	return func(ctx context.Context, host string) (importer.Credentials, error) {
		c, err := find(ctx, host)
		if err != nil {
			return importer.Credentials{}, err
		}
		return importer.Credentials{Username: c.Username, Password: c.Password, IdentityToken: c.RefreshToken, RegistryToken: c.AccessToken}, nil
	}, nil
}

// PullSecret returns the credentials of a pull secret, the JSON of a kubernetes.io/dockerconfigjson, for [Options.Credentials]: those
// for a host. What a secret has for a path in a host, an importer finds with importer/keyring.
func PullSecret(dockerConfigJSON []byte) (func(ctx context.Context, host string) (importer.Credentials, error), error) {
	config, err := keyring.Parse(keyring.TypeDockerConfigJSON, map[string][]byte{keyring.KeyDockerConfigJSON: dockerConfigJSON})
	if err != nil {
		return nil, err
	}
	ring := keyring.New(config)
	return func(_ context.Context, host string) (importer.Credentials, error) {
		if host == dockerHubHost {
			host = "docker.io"
		}
		c, _ := ring.Credentials(host + "/")
		return c, nil
	}, nil
}
