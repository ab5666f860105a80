module github.com/imagestreams/imagestreams

go 1.25.0

require (
	github.com/distribution/reference v0.6.0
	github.com/opencontainers/go-digest v1.0.0
	golang.org/x/sync v0.22.0
)

require (
	github.com/google/go-cmp v0.7.0
	pgregory.net/rapid v1.3.0
)
