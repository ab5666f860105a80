// Package bin has no code: its module names etcd as a tool, so that tests can build the server without depending on it.
package bin
