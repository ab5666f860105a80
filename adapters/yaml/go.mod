module github.com/imagestreams/imagestreams/adapters/yaml

go 1.26.0

require (
	github.com/imagestreams/imagestreams v0.1.0
	go.yaml.in/yaml/v3 v3.0.6
)

require github.com/opencontainers/go-digest v1.0.0 // indirect

replace github.com/imagestreams/imagestreams => ../..
