package oc_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

var ctx = context.Background()

// commands returns commands on a store in memory, with a registry that has quay.io/org/app:v1.
func commands() (*oc.Commands, *client.Client) {
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	streams := client.New(&fakes.Store{}, registry)
	streams.API.(*rest.Server).Engine.Now = now
	return &oc.Commands{Server: oc.Local{API: streams.API}, Out: os.Stdout, Now: now}, streams
}

func in(namespace string, args ...string) oc.Command {
	return oc.Command{Namespace: namespace, Args: args, Flags: oc.Flags{}}
}

func Example() {
	c, _ := commands()
	show := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
		}
	}
	show(c.CreateImageStream(ctx, in("shop", "app")))
	show(c.Tag(ctx, in("shop", "quay.io/org/app:v1", "app:v1")))
	show(c.Tag(ctx, in("shop", "app:v1", "app:prod")))
	alias := in("shop", "app:v1", "app:latest")
	alias.Flags["alias"] = []string{"true"}
	show(c.Tag(ctx, alias))
	show(c.SetImageLookup(ctx, in("shop", "app")))
	show(c.SetImageLookup(ctx, in("shop")))
	// Output:
	// imagestream.image.openshift.io/app created
	// Tag app:v1 set to quay.io/org/app:v1.
	// error: source "app:v1" has no image yet: import it first, or use --alias to follow it
	// Tag app:latest set up to track app:v1.
	// imagestream.image.openshift.io/app image lookup updated
	// NAME  LOCAL
	// app   true
}

func ExampleCommands_Tag() {
	c, streams := commands()
	err := c.Tag(ctx, in("shop", "quay.io/org/app:v1", "app:v1", "app:v2"))
	s, _ := streams.Get(ctx, imagestream.Key{Namespace: "shop", Name: "app"})
	fmt.Println(len(s.Spec.Tags), err)
	drop := in("shop", "app:v2")
	drop.Flags["delete"] = []string{"true"}
	fmt.Println(c.Tag(ctx, drop))
	fmt.Println(c.Tag(ctx, in("shop", "App", "app:v2")) != nil)
	// Output:
	// Tag app:v1 set to quay.io/org/app:v1.
	// Tag app:v2 set to quay.io/org/app:v1.
	// 2 <nil>
	// Deleted tag shop/app:v2.
	// <nil>
	// true
}

func ExampleCommands_ImportImage() {
	c, _ := commands()
	var text strings.Builder
	c.Out = &text
	cmd := in("shop", "app:v1")
	cmd.Flags["from"], cmd.Flags["confirm"] = []string{"quay.io/org/app:v1"}, []string{"true"}
	err := c.ImportImage(ctx, cmd)
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "imagestream") || strings.HasPrefix(line, "  * ") {
			fmt.Print(line)
		}
	}
	fmt.Println(err)
	// Output:
	// imagestream.image.openshift.io/app imported
	//   * quay.io/org/app@sha256:55ff6b98454f44b6117b3fab385b614693c2dee2400ae6795c0baf261daf442a
	// <nil>
}

func ExampleCommands_CreateImageStream() {
	c, _ := commands()
	cmd := in("shop", "app")
	cmd.Flags["dry-run"] = []string{"client"}
	fmt.Println(c.CreateImageStream(ctx, cmd))
	cmd.Flags["lookup"] = []string{"true"}
	fmt.Println(c.CreateImageStream(ctx, cmd))
	// Output:
	// imagestream.image.openshift.io/app created (dry run)
	// <nil>
	// unknown flag: --lookup; there are --dry-run, --lookup-local, --output, --save-config
}

func ExampleCommands_CreateImageStreamTag() {
	c, _ := commands()
	cmd := in("shop", "app:v1")
	cmd.Flags["from-image"] = []string{"quay.io/org/app:v1"}
	fmt.Println(c.CreateImageStreamTag(ctx, cmd))
	// Output:
	// imagestreamtag.image.openshift.io/app:v1 created
	// <nil>
}

func ExampleCommands_SetImageLookup() {
	c, _ := commands()
	c.CreateImageStream(ctx, in("shop", "app"))
	cmd := in("shop", "is/app")
	cmd.Flags["dry-run"] = []string{"server"}
	fmt.Println(c.SetImageLookup(ctx, cmd))
	cmd.Flags = oc.Flags{"list": {"true"}}
	fmt.Println(c.SetImageLookup(ctx, cmd))
	// Output:
	// imagestream.image.openshift.io/app created
	// imagestream.image.openshift.io/app image lookup updated (server dry run)
	// <nil>
	// NAME  LOCAL
	// app   false
	// <nil>
}

