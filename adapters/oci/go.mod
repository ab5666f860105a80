module github.com/imagestreams/imagestreams/adapters/oci

go 1.26.0

require (
	github.com/distribution/reference v0.6.0
	github.com/imagestreams/imagestreams v0.1.0
	github.com/opencontainers/go-digest v1.0.0
	pgregory.net/rapid v1.3.0
)

require golang.org/x/sync v0.24.0 // indirect

replace github.com/imagestreams/imagestreams => ../..
