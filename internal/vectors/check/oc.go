package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/oc"
)

// scripted is a server that answers by a script, and changes nothing.
type scripted struct {
	objects []map[string]any
	script  map[string][]string
	calls   map[string]int
	writes  []object
	last    error
}

// scriptKey names the script of a kind of request.
func scriptKey(r oc.Request) string {
	prefix, ok := map[string]string{"imagestreams": "is", "imagestreamtags": "istag", "imagestreamimports": "isi"}[r.Resource]
	if !ok {
		prefix = "obj"
	}
	return prefix + strings.ToUpper(r.Verb[:1]) + r.Verb[1:]
}

func (s *scripted) outcome(r oc.Request) string {
	key := scriptKey(r)
	outcomes := s.script[key]
	if len(outcomes) == 0 {
		return "ok"
	}
	i := min(s.calls[key], len(outcomes)-1)
	s.calls[key]++
	return outcomes[i]
}

func (s *scripted) Do(_ context.Context, r oc.Request) (json.RawMessage, error) {
	raw, err := s.answer(r)
	s.last = err
	return raw, err
}

func (s *scripted) answer(r oc.Request) (json.RawMessage, error) {
	outcome := s.outcome(r)
	if r.Verb != oc.Get && r.Verb != oc.List {
		write := object{"verb": r.Verb, "resource": r.Resource, "namespace": r.Namespace, "result": outcome}
		if r.Name != "" {
			write["name"] = r.Name
		}
		if r.Query != nil {
			write["query"] = r.Query
		}
		if r.Patch != nil {
			write["patch"], write["patchType"] = r.Patch, r.PatchType
		}
		if r.Object != nil {
			body, err := withoutEmptyImage(r.Object)
			if err != nil {
				return nil, err
			}
			write["object"] = body
		}
		s.writes = append(s.writes, write)
	}
	switch outcome {
	case "ok", "tagFailure", "repoFailure":
	default:
		return nil, imagestream.NewError(
			imagestream.StatusReason(outcome),
			r.Resource,
			imagestream.Key{Name: r.Name},
			"as the script says",
		)
	}
	switch {
	case r.Verb == oc.Get || r.Verb == oc.List:
		return s.find(r)
	case r.Resource == "imagestreamimports":
		return importAnswer(r.Object.(*imagestream.ImageStreamImport), outcome)
	case r.Object != nil:
		return json.Marshal(r.Object)
	}
	return nil, nil
}

// find serves the objects of the case.
func (s *scripted) find(r oc.Request) (json.RawMessage, error) {
	var items []map[string]any
	for _, o := range s.objects {
		kind, _ := o["kind"].(string)
		meta, _ := o["metadata"].(map[string]any)
		if strings.ToLower(kind)+"s" == r.Resource && meta["namespace"] == r.Namespace &&
			(r.Verb == oc.List || meta["name"] == r.Name) {
			items = append(items, o)
		}
	}
	if r.Verb == oc.List {
		return json.Marshal(object{"items": items})
	}
	if len(items) == 0 {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, r.Resource, imagestream.Key{Name: r.Name}, "")
	}
	return json.Marshal(items[0])
}

// importAnswer is the answer to an import without images, all of it as the script says.
func importAnswer(imp *imagestream.ImageStreamImport, outcome string) (json.RawMessage, error) {
	answer := imp.Clone()
	status := func(failed string) imagestream.Status {
		if outcome == failed {
			return imagestream.Status{Status: imagestream.StatusFailure}
		}
		return imagestream.Status{Status: imagestream.StatusSuccess}
	}
	for range imp.Spec.Images {
		answer.Status.Images = append(answer.Status.Images, imagestream.ImageImportStatus{Status: status("tagFailure")})
	}
	if imp.Spec.Repository != nil {
		answer.Status.Repository = &imagestream.RepositoryImportStatus{Status: status("repoFailure")}
	}
	return json.Marshal(answer)
}

// withoutEmptyImage leaves the empty image of an image stream tag out, as the cases do.
func withoutEmptyImage(o any) (any, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	if _, ok := o.(*imagestream.ImageStreamTag); ok {
		delete(tree, "image")
	}
	return tree, nil
}

// flagValues are the values of a flag: one, or a list.
type flagValues []string

func (v *flagValues) UnmarshalJSON(raw []byte) error {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return err
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, item := range list {
		*v = append(*v, fmt.Sprint(item))
	}
	return nil
}

// ocRunner runs a command against a scripted server.
func ocRunner(run func(c *oc.Commands, ctx context.Context, cmd oc.Command) error, withOutput bool) runner {
	return func(c *call) (any, error) {
		var e environment
		var in struct {
			Namespace        string
			Args             []string
			Flags            map[string]flagValues
			Streams, Objects []map[string]any
			Server           map[string][]string
		}
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		server := &scripted{objects: append(in.Streams, in.Objects...), script: in.Server, calls: map[string]int{}}
		var out strings.Builder
		cmd := oc.Command{Namespace: in.Namespace, Args: in.Args, Flags: oc.Flags{}}
		for name, values := range in.Flags {
			cmd.Flags[name] = values
		}
		err := run(&oc.Commands{Server: server, Out: &out}, context.Background(), cmd)
		got := object{"error": err != nil, "writes": server.writes}
		if withOutput {
			got["stdout"] = out.String()
		}
		var status *imagestream.StatusError
		if err != nil && errors.As(server.last, &status) {
			got["status"] = object{"reason": status.Reason, "code": scriptCode(status.Reason)}
		}
		return got, nil
	}
}

// scriptCode is the code of a scripted answer.
func scriptCode(reason imagestream.StatusReason) int32 {
	if reason == "MethodNotAllowed" {
		return 405
	}
	return reason.Code()
}

var ocOps = map[string]runner{
	"octag":                   ocRunner((*oc.Commands).Tag, true),
	"ocimport":                ocRunner((*oc.Commands).ImportImage, false),
	"occreate.imagestream":    ocRunner((*oc.Commands).CreateImageStream, true),
	"occreate.imagestreamtag": ocRunner((*oc.Commands).CreateImageStreamTag, true),
	"occreate.imagelookup":    ocRunner((*oc.Commands).SetImageLookup, true),
}