func ExamplePlanTag() {
	cmd := in("shop", "app:v1", "other/app:v1")
	plan, err := oc.PlanTag(cmd, oc.Resources())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Needs())
	_, err = plan.Steps(&imagestream.ImageStream{})
	fmt.Println(err)
	// Output:
	// shop/app true
	// source "app:v1" has no image yet: import it first, or use --alias to follow it
}

func ExampleTagPlan_Steps() {
	plan, _ := oc.PlanTag(in("shop", "quay.io/org/app:v1", "other/app:v1"), oc.Resources())
	steps, err := plan.Steps(nil)
	fmt.Print(steps[0].Namespace, " ", steps[0].Object.Tag.From.Name, " ", steps[0].Message)
	fmt.Println(err)
	// Output:
	// other quay.io/org/app:v1 Tag other/app:v1 set to quay.io/org/app:v1.
	// <nil>
}

func ExampleTagPlan_Needs() {
	plan, _ := oc.PlanTag(in("shop", "base/app:v1", "app:v1"), oc.Resources())
	fmt.Println(plan.Needs())
	// Output: base/app true
}

func ExamplePlanImport() {
	plan, err := oc.PlanImport(in("shop", "app:v1"))
	fmt.Println(plan.Needs(), err)
	_, err = oc.PlanImport(in("shop", "app@sha256:1"))
	fmt.Println(err != nil)
	// Output:
	// shop/app <nil>
	// true
}

func ExampleImportPlan_Import() {
	cmd := in("shop", "app:v1")
	cmd.Flags["confirm"], cmd.Flags["from"] = []string{"true"}, []string{"quay.io/org/app:v1"}
	plan, _ := oc.PlanImport(cmd)
	imp, err := plan.Import(nil) // the stream does not exist
	fmt.Println(imp.Spec.Images[0].From.Name, imp.Spec.Images[0].To.Name, err)
	// Output: quay.io/org/app:v1 v1 <nil>
}

func ExampleImportPlan_Needs() {
	plan, _ := oc.PlanImport(in("shop", "app"))
	fmt.Println(plan.Needs())
	// Output: shop/app
}

func ExamplePlanCreateImageStream() {
	creation, err := oc.PlanCreateImageStream(in("shop", "app"))
	fmt.Println(creation.Request.Verb, creation.Request.Resource, err)
	// Output: create imagestreams <nil>
}

func ExamplePlanCreateImageStreamTag() {
	cmd := in("shop", "app:v1")
	cmd.Flags["from"] = []string{":prod"}
	creation, err := oc.PlanCreateImageStreamTag(cmd)
	tag := creation.Request.Object.(*imagestream.ImageStreamTag)
	fmt.Println(tag.Tag.From.Kind, tag.Tag.From.Name, err)
	// Output: ImageStreamTag prod <nil>
}

func ExamplePlanImageLookup() {
	plan, err := oc.PlanImageLookup(in("shop", "deploy/web", "app"), oc.Resources())
	for _, read := range plan.Reads {
		fmt.Println(read.Request.Resource, read.Request.Name)
	}
	fmt.Println(err)
	// Output:
	// deployments web
	// imagestreams app
	// <nil>
}

func ExampleLookupPlan_Changes() {
	plan, _ := oc.PlanImageLookup(in("shop", "deploy/web"), oc.Resources())
	web := map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{}}},
	}
	changes, err := plan.Changes([]oc.LookupObject{{Resource: plan.Reads[0].Resource, Object: web}})
	fmt.Println(string(changes[0].Request.Patch), err)
	// Output: {"spec":{"template":{"metadata":{"annotations":{"alpha.image.policy.openshift.io/resolve-names":"*"}}}}} <nil>
}

func ExampleLookupPlan_Table() {
	plan, _ := oc.PlanImageLookup(in("shop"), oc.Resources())
	app := map[string]any{"metadata": map[string]any{"name": "app"}}
	table, ok := plan.Table([]oc.LookupObject{{Resource: plan.Reads[0].Resource, Object: app}})
	fmt.Println(table.Rows, ok)
	// Output: [[app false]] true
}

func ExampleResources() {
	for _, r := range oc.Resources()[:3] {
		fmt.Println(r.Plural, r.Singular, r.Short, r.Kind)
	}
	// Output:
	// imagestreams imagestream [is] ImageStream
	// imagestreamtags imagestreamtag [istag] ImageStreamTag
	// imagestreamimages imagestreamimage [isimage] ImageStreamImage
}

func ExampleLocal() {
	_, streams := commands()
	_, err := oc.Local{API: streams.API}.Do(ctx, oc.Request{Verb: oc.Get, Resource: "pods", Namespace: "shop", Name: "web"})
	fmt.Println(err)
	// Output: pods "web" not found in namespace "shop": this server cannot get pods
}
