package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/spf13/pflag"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/registries"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// imports says how images are imported.
type imports struct {
	dockerConfig, authorities, mirrors, internalRegistry string
	interval                                             time.Duration
	off                                                  bool
}

func (i *imports) addFlags(set *pflag.FlagSet) {
	set.StringVar(&i.dockerConfig, "docker-config", "", "the file with credentials for registries; docker's own if empty")
	set.StringVar(&i.authorities, "registry-ca", "", "PEM file with authorities of registries to trust besides the system's")
	set.StringVar(&i.mirrors, "mirrors", "", "YAML file that says where registries are mirrored, which are blocked, insecure "+
		"or allowed: the fields of a registries.Configuration")
	set.StringVar(&i.internalRegistry, "internal-registry", "", "HOST:PORT of the registry that streams are served from")
	set.BoolVar(&i.off, "no-imports", false, "import when a user asks for it, and never by itself: for servers beside "+
		"examples/worker")
	set.DurationVar(&i.interval, "interval", 15*time.Minute, "how long after an import a scheduled tag is imported again")
}

// importer returns what imports for users, and by itself.
func (i *imports) importer(engine *write.Engine, secrets *apiserver.Secrets) (*importer.Importer, error) {
	if i.interval <= 0 {
		return nil, fmt.Errorf("-interval=%s: want a duration above 0, such as 15m", i.interval)
	}
	docker, err := oci.DockerConfig(i.dockerConfig)
	if err != nil {
		return nil, err
	}
	opts := oci.Options{Credentials: docker}
	if i.authorities != "" {
		if opts.RootCAs, err = pems.Read(i.authorities); err != nil {
			return nil, err
		}
	}
	registry, err := oci.New(opts)
	if err != nil {
		return nil, err
	}
	rules, err := i.registries()
	if err != nil {
		return nil, err
	}
	return &importer.Importer{
		Engine: engine, Registry: registry, Registries: rules,
		Secrets: func(ctx context.Context, namespace string) (importer.CredentialFinder, error) {
			own, err := secrets.Finder(ctx, namespace)
			return credentials{ctx, own, docker}, err
		},
	}, nil
}

// registries returns what is said of registries.
func (i *imports) registries() (*registries.Registries, error) {
	var rules registries.Configuration
	if i.mirrors != "" {
		data, err := os.ReadFile(i.mirrors)
		if err != nil {
			return nil, err
		}
		// A document that is not read could be the one that blocks a registry.
		for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
			var part registries.Configuration
			text, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = yaml.UnmarshalStrict(text, &part)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", i.mirrors, err)
			}
			if reflect.ValueOf(part).IsZero() {
				continue // comments
			}
			if !reflect.ValueOf(rules).IsZero() {
				return nil, fmt.Errorf("%s: it has a second document after ---: want one", i.mirrors)
			}
			rules = part
		}
	}
	return registries.New(rules), nil
}

// credentials finds those of a namespace's pull secrets, and those of docker where there are none.
type credentials struct {
	ctx    context.Context
	own    importer.CredentialFinder
	docker func(context.Context, string) (importer.Credentials, error)
}

func (c credentials) Credentials(repository string) (importer.Credentials, bool) {
	if found, ok := c.own.Credentials(repository); ok {
		return found, true
	}
	found, err := c.docker(c.ctx, repository)
	return found, err == nil
}

// loop returns what imports by itself: not for a user, but for the server, which may read every stream.
func (i *imports) loop(users *importer.Importer, errOut io.Writer) *schedule.Loop {
	engine := *users.Engine
	engine.Authorizer = everything{}
	own := &importer.Importer{
		Engine: &engine, Registry: users.Registry, Registries: users.Registries, Secrets: users.Secrets,
	}
	return &schedule.Loop{
		Importer: own, Options: schedule.Options{Interval: i.interval},
		Imported: func(stream imagestream.Key, done *imagestream.ImageStreamImport, err error) {
			if err == nil {
				err = importer.Failure(done)
			}
			if err != nil {
				fmt.Fprintf(errOut, "apiserver: import %s: %v\n", stream, err)
			}
		},
		Failed: func(err error) { fmt.Fprintln(errOut, "apiserver:", err) },
	}
}

type everything struct{}

func (everything) MayGetLayers(context.Context, imagestream.Key) (bool, error) { return true, nil }
