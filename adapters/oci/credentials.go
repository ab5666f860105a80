package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
)

// DockerConfig returns the credentials of a Docker configuration file, with its helper programs, for
// [Options.Credentials]; importer/keyring reads it. An empty path is the file that docker uses: config.json in
// $DOCKER_CONFIG, or in .docker of the home directory; that one need not exist.
//
// An entry that cannot be read is an error for the repositories that it is for, and for no others.
func DockerConfig(path string) (find func(context.Context, string) (importer.Credentials, error), err error) {
	text, err := readDockerConfig(path)
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	config, err := keyring.ParseConfig(text)
	if err = wholly(err); err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	own := finder(config)
	return func(ctx context.Context, repository string) (importer.Credentials, error) {
		if program, server := config.Helper(repository); program != "" {
			if c, err := fromHelper(ctx, program, server); err != nil || !c.IsAnonymous() {
				return c, err
			}
		}
		return own(repository)
	}, nil
}

func readDockerConfig(path string) ([]byte, error) {
	if path != "" {
		return os.ReadFile(path)
	}
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(home, ".docker")
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return []byte("{}"), nil
	}
	return text, err
}

// PullSecret returns the credentials of a pull secret, the JSON of a kubernetes.io/dockerconfigjson, for
// [Options.Credentials]. Entries that cannot be read are errors as those of [DockerConfig] are.
func PullSecret(dockerConfigJSON []byte) (find func(context.Context, string) (importer.Credentials, error), err error) {
	data := map[string][]byte{keyring.KeyDockerConfigJSON: dockerConfigJSON}
	config, err := keyring.Parse(keyring.TypeDockerConfigJSON, data)
	if err = wholly(err); err != nil {
		return nil, err
	}
	own := finder(config)
	return func(_ context.Context, repository string) (importer.Credentials, error) { return own(repository) }, nil
}

// wholly returns err unless it is that of single entries.
func wholly(err error) error {
	var entry *keyring.EntryError
	if errors.As(err, &entry) {
		return nil
	}
	return err
}

// finder finds what a configuration itself has.
func finder(config keyring.Config) func(repository string) (importer.Credentials, error) {
	ring := keyring.New(config)
	return func(repository string) (importer.Credentials, error) {
		if c, ok := ring.Credentials(repository); ok {
			return c, nil
		}
		return importer.Credentials{}, ring.Problem(repository)
	}
}

const (
	// maxHelped is how many bytes a helper program may answer.
	maxHelped = 64 << 10
	// notHelped is what it says if it has nothing.
	notHelped = "credentials not found in native keychain"
	// tokenUser is the user name that stands for an identity token.
	tokenUser = "<token>"
)

// fromHelper asks a helper program of Docker. No error shows what the program says.
func fromHelper(ctx context.Context, program, server string) (importer.Credentials, error) {
	if strings.ContainsAny(program, `/\`) {
		return importer.Credentials{}, errors.New("the name of the credential helper must not have a path in it")
	}
	name := "docker-credential-" + program
	cmd := exec.CommandContext(ctx, name, "get")
	cmd.WaitDelay = time.Second // for what it has started, and left
	cmd.Stdin = strings.NewReader(server)
	out := &limited{}
	cmd.Stdout = out
	err := cmd.Run()
	if err != nil && strings.TrimSpace(out.String()) == notHelped {
		return importer.Credentials{}, nil
	}
	var c struct{ Username, Secret string }
	switch {
	case ctx.Err() != nil:
		return importer.Credentials{}, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return importer.Credentials{}, fmt.Errorf("the credential helper %s is not installed", name)
	case err != nil:
		return importer.Credentials{}, fmt.Errorf("the credential helper %s failed", name)
	case json.Unmarshal(out.Bytes(), &c) != nil:
		return importer.Credentials{}, fmt.Errorf("the credential helper %s did not answer in JSON", name)
	case c.Username == tokenUser:
		return importer.Credentials{IdentityToken: c.Secret}, nil
	}
	return importer.Credentials{Username: c.Username, Password: c.Secret}, nil
}

// limited keeps the first bytes of what a program writes.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), maxHelped-l.Len())])
	return len(p), nil
}
