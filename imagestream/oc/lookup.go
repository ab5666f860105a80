package oc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

var lookupFlags = map[string]flagKind{
	"local":    boolFlag,
	"list":     boolFlag,
	"enabled":  boolFlag,
	"all":      boolFlag,
	"selector": textFlag,
	"dry-run":  textFlag,
	"output":   textFlag,
}

// resolveNamesAnnotation asks for the short names of an object, or of what it makes, to be resolved.
const resolveNamesAnnotation = "alpha.image.policy.openshift.io/resolve-names"

// LookupPlan is what a "set image-lookup" command reads, and how it goes on.
type LookupPlan struct {
	// Reads are the objects that it is about, each with the kind of what it answers. One of verb [List] is all
	// streams of the namespace.
	Reads []LookupRead

	namespace, output, dryRun string
	list, enabled             bool
}

// LookupRead is an object, or a list of them, that is read.
type LookupRead struct {
	Request  Request
	Resource Resource
}

// PlanImageLookup reads a "set image-lookup" command. An error is of class [ErrUsage].
func PlanImageLookup(cmd Command, resources []Resource) (*LookupPlan, error) {
	f, err := parseFlags(cmd.Flags, lookupFlags)
	if err != nil {
		return nil, err
	}
	p := &LookupPlan{
		namespace: cmd.Namespace, output: f.text("output"), dryRun: f.text("dry-run"),
		list: f.bool("list"), enabled: !f.given("enabled") || f.bool("enabled"),
	}
	all := f.bool("all")
	switch {
	case f.bool("local"):
		return nil, usage("--local goes with files, which this command does not read")
	case p.output != "" && p.output != "name":
		return nil, usage("--output=%s: want name", p.output)
	case p.dryRun != "" && p.dryRun != "none" && p.dryRun != "client" && p.dryRun != "server":
		return nil, usage("--dry-run=%s: want none, client or server", p.dryRun)
	case f.text("selector") != "":
		return nil, usage("--selector=%s: name the objects, or use --all", f.text("selector"))
	case all && len(cmd.Args) > 0:
		return nil, usage("--all takes no names")
	}
	streams, _ := findResource(resources, imageStreams)
	if len(cmd.Args) == 0 {
		p.list = p.list || !all && p.output == ""
		p.Reads = []LookupRead{{Request{Verb: List, Resource: imageStreams, Namespace: p.namespace}, streams}}
		return p, nil
	}
	for _, arg := range cmd.Args {
		resource := streams
		word, name, typed := strings.Cut(arg, "/")
		switch {
		case !typed && p.list:
			return nil, usage("%q: --list wants TYPE/NAME: is/%s", arg, arg)
		case !typed:
			name = arg
		default:
			var ok bool
			if resource, ok = findResource(resources, word); !ok {
				return nil, usage("%q: there is no kind of object called %q", arg, word)
			}
		}
		if name == "" || strings.Contains(name, "/") {
			return nil, usage("%q: want NAME or TYPE/NAME", arg)
		}
		p.Reads = append(
			p.Reads,
			LookupRead{Request{Verb: Get, Resource: resource.Plural, Namespace: p.namespace, Name: name}, resource},
		)
	}
	return p, nil
}

// LookupObject is an object that was read.
type LookupObject struct {
	Resource Resource
	Object   map[string]any
}

// LookupChange is an object that is changed.
type LookupChange struct {
	// Request is the patch.
	Request Request
	// ClientOnly means that it is not sent, only told.
	ClientOnly bool
	// Message is printed.
	Message string
}

// Changes returns what is to be changed, in the order of the objects; nothing for a command that lists.
// Arguments stay as they are.
func (p *LookupPlan) Changes(objects []LookupObject) ([]LookupChange, error) {
	if p.list {
		return nil, nil
	}
	query := map[string]string{"fieldManager": "kubectl-set"}
	note := ""
	switch p.dryRun {
	case "client":
		note = " (dry run)"
	case "server":
		note, query["dryRun"] = " (server dry run)", "All"
	}
	var changes []LookupChange
	for _, o := range objects {
		patch := p.patch(o)
		if patch == nil {
			continue
		}
		raw, err := json.Marshal(patch)
		if err != nil {
			return nil, err
		}
		title := o.Resource.Singular
		if o.Resource.Group != "" {
			title += "." + o.Resource.Group
		}
		title += "/" + objectName(o.Object)
		message := title + " image lookup updated" + note + "\n"
		if p.output == "name" {
			message = title + "\n"
		}
		changes = append(changes, LookupChange{
			Request: Request{
				Verb: Patch, Resource: o.Resource.Plural, Namespace: p.namespace, Name: objectName(o.Object), Query: query,
				Patch: raw, PatchType: StrategicMergePatch,
			},
			ClientOnly: p.dryRun == "client", Message: message,
		})
	}
	return changes, nil
}

