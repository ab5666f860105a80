// Package bin has no code: its module names a Kubernetes API server for custom resources as a tool, so that tests can
// build the server without depending on it.
package bin
