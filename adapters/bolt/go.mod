module github.com/imagestreams/imagestreams/adapters/bolt

go 1.26.0

require (
	github.com/imagestreams/imagestreams v0.1.0
	go.etcd.io/bbolt v1.5.0
)

require golang.org/x/sys v0.45.0 // indirect

replace github.com/imagestreams/imagestreams => ../..
