package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// tell lets an operator work in memory: a tag is imported, promoted, moved, and promoted again.
func tell(ctx context.Context, out io.Writer) error {
	registry := &fakes.Registry{}
	cluster := openshift.Clientset(rest.New(&fakes.Store{}, registry))
	ctx, cancel := context.WithCancel(ctx)
	promoted := make(chan string)
	operator := &Operator{Client: cluster, Report: func(stream, tag, image string, err error) {
		if err != nil {
			return // it comes again
		}
		select {
		case promoted <- fmt.Sprintf("%s: %s is now %s", stream, tag, image):
		case <-ctx.Done():
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- operator.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	if err := create(ctx, cluster, "app"); err != nil {
		return err
	}
	for _, build := range []string{"build 1", "build 2"} {
		registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: build}, "stable") })
		fmt.Fprintf(out, "%s is pushed to quay.io/org/app:stable, and imported\n", build)
		if err := importStable(ctx, cluster, "app"); err != nil {
			return err
		}
		select {
		case text := <-promoted:
			fmt.Fprintln(out, text)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stream, err := cluster.ImageV1().ImageStreams("shop").Get(ctx, "app", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, history := range stream.Status.Tags {
		fmt.Fprintf(out, "%s has pointed at %d images\n", history.Tag, len(history.Items))
	}
	return nil
}

// create makes a stream whose tag stable comes from quay.io, and is promoted to prod.
func create(ctx context.Context, cluster versioned.Interface, name string) error {
	_, err := cluster.ImageV1().ImageStreams("shop").Create(ctx, &imagev1.ImageStream{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{Annotation: "stable=prod"}},
		Spec: imagev1.ImageStreamSpec{Tags: []imagev1.TagReference{{
			Name: "stable", From: &corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/" + name + ":stable"},
		}}},
	}, metav1.CreateOptions{})
	return err
}

// importStable imports the tag stable of a stream, as a cluster does for a new tag.
func importStable(ctx context.Context, cluster versioned.Interface, name string) error {
	done, err := cluster.ImageV1().ImageStreamImports("shop").Create(ctx, &imagev1.ImageStreamImport{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: imagev1.ImageStreamImportSpec{Import: true, Images: []imagev1.ImageImportSpec{{
			From: corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/" + name + ":stable"},
			To:   &corev1.LocalObjectReference{Name: "stable"},
		}}},
	}, metav1.CreateOptions{})
	if err == nil && done.Status.Images[0].Image == nil {
		err = errors.New(done.Status.Images[0].Status.Message)
	}
	return err
}
