// Package apiserver serves image streams over HTTP as a cluster does, to oc, kubectl and every program that is written for
// OpenShift's image API. It is built on k8s.io/apiserver, whose discovery, content negotiation, patches, server-side
// apply, OpenAPI, authentication, authorization, audit and flags are those of a cluster's own server.
//
//	config := apiserver.NewTestServer(t, rest.New(&fakes.Store{}, registry))
//	client, err := versioned.NewForConfig(config)
//
// [NewTestServer] is a server in a test. [NewConfig] and [Config.New] make one that stands alone, or behind a cluster's.
//
// The server translates and adds no rule: each resource of image.openshift.io/v1 is a storage on the verbs of package
// rest, the tables of "oc get" are those of package describe, errors are those of adapters/openshift. It speaks JSON,
// YAML and protobuf.
//
// # Namespaces
//
// A server that stands alone has the namespaces that oc and kubectl ask for: "default", those that hold image streams
// or secrets, and those that were created. Creating a stream needs no namespace first. Deleting a namespace deletes what is
// in it.
//
// # Watches
//
// A watch without resource version, or with "0", begins with what there is. Initial events and bookmarks come where they
// are asked for. A watch of one namespace without selectors says every minute how far it is, so that a client which was
// cut off need not list again.
//
// # Differences from OpenShift
//
// An update of an image stream tag keeps nothing of who owns its fields. A server that stands alone has namespaces and
// secrets of the core API, without watches, and selfsubjectaccessreviews. Lists that choose by fields come on one page.
// Watches come from the store and not from a watch cache in the server. How many requests run at a time is limited by
// --max-requests-inflight and --max-mutating-requests-inflight, for all users together; behind a cluster's server
// --enable-priority-and-fairness takes their place.
package apiserver
