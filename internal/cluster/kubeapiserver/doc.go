// Package kubeapiserver names the kube-apiserver that "make cluster" builds, as a tool of its module.
package kubeapiserver
