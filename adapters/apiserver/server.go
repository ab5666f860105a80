package apiserver

import (
	"context"
	"errors"
	"net/http"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	registry "k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/compatibility"

	"github.com/imagestreams/imagestreams/adapters/apiserver/internal/openapi"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Config is how a server runs.
type Config struct {
	// Generic is the configuration of the library that the server is built on: addresses, certificates, who is who, who
	// may do what, auditing, limits. [NewConfig] fills in what image streams need.
	Generic *genericserver.RecommendedConfig
	// API is the verbs that the server serves. It must be set.
	API rest.API
	// Secrets are those that the server serves, nil for none. A server behind a cluster's has none.
	Secrets *Secrets
	// InCluster says that the server stands behind a cluster's, which has the namespaces. Otherwise the server has some
	// of its own, as clients ask for them.
	InCluster bool
}

// NewConfig returns a configuration without verbs, address, users and permissions.
func NewConfig() *Config {
	c := &Config{Generic: genericserver.NewRecommendedConfig(codecs)}
	g := &c.Generic.Config
	g.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	namer := openapinamer.NewDefinitionNamer(newScheme(false)) // OpenAPI has no internal version
	g.OpenAPIConfig = genericserver.DefaultOpenAPIConfig(openapi.Definitions, namer)
	g.OpenAPIConfig.Info.Title = "Image streams"
	g.OpenAPIV3Config = genericserver.DefaultOpenAPIV3Config(openapi.Definitions, namer)
	g.OpenAPIV3Config.Info.Title = "Image streams"
	alive := []healthz.HealthChecker{healthz.PingHealthz} // the check of the log never ends its goroutine
	g.HealthzChecks, g.LivezChecks, g.ReadyzChecks = alive, alive, alive
	return c
}

// SetAccess lets a decide who is who, and who may do what.
func (c *Config) SetAccess(a *Access) error {
	known, err := a.authenticator()
	if err != nil {
		return err
	}
	c.Generic.Authentication.Authenticator = known
	c.Generic.Authorization.Authorizer = a.authorizer()
	return nil
}

// Authorizer answers for the users of requests whether whoever decides about requests lets them get the layers of a
// stream. It is for the engine of the verbs.
func (c *Config) Authorizer() imagestream.Authorizer {
	return layersAuthorizer(func() authorizer.UnconditionalAuthorizer { return c.Generic.Authorization.Authorizer })
}

// Server serves image streams over HTTP.
type Server struct {
	generic *genericserver.GenericAPIServer
}

// New returns a server that is ready to run. It holds the listener of its configuration. Somebody must say who is who, and
// who may do what, even if everybody may.
func (c *Config) New() (*Server, error) {
	if c.API == nil {
		return nil, errors.New("there are no verbs to serve: set Config.API")
	}
	if c.Generic.Authentication.Authenticator == nil || c.Generic.Authorization.Authorizer == nil {
		return nil, errors.New("nobody says who may do what, and the server would let everybody: use Config.SetAccess, " +
			"or set Generic.Authentication and Generic.Authorization")
	}
	generic, err := c.Generic.Complete().New("imagestreams", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	ended, end := context.WithCancel(context.Background())
	generic.AddPreShutdownHookOrDie("end-watches", func() error { end(); return nil })

	answers := healthz.NamedCheck("imagestreams", func(r *http.Request) error {
		_, err := c.API.ImageStreams().List(r.Context(), rest.ListOptions{Limit: 1})
		return err
	})
	if err := generic.AddReadyzChecks(answers); err != nil {
		return nil, err
	}
	group := groupOf(imagev1.GroupVersion, storages(c.API, ended))
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, err
	}
	if !c.InCluster {
		reviews := groupOf(authorizationv1.SchemeGroupVersion, map[string]registry.Storage{
			"selfsubjectaccessreviews": selfReviews{c.Generic.Authorization.Authorizer},
		})
		if err := generic.InstallAPIGroup(&reviews); err != nil {
			return nil, err
		}
		core := groupOf(corev1.SchemeGroupVersion, map[string]registry.Storage{
			"namespaces": &namespaces{streams: c.API.ImageStreams(), secrets: c.Secrets, now: time.Now},
		})
		if c.Secrets != nil {
			core.VersionedResourcesStorageMap["v1"]["secrets"] = secretStorage{c.Secrets, time.Now}
		}
		if err := generic.InstallLegacyAPIGroup(genericserver.DefaultLegacyAPIPrefix, &core); err != nil {
			return nil, err
		}
	}
	return &Server{generic}, nil
}

// groupOf returns a group of the API of one version.
func groupOf(version schema.GroupVersion, resources map[string]registry.Storage) genericserver.APIGroupInfo {
	group := genericserver.NewDefaultAPIGroupInfo(version.Group, scheme, metav1.ParameterCodec, codecs)
	group.PrioritizedVersions = []schema.GroupVersion{version}
	group.NegotiatedSerializer = checked{codecs}
	group.VersionedResourcesStorageMap[version.Version] = resources
	return group
}

// Run serves until ctx ends and every request that is under way has its answer. Watches end at once.
func (s *Server) Run(ctx context.Context) error { return s.generic.PrepareRun().RunWithContext(ctx) }
