module github.com/imagestreams/imagestreams/adapters/oci

go 1.26.0

require (
	github.com/distribution/reference v0.6.0
	github.com/imagestreams/imagestreams v0.1.0
	github.com/opencontainers/go-digest v1.0.0
	oras.land/oras-go/v2 v2.6.4
)

require (
	github.com/opencontainers/image-spec v1.1.1 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace github.com/imagestreams/imagestreams => ../..
