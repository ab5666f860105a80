module github.com/imagestreams/imagestreams/internal/etcdserver

go 1.26.0
