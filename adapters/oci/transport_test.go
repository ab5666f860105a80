package oci_test

import (
	"net/http"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/oci"
)

type instrumented struct{ http.RoundTripper }

// TestDefaultTransport makes a client in a program that has put something of its own around http.DefaultTransport.
func TestDefaultTransport(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = instrumented{before}
	if _, err := oci.New(oci.Options{}); err != nil {
		t.Error(err)
	}
}
