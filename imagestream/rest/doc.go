// Package rest is the verbs of image.openshift.io/v1, resource by resource, as a server answers them.
//
//	api := rest.New(store, registry)
//	tag, err := api.ImageStreamTags().Get(ctx, imagestream.Key{Namespace: "shop", Name: "app:v1"})
//
// [API] is the contract. [Server] keeps it on a Store, by the transitions of package imagestream and the engine
// of package write; another implementation may keep it on a cluster. Everything that people and programs use,
// the methods of package client, the words of package oc, a typed clientset, HTTP, translates into these verbs
// and adds no rule. The suite fakes/resttest checks any implementation.
//
// # Writes
//
// An update takes a function of the old object, as a PATCH request is one: it gets the object that is stored,
// and its result replaces it. If somebody else writes meanwhile, the function is called again with the fresh
// object. [Replace] makes such a function of a finished object, which is a PUT request.
//
// The resource version of the result decides. An image stream must carry the one of the old object: none is of
// class ErrInvalid, another one of class ErrConflict. A tag without one replaces whatever is stored.
//
// # Tags
//
// An image stream tag and an image tag are views of their stream: writing one writes the stream. Creating a tag
// creates the stream that does not exist yet, and so does updating one. The old object of an update is the tag
// as it is without its image; a tag that the stream does not have yet is an object without source and history, and
// nil if there is no stream.
//
// # Differences from OpenShift
//
// A write that others overtake is tried again until its context ends, where the real system gives up after a
// few attempts; [Server.Attempts] sets such counts. A dry run gives what it would create the uid
// [write.DryRunUID]. Lists of streams and images that choose by fields come on one page. Finalizers are kept,
// but do not delay a deletion. Permission to do things is the face's to check; the one question that the rules
// themselves ask is [imagestream.Authorizer].
package rest
