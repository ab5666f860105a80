module github.com/imagestreams/imagestreams/adapters/bolt

go 1.26.0

require (
	github.com/imagestreams/imagestreams v0.1.0
	go.etcd.io/bbolt v1.5.0
)

require (
	github.com/distribution/reference v0.6.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace github.com/imagestreams/imagestreams => ../..
