// Package imagestreams is image streams without a cluster: what OpenShift's image API gives a cluster, as a
// Go library.
//
// An image stream is a named, virtual repository: tags that people asked for, and what these tags really
// pointed at over time. It carries no image data. Streams are imported from registries, tags follow other
// tags, are rolled back and imported again; short names in workloads become exact images. Generations tie
// intent to outcome: who reads a stream can tell pending from done from failed. Everything answers as
// image.openshift.io/v1 does, and the conformance vectors under internal/vectors prove it.
//
// This package holds only this map.
//
//	imagestream           the object model, the transitions of a stream, errors, the Store port
//	imagestream/pullspec  pull specs, names of tags and images, digests, the order of tags
//	imagestream/manifest  image manifests and configurations to image metadata
//	imagestream/view      image stream tags, image tags, images and layers of a stream
//	imagestream/inspect   questions about a stream
//	imagestream/edit      a stream changed: tags set, removed, rolled back, resumed, frozen, trimmed
//	imagestream/describe  texts, tables and pictures for people
//	imagestream/prune     what nobody needs any more
//	imagestream/write     the one engine that writes streams to a Store
//	imagestream/rest      the verbs of the API, as an interface and on a Store
//	imagestream/client    what people do with streams, one method for each thing, on these verbs
//	imagestream/oc        the words of oc: tag, import-image, create, set image-lookup, adm prune images
//	imagestream/cache     a Store kept warm by its watch
//	imagestream/follow    what has changed, told to a work queue
//	tagevent              the history of one tag
//	importer              the Registry port; planning, fetching and applying imports
//	importer/polite       wrappers that spare registries
//	importer/keyring      pull secrets
//	importer/registries   a cluster's mirrors, blocked, insecure and allowed registries
//	importer/schedule     when scheduled tags are imported again
//	lookup                short names to exact images in Kubernetes objects
//	lookup/trigger        image change triggers: what a moved tag changes
//	fakes                 a working Store and Registry in memory, for tests
//	fakes/storetest       the suite that every Store passes
//	fakes/registrytest    the suite that every Registry passes
//	fakes/resttest        the suite that every implementation of the verbs passes
//	adapters/oci          a Registry over HTTP (a module of its own)
//	adapters/bolt         a Store in one file (a module of its own)
//	adapters/etcd         a Store on etcd, for many writers (a module of its own)
//	adapters/kube         a Store in a Kubernetes cluster's API (a module of its own)
//	adapters/yaml         exact images into files, byte for byte (a module of its own)
//	adapters/openshift    a cluster's types and client (a module of its own)
//	adapters/controllerruntime  a controller-runtime client (a module of its own)
//	adapters/apiserver    image streams over HTTP, for oc and kubectl (a module of its own)
//	examples/quickstart   the whole story as a program (a module of its own, with the next)
//	examples/streams      streams in a file, in the words of oc
//	examples/rewrite      exact images into manifests, for pipelines
//	examples/webhook      exact images at admission
//	examples/migrate      everything from one store to another, or to JSON and back
//	examples/prune        what nobody needs any more, removed from a store and a registry
//	examples/worker       keeps a store imported, in one process or several
//	examples/operator     a small controller on openshift/client-go, tested without a cluster
//	examples/apiserver    image streams for oc, without a cluster
//	examples/trigger      a controller that keeps objects at what their tags say
//
// The core is pure: a function lists what it needs to know, the caller reads that, a second function
// computes, the caller writes. No clock, context, log or goroutine is in it, arguments are never changed, and
// the same input gives the same bytes.
package imagestreams
