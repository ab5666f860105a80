module github.com/imagestreams/imagestreams/internal/kubeserver

go 1.26.0

require github.com/imagestreams/imagestreams/internal/etcdserver v0.1.0

replace github.com/imagestreams/imagestreams/internal/etcdserver => ../etcdserver
