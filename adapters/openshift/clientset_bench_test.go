package openshift_test

import (
	"strconv"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	"github.com/openshift/client-go/image/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// twenty is a stream with 20 tags.
func twenty() *imagev1.ImageStream {
	var tags []string
	for i := range 20 {
		tags = append(tags, "v"+strconv.Itoa(i))
	}
	s := tagged("app", tags...)
	s.Namespace = "shop"
	return s
}

// perOperation returns what gets and updates of a stream of 20 tags do, once each.
func perOperation(tb testing.TB, client versioned.Interface) map[string]func() {
	streams := client.ImageV1().ImageStreams("shop")
	s, err := streams.Create(tb.Context(), twenty(), metav1.CreateOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	return map[string]func(){
		"get": func() {
			if _, err := streams.Get(tb.Context(), "app", metav1.GetOptions{}); err != nil {
				tb.Fatal(err)
			}
		},
		"update": func() {
			n++
			s.Labels = map[string]string{"n": strconv.Itoa(n)}
			if s, err = streams.Update(tb.Context(), s, metav1.UpdateOptions{}); err != nil {
				tb.Fatal(err)
			}
		},
	}
}

// TestClientsetCosts compares the allocations of a get and of an update with the generated fake's.
func TestClientsetCosts(t *testing.T) {
	generated := perOperation(t, fake.NewSimpleClientset())
	for what, once := range perOperation(t, openshift.Clientset(rest.New(&fakes.Store{}, nil))) {
		ours, theirs := testing.AllocsPerRun(100, once), testing.AllocsPerRun(100, generated[what])
		if ours > 1.5*theirs {
			t.Errorf("a %s makes %.0f allocations, that of the generated fake %.0f", what, ours, theirs)
		}
	}
}

// TestClientsetImportCosts compares an import of 50 tags through the clientset with the verb.
func TestClientsetImportCosts(t *testing.T) {
	imports := perImport(t)
	through, alone := testing.AllocsPerRun(10, imports["Clientset"]), testing.AllocsPerRun(10, imports["verb"])
	if through > 1.1*alone {
		t.Errorf("an import through the clientset makes %.0f allocations, the verb %.0f", through, alone)
	}
}

func BenchmarkClientset(b *testing.B) {
	for _, what := range []string{"get", "update"} {
		for name, open := range map[string]func() versioned.Interface{
			"generated fake": func() versioned.Interface { return fake.NewSimpleClientset() },
			"Clientset":      func() versioned.Interface { return openshift.Clientset(rest.New(&fakes.Store{}, nil)) },
		} {
			b.Run(what+"/"+name, func(b *testing.B) {
				once := perOperation(b, open())[what] // a fake keeps all that it was asked for: each has its own
				b.ReportAllocs()
				for b.Loop() {
					once()
				}
			})
		}
	}
}

// fifty returns a registry with 50 tags and an import of them.
func fifty() (*fakes.Registry, *imagev1.ImageStreamImport) {
	registry := &fakes.Registry{}
	imp := &imagev1.ImageStreamImport{
		ObjectMeta: metav1.ObjectMeta{Name: "app"}, Spec: imagev1.ImageStreamImportSpec{Import: true},
	}
	registry.Edit("quay.io", func(c fakes.Contents) {
		for i := range 50 {
			tag := "v" + strconv.Itoa(i)
			c.Push("org/app", fakes.Image{Layer: "layer of " + tag}, tag)
			imp.Spec.Images = append(imp.Spec.Images, imagev1.ImageImportSpec{
				From: corev1.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag},
				To:   &corev1.LocalObjectReference{Name: tag},
			})
		}
	})
	return registry, imp
}

// perImport returns what imports 50 tags through the clientset, and by the verb alone.
func perImport(tb testing.TB) map[string]func() {
	registry, theirs := fifty()
	ours, err := openshift.FromAPI[imagestream.ImageStreamImport](theirs)
	if err != nil {
		tb.Fatal(err)
	}
	server := rest.New(&fakes.Store{}, registry)
	client := openshift.Clientset(server).ImageV1().ImageStreamImports("shop")
	return map[string]func(){
		"Clientset": func() {
			done, err := client.Create(tb.Context(), theirs, metav1.CreateOptions{})
			if err != nil || done.Status.Images[49].Image == nil {
				tb.Fatal(err)
			}
		},
		"verb": func() {
			if _, err := server.ImageStreamImports().Create(tb.Context(), "shop", ours, rest.CreateOptions{}); err != nil {
				tb.Fatal(err)
			}
		},
	}
}

func BenchmarkClientsetImport(b *testing.B) {
	for name, once := range perImport(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
