// Package openapi describes the types that the server speaks, as OpenAPI. Most of it is generated from the Go types.
package openapi

//go:generate go tool openapi-gen --output-dir . --output-pkg github.com/imagestreams/imagestreams/adapters/apiserver/internal/openapi --output-file zz_generated.openapi.go --report-filename /dev/null github.com/openshift/api/image/v1 k8s.io/api/authorization/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version
