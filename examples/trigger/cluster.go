package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// Cluster is the objects of a cluster.
type Cluster struct {
	Client dynamic.Interface
	// Namespace is the only one that is looked at; empty is all.
	Namespace string
}

// resources are the kinds of objects that are looked at, those of the real controller.
var resources = map[schema.GroupKind]schema.GroupVersionResource{
	{Group: "apps", Kind: "Deployment"}:  {Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Kind: "StatefulSet"}: {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Kind: "DaemonSet"}:   {Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "batch", Kind: "CronJob"}:    {Group: "batch", Version: "v1", Resource: "cronjobs"},
	{Group: "apps.openshift.io", Kind: "DeploymentConfig"}: {
		Group:    "apps.openshift.io",
		Version:  "v1",
		Resource: "deploymentconfigs",
	},
	{Group: "build.openshift.io", Kind: "BuildConfig"}: {
		Group:    "build.openshift.io",
		Version:  "v1",
		Resource: "buildconfigs",
	},
}

// of returns the client for an object.
func (c *Cluster) of(id trigger.ID) (dynamic.ResourceInterface, error) {
	resource, ok := resources[schema.GroupKind{Group: id.Group, Kind: id.Kind}]
	if !ok {
		return nil, fmt.Errorf("%s: objects of this kind are not looked at", id)
	}
	return c.Client.Resource(resource).Namespace(id.Namespace), nil
}

// Get implements [Objects].
func (c *Cluster) Get(ctx context.Context, id trigger.ID) (Object, error) {
	client, err := c.of(id)
	if err != nil {
		return nil, err
	}
	object, err := client.Get(ctx, id.Name, metav1.GetOptions{})
	if err != nil {
		return nil, openshift.Error(err)
	}
	return object.Object, nil
}

// Update implements [Objects].
func (c *Cluster) Update(ctx context.Context, object Object) (Object, error) {
	id := trigger.IDOf(object)
	client, err := c.of(id)
	if err != nil {
		return nil, err
	}
	written, err := client.Update(
		ctx,
		&unstructured.Unstructured{Object: object},
		metav1.UpdateOptions{FieldManager: "imagestreams-trigger"},
	)
	if err != nil {
		return nil, openshift.Error(err)
	}
	return written.Object, nil
}

// Instantiate implements [Objects].
func (c *Cluster) Instantiate(ctx context.Context, request *trigger.BuildRequest) error {
	id := trigger.ID{
		Group:     "build.openshift.io",
		Kind:      "BuildConfig",
		Namespace: request.Metadata.Namespace,
		Name:      request.Metadata.Name,
	}
	client, err := c.of(id)
	if err != nil {
		return err
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	body := Object{}
	if err := json.Unmarshal(text, &body); err != nil {
		return err
	}
	body["apiVersion"], body["kind"] = "build.openshift.io/v1", "BuildRequest"
	_, err = client.Create(ctx, &unstructured.Unstructured{Object: body}, metav1.CreateOptions{}, "instantiate")
	return openshift.Error(err)
}

// Watch implements [Objects], by informers. Kinds that the cluster does not serve are left out.
func (c *Cluster) Watch(ctx context.Context) iter.Seq2[imagestream.Change[Object], error] {
	return func(yield func(imagestream.Change[Object], error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		changes := make(chan imagestream.Change[Object])
		send := func(kind imagestream.ChangeType, object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			if u, ok := object.(*unstructured.Unstructured); ok {
				select {
				case changes <- imagestream.Change[Object]{Type: kind, Object: &u.Object}:
				case <-ctx.Done():
				}
			}
		}
		factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.Client, 0, c.Namespace, nil)
		defer factory.Shutdown()
		defer cancel()
		for resource := range maps.Values(resources) {
			_, err := c.Client.Resource(resource).Namespace(c.Namespace).List(ctx, metav1.ListOptions{Limit: 1})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err == nil {
				_, err = factory.ForResource(resource).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
					AddFunc:    func(o any) { send(imagestream.Added, o) },
					UpdateFunc: func(_, o any) { send(imagestream.Modified, o) },
					DeleteFunc: func(o any) { send(imagestream.Deleted, o) },
				})
			}
			if err != nil {
				yield(imagestream.Change[Object]{}, fmt.Errorf("watch %s: %w", resource.Resource, err))
				return
			}
		}
		factory.Start(ctx.Done())
		for {
			select {
			case change := <-changes:
				if !yield(change, nil) {
					return
				}
			case <-ctx.Done():
				yield(imagestream.Change[Object]{}, ctx.Err())
				return
			}
		}
	}
}
