// Package cluster proves that adapters/apiserver works behind the real server of a Kubernetes cluster, with the manifests
// that the adapter ships. Its test needs binaries that "make cluster" builds, and is run by that alone.
package cluster
