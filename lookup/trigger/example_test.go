package trigger_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// streams returns an Env in which each tag "namespace/stream:tag" points at a pull spec.
func env(tags ...[3]string) imagestream.Env {
	e := imagestream.Env{Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Streams: map[imagestream.Key]*imagestream.ImageStream{}}
	for _, t := range tags {
		key := imagestream.Key{Namespace: "shop", Name: t[0]}
		s := e.Streams[key]
		if s == nil {
			s = &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: t[0], ResourceVersion: "1"}}
		}
		e.Streams[key], _ = s.Push(t[1], tagevent.Event{Image: t[2], DockerImageReference: "quay.io/shop/" + t[0] + "@" + t[2]})
	}
	return e
}

// object reads an object from JSON.
func object(text string) map[string]any {
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	return o
}

var webDeployment = object(`{
	"apiVersion": "apps/v1", "kind": "Deployment",
	"metadata": {"namespace": "shop", "name": "web", "annotations": {
		"image.openshift.io/triggers": "[{\"from\":{\"kind\":\"ImageStreamTag\",\"name\":\"web:prod\"},\"fieldPath\":\"spec.template.spec.containers[?(@.name==\\\"web\\\")].image\"}]"}},
	"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "old"}]}}}}`)

func ExampleFor() {
	plan, err := trigger.For(webDeployment, env([3]string{"web", "prod", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range plan.Changes {
		fmt.Printf("%s: %s -> %s: %s\n", c.Path, c.From, c.To, c.Why.Message())
	}
	after := lookup.Apply(webDeployment, plan.Changes)
	again, err := trigger.For(after, env([3]string{"web", "prod", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}))
	fmt.Println(again.IsEmpty(), err)
	// Output:
	// /spec/template/spec/containers/0/image: old -> quay.io/shop/web@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a: it is the newest image of the tag
	// true <nil>
}

func ExampleForAnnotation() {
	plan, _ := trigger.ForAnnotation(webDeployment, env([3]string{"web", "test", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}))
	for _, u := range plan.Unresolved {
		fmt.Printf("%s:%s: %s\n", u.Stream, u.Tag, u.Why.Message())
	}
	broken := lookup.Apply(webDeployment, []lookup.Change{{Path: "/spec/template/spec/containers/0/name", To: "api"}})
	_, err := trigger.ForAnnotation(broken, env([3]string{"web", "prod", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}))
	fmt.Println(err)
	// Output:
	// shop/web:prod: the tag points at nothing yet
	// Deployment shop/web: annotation image.openshift.io/triggers: trigger 0: fieldPath "spec.template.spec.containers[?(@.name==\"web\")].image": the pod spec has no such container
}

func ExampleForDeploymentConfig() {
	dc := object(`{
		"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "metadata": {"namespace": "shop", "name": "web"},
		"spec": {
			"triggers": [{"type": "ImageChange", "imageChangeParams": {
				"automatic": true, "containerNames": ["web"], "from": {"kind": "ImageStreamTag", "name": "web:prod"}}}],
			"template": {"spec": {"containers": [{"name": "web", "image": "old"}]}}}}`)
	plan := trigger.ForDeploymentConfig(dc, env([3]string{"web", "prod", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}))
	for _, c := range plan.Changes {
		fmt.Println(c.Path, c.To)
	}
	// Output:
	// /spec/triggers/0/imageChangeParams/lastTriggeredImage quay.io/shop/web@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a
	// /spec/template/spec/containers/0/image quay.io/shop/web@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a
}

var webBuild = object(`{
	"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "metadata": {"namespace": "shop", "name": "web"},
	"spec": {
		"triggers": [{"type": "ImageChange", "imageChange": {}}],
		"strategy": {"type": "Source", "sourceStrategy": {"from": {"kind": "ImageStreamTag", "name": "nodejs:20"}}},
		"output": {"to": {"kind": "ImageStreamTag", "name": "web:prod"}}}}`)

func ExampleForBuildConfig() {
	plan, err := trigger.ForBuildConfig(webBuild, env([3]string{"nodejs", "20", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	request, _ := json.MarshalIndent(plan.Build, "", "  ")
	fmt.Println(string(request))
	// Output:
	// {
	//   "metadata": {
	//     "name": "web",
	//     "namespace": "shop"
	//   },
	//   "triggeredByImage": {
	//     "kind": "DockerImage",
	//     "name": "quay.io/shop/nodejs@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
	//   },
	//   "from": {
	//     "kind": "ImageStreamTag",
	//     "name": "nodejs:20"
	//   },
	//   "triggeredBy": [
	//     {
	//       "message": "Image change",
	//       "imageChangeBuild": {
	//         "imageID": "quay.io/shop/nodejs@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a",
	//         "fromRef": {
	//           "kind": "ImageStreamTag",
	//           "name": "nodejs:20"
	//         }
	//       }
	//     }
	//   ]
	// }
}

func ExampleInstantiate() {
	e := env([3]string{"nodejs", "20", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"})
	plan, _ := trigger.ForBuildConfig(webBuild, e)
	entries, err := trigger.Instantiate(webBuild, plan.Build.From, plan.Build.TriggeredByImage, e)
	for _, b := range entries {
		fmt.Println(b.From.Name, b.LastTriggeredImageID, b.LastTriggerTime, err)
	}
	// Output:
	// nodejs:20 quay.io/shop/nodejs@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a 2026-01-02T03:04:05Z <nil>
}

func ExampleOf() {
	triggers, err := trigger.Of(webDeployment)
	for _, t := range triggers {
		stream, tag, ok := t.Stream("shop")
		fmt.Println(stream, tag, ok, err)
	}
	// Output:
	// shop/web prod true <nil>
}

func ExampleParse() {
	_, err := trigger.Parse(`[{"from":{"kind":"ImageStreamTag","name":"web:prod"},"fieldPath":"x","paused":"false"}]`)
	fmt.Println(err)
	// Output:
	// annotation image.openshift.io/triggers: the annotation is not a JSON list of triggers: paused must be true or false, without quotes, not string
}

func ExampleResolve() {
	image, ok := trigger.Resolve(env([3]string{"web", "latest", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}), "shop", "web:")
	fmt.Println(image.PullSpec, ok)
	image, ok = trigger.Resolve(env(), "shop", "web:v1")
	fmt.Println(image.Why.Message(), ok)
	// Output:
	// quay.io/shop/web@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a true
	// there is no such image stream false
}
