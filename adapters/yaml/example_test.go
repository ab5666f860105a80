package yaml_test

import (
	"context"
	"fmt"
	"log"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// streams is a source with one stream, shop/nodejs, that is for local lookup. A fakes.Store or a cluster's Reader
// is one, too.
func streams() lookup.Source {
	l := yaml.Lock{Images: []yaml.Locked{{
		Namespace: "shop", Name: "nodejs", Tag: "20", Local: true,
		Reference: "quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8",
		Event: tagevent.Event{Image: "sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8",
			Generation: 2},
	}}}
	return l.Source()
}

const deployment = `# The shop's window
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name:  "web"
          image: 'nodejs:20'   # kept
        - image: quay.io/org/proxy:v1
`

func ExampleRewriter_Rewrite() {
	w, err := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{})
	if err != nil {
		log.Fatal(err)
	}
	res, err := w.Rewrite(context.Background(), []byte(deployment))
	fmt.Print(string(res.Bytes), err, "\n")
	for _, c := range res.Changes {
		fmt.Printf("%d:%d %s -> %s, for %s of %s:%s\n", c.Line, c.Column, c.From, c.To, c.Why.Message(), c.Stream, c.Tag)
	}
	// Output:
	// # The shop's window
	// apiVersion: apps/v1
	// kind: Deployment
	// metadata: {name: web, namespace: shop}
	// spec:
	//   template:
	//     spec:
	//       containers:
	//         - name:  "web"
	//           image: 'quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8'   # kept
	//         - image: quay.io/org/proxy:v1
	// <nil>
	// 10:18 nodejs:20 -> quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8, for it is the newest image of the tag of shop/nodejs:20
}

func ExampleReport_String() {
	w, _ := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{Namespace: "shop"})
	res, _ := w.Rewrite(context.Background(),
		[]byte("kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - image: >-\n      nodejs:20\n"))
	for _, r := range res.Reports {
		fmt.Printf("%d:%d: %s\n", r.Line, r.Column, r)
	}
	// Output:
	// 5:12: nodejs:20 stays, it should become quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8: the text is a block, or goes over several lines: write it on one line
}

func ExampleNew() {
	resolver := &lookup.Resolver{Source: streams(), Options: lookup.Options{Explain: true}}
	w, err := yaml.New(resolver, yaml.Options{Namespace: "shop", Values: []string{"web.image", "sidecars[*].image"}})
	if err != nil {
		log.Fatal(err)
	}
	res, _ := w.Rewrite(context.Background(),
		[]byte("web:\n  image: {repository: nodejs, tag: '20', digest: ''}\nsidecars:\n- image: none\n"))
	fmt.Print(string(res.Bytes))
	for _, d := range res.Decisions {
		fmt.Printf("%d:%d %s %s: %s\n", d.Line, d.Column, d.Place.Path, d.Name, d.Why.Message())
	}
	// Output:
	// web:
	//   image: {repository: quay.io/org/nodejs, tag: '20', digest: 'sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8'}
	// sidecars:
	// - image: none
	// 2:23 /web/image nodejs:20: it is the newest image of the tag
	// 4:10 /sidecars/0/image none: there is no such image stream
}

func ExampleRewriter_Lock() {
	w, _ := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{})
	_, err := w.Rewrite(context.Background(), []byte(deployment))
	fmt.Print(string(w.Lock().Bytes()), err, "\n")
	// Output:
	// {
	//   "version": 1,
	//   "images": [
	//     {
	//       "namespace": "shop",
	//       "name": "nodejs",
	//       "tag": "20",
	//       "local": true,
	//       "reference": "quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8",
	//       "event": {
	//         "created": null,
	//         "dockerImageReference": "quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8",
	//         "image": "sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8",
	//         "generation": 2
	//       }
	//     }
	//   ]
	// }
	// <nil>
}

func ExampleParseLock() {
	raw := []byte(`{"version": 1, "images": [{"namespace": "shop", "name": "nodejs", "tag": "20", "local": true,
  "reference": "quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8", "event": {"image": "sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8"}}]}`)
	lock, err := yaml.ParseLock(raw)
	stream, _ := lock.Source().GetImageStream(context.Background(), imagestream.Key{Namespace: "shop", Name: "nodejs"})
	fmt.Println(stream.Status.Tags[0].Items[0].DockerImageReference, err)
	_, err = yaml.ParseLock([]byte(`{"version": 2}`))
	fmt.Println(err)
	// Output:
	// quay.io/org/nodejs@sha256:1f0b8ac5f7e0e0a9a5e9d3b1c4d7e2f8a6b3c9d1e4f7a2b5c8d0e3f6a9b2c5d8 <nil>
	// read lock: version is 2, this program knows 1
}

func ExampleLock_Bytes() {
	fmt.Print(string((&yaml.Lock{}).Bytes()))
	// Output:
	// {
	//   "version": 1,
	//   "images": []
	// }
}

func ExampleLock_Source() {
	// A file that is rewritten by a lock becomes what it became when the lock was made.
	w, _ := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{})
	first, _ := w.Rewrite(context.Background(), []byte(deployment))
	later, _ := yaml.New(&lookup.Resolver{Source: w.Lock().Source()}, yaml.Options{})
	second, _ := later.Rewrite(context.Background(), []byte(deployment))
	fmt.Println(string(first.Bytes) == string(second.Bytes))
	// Output: true
}

func ExampleLock_With() {
	older := yaml.Lock{Images: []yaml.Locked{{Namespace: "shop", Name: "a", Tag: "1", Reference: "x/a:1"},
		{Namespace: "shop", Name: "b", Tag: "1", Reference: "x/b:1"}}}
	newer := yaml.Lock{Images: []yaml.Locked{{Namespace: "shop", Name: "b", Tag: "1", Reference: "x/b:2"}}}
	both, _ := yaml.ParseLock(older.With(&newer).Bytes())
	for _, l := range both.Images {
		fmt.Println(l.Name, l.Reference)
	}
	// Output:
	// a x/a:1
	// b x/b:2
}

func ExampleRewriter_Unmatched() {
	w, err := yaml.New(&lookup.Resolver{Source: streams()}, yaml.Options{Values: []string{"web.image", "web.imag"}})
	if err == nil {
		_, err = w.Rewrite(context.Background(), []byte(""))
	}
	fmt.Println(w.Unmatched(), err)
	// Output: [web.image web.imag] <nil>
}

func ExampleProblem_Message() {
	fmt.Println(yaml.ProblemNoDigest, "-", yaml.ProblemNoDigest.Message())
	// Output: NoDigest - there is no member digest to write the exact image to: add digest: ""
}

func ExampleProblem_Skips() {
	fmt.Println(yaml.ProblemSyntax.Skips(), yaml.ProblemBlock.Skips())
	// Output: true false
}

func ExampleLock_Lacking() {
	lock := &yaml.Lock{Stays: []yaml.Stayed{{Namespace: "shop", Name: "nodejs", Tag: "20"}}}
	tried := []lookup.Tried{{Tag: "22"}}
	tried[0].Stream.Namespace, tried[0].Stream.Name = "shop", "nodejs"
	fmt.Println(len(lock.Lacking([]yaml.Decision{{Decision: lookup.Decision{Tried: tried}}})))
	// Output: 1
}