// patch returns how an object is changed; nil if it is as it should be.
func (p *LookupPlan) patch(o LookupObject) map[string]any {
	if isStream(o.Resource) {
		if localLookup(o.Object) == p.enabled {
			return nil
		}
		return map[string]any{"spec": map[string]any{"lookupPolicy": map[string]any{"local": p.enabled}}}
	}
	holder, path := o.Object, []string(nil)
	if template, steps := podspec.TemplateAt(o.Object); template != nil {
		holder, path = template, steps
	}
	metadata, _ := holder["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	value, has := annotations[resolveNamesAnnotation]
	var change any
	switch {
	case p.enabled && value == "*" || !p.enabled && !has:
		return nil
	case p.enabled:
		change = map[string]any{resolveNamesAnnotation: "*"}
	case len(annotations) == 1:
		change = nil
	default:
		change = map[string]any{resolveNamesAnnotation: nil}
	}
	patch := map[string]any{"metadata": map[string]any{"annotations": change}}
	for i := len(path) - 1; i >= 0; i-- {
		patch = map[string]any{path[i]: patch}
	}
	return patch
}

func isStream(r Resource) bool { return r.Group == imageGroup && r.Plural == imageStreams }

func localLookup(object map[string]any) bool {
	spec, _ := object["spec"].(map[string]any)
	policy, _ := spec["lookupPolicy"].(map[string]any)
	local, _ := policy["local"].(bool)
	return local
}

func objectName(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// Table returns the list that the command prints; ok is false if it changes instead.
func (p *LookupPlan) Table(objects []LookupObject) (_ describe.Table, ok bool) {
	if !p.list {
		return describe.Table{}, false
	}
	t := describe.Table{
		Columns: []describe.Column{{Name: "Name", Type: "string", Format: "name"}, {Name: "Local", Type: "string"}},
	}
	for _, o := range objects {
		name, local := objectName(o.Object), false
		if isStream(o.Resource) {
			local = localLookup(o.Object)
		} else {
			name = o.Resource.Plural + "/" + name
			template, _ := podspec.TemplateAt(o.Object)
			local = podspec.Annotation(template, resolveNamesAnnotation) == "*" ||
				podspec.Annotation(o.Object, resolveNamesAnnotation) == "*"
		}
		t.Rows = append(t.Rows, []any{name, strconv.FormatBool(local)})
	}
	return t, true
}

// SetImageLookup carries out a "set image-lookup" command. Errors are of class [ErrUsage], or the server's. All
// objects are read before one is changed.
func (c *Commands) SetImageLookup(ctx context.Context, cmd Command) error {
	plan, err := PlanImageLookup(cmd, c.resources())
	if err != nil {
		return err
	}
	objects, err := c.read(ctx, plan.Reads)
	if err != nil {
		return err
	}
	if table, ok := plan.Table(objects); ok {
		if c.Out == nil {
			return nil
		}
		return table.Print(c.Out, describe.PrintOptions{Gap: 2})
	}
	changes, err := plan.Changes(objects)
	if err != nil {
		return err
	}
	for _, change := range changes {
		if !change.ClientOnly {
			if _, err := c.do(ctx, change.Request); err != nil {
				return err
			}
		}
		if err := c.print(change.Message); err != nil {
			return err
		}
		if err := c.warnOfDots(plan, change); err != nil {
			return err
		}
	}
	return nil
}

// warnOfDots tells that turning the lookup of a stream on does nothing if its name has a dot.
func (c *Commands) warnOfDots(plan *LookupPlan, change LookupChange) error {
	name := change.Request.Name
	if c.Warnings == nil || !plan.enabled || change.Request.Resource != imageStreams || !strings.Contains(name, ".") {
		return nil
	}
	_, err := fmt.Fprintf(
		c.Warnings,
		"warning: image stream %q is never looked up: a short name with a dot is taken for the host of a registry\n",
		name,
	)
	return err
}

// read reads every object, also after one that the server does not give.
func (c *Commands) read(ctx context.Context, reads []LookupRead) ([]LookupObject, error) {
	var objects []LookupObject
	var failed []error
	for _, r := range reads {
		raw, err := c.do(ctx, r.Request)
		var status *imagestream.StatusError
		if errors.As(err, &status) {
			failed = append(failed, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		var answer struct {
			Items []map[string]any `json:"items"`
		}
		if r.Request.Verb == List {
			err = json.Unmarshal(raw, &answer)
		} else {
			answer.Items = make([]map[string]any, 1)
			err = json.Unmarshal(raw, &answer.Items[0])
		}
		if err != nil {
			return nil, fmt.Errorf("the server's %s: %w", r.Request.Resource, err)
		}
		for _, item := range answer.Items {
			objects = append(objects, LookupObject{r.Resource, item})
		}
	}
	return objects, errors.Join(failed...)
}
