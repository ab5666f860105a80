package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	"github.com/openshift/client-go/image/informers/externalversions"
	listers "github.com/openshift/client-go/image/listers/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Annotation says which tag of a stream is promoted to which: "stable=prod".
const Annotation = "example.com/promote"

// Operator keeps a tag of each annotated stream at the image that another tag of it points at. It knows
// openshift/client-go and nothing else: Client is a cluster's, or openshift.Clientset in a test.
type Operator struct {
	Client    versioned.Interface
	Namespace string // the only one that is looked at; empty is all
	// Report, if it is not nil, is told of each write.
	Report func(stream, tag, image string, err error)

	streams listers.ImageStreamLister
}

// Run works until ctx ends.
func (o *Operator) Run(ctx context.Context) error {
	factory := externalversions.NewSharedInformerFactoryWithOptions(
		o.Client, 10*time.Minute, externalversions.WithNamespace(o.Namespace))
	defer factory.Shutdown()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	informer := factory.Image().V1().ImageStreams()
	o.streams = informer.Lister()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	defer queue.ShutDown()
	enqueue := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			queue.Add(key)
		}
	}
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }, DeleteFunc: enqueue,
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitFor(ctx, "", informer.Informer().HasSyncedChecker()) {
		return ctx.Err()
	}
	stop := context.AfterFunc(ctx, queue.ShutDown)
	defer stop()
	for {
		key, done := queue.Get()
		if done {
			return ctx.Err()
		}
		if err := o.reconcile(ctx, key); err == nil {
			queue.Forget(key)
		} else {
			queue.AddRateLimited(key)
		}
		queue.Done(key)
	}
}

// reconcile promotes a tag of a stream, if there is something to promote. A stream that somebody else has changed since
// is a conflict, and comes again.
func (o *Operator) reconcile(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	stream, err := o.streams.ImageStreams(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	from, to, ok := strings.Cut(stream.Annotations[Annotation], "=")
	image := newest(stream, from)
	if !ok || image == "" || image == newest(stream, to) {
		return nil
	}
	_, err = o.Client.ImageV1().ImageStreamTags(namespace).Update(ctx, &imagev1.ImageStreamTag{
		ObjectMeta: metav1.ObjectMeta{Name: name + ":" + to, ResourceVersion: stream.ResourceVersion},
		Tag: &imagev1.TagReference{
			From: &corev1.ObjectReference{Kind: "ImageStreamImage", Name: name + "@" + image},
		},
	}, metav1.UpdateOptions{FieldManager: "promoter"})
	if o.Report != nil {
		o.Report(key, to, image, err)
	}
	if err != nil {
		return fmt.Errorf("promote %s of %s: %w", from, key, err)
	}
	return nil
}

// newest returns the image that a tag points at; empty if there is none.
func newest(stream *imagev1.ImageStream, tag string) string {
	for _, history := range stream.Status.Tags {
		if history.Tag == tag && len(history.Items) > 0 {
			return history.Items[0].Image
		}
	}
	return ""
}
