package main

import (
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

type object = map[string]any

// over makes a runner of a function of the case's input alone.
func over[In any](f func(In) any) runner {
	return func(c *call) (any, error) {
		var in In
		if err := c.in(&in); err != nil {
			return nil, err
		}
		return f(in), nil
	}
}

type nameInput struct {
	Name, Tag, ID, Image, Prefix, Digest string
}

// nameOps are the ops of names.jsonl and reference.jsonl that take and give strings alone.
var nameOps = map[string]runner{
	"names.splitTag":       over(func(in nameInput) any { return splitTag(in.Name) }),
	"names.splitImage":     over(func(in nameInput) any { return splitImage(in.Name) }),
	"names.joinTag":        over(func(in nameInput) any { return object{"joined": pullspec.JoinTag(in.Name, in.Tag)} }),
	"names.joinImage":      over(func(in nameInput) any { return object{"joined": pullspec.JoinImage(in.Name, in.ID)} }),
	"names.parseTagName":   over(func(in nameInput) any { return parseTag(in.Name) }),
	"names.parseImageName": over(func(in nameInput) any { return parseImage(in.Name) }),
	"names.matchImageID": over(
		func(in nameInput) any { return object{"match": pullspec.MatchImageID(in.Image, in.ID)} },
	),
	"names.validateName": over(
		func(in struct{ Name string }) any { return object{"valid": pullspec.IsStreamName(in.Name)} },
	),
	"names.validateTag": over(func(in nameInput) any {
		_, tag, err := pullspec.ParseTag("s:" + in.Tag)
		return object{
			"istagName": pullspec.IsPathSegment("s:" + in.Tag),
			"parses":    err == nil && tag == in.Tag,
			"pullable":  pullspec.IsTag(in.Tag),
		}
	}),
	"names.prioritizeTags": over(func(in struct{ Tags []string }) any {
		return object{"tags": pullspec.PrioritizeTags(in.Tags)}
	}),
	"names.parseReference": over(func(in struct{ Spec string }) any {
		r, err := pullspec.Parse(in.Spec)
		if err != nil {
			return failed
		}
		defaulted := r.DockerClientDefaults()
		out := fields(r)
		for key, value := range (object{
			"exact": r.Exact(), "string": r.String(), "defaulted": defaulted.Exact(), "minimal": r.DaemonMinimal().Exact(),
			"repository": defaulted.AsRepository().Exact(),
			"hostPort":   hostPort(r, false), "insecureHostPort": hostPort(r, true),
		}) {
			out[key] = value
		}
		return out
	}),
	"reference.parse": over(func(in struct{ Spec string }) any {
		r, err := pullspec.Parse(in.Spec)
		if err != nil {
			return failed
		}
		return fields(r)
	}),
	"reference.forms": over(func(in struct{ Ref pullspec.Reference }) any {
		r := in.Ref
		return object{
			"nameString": r.NameString(), "exact": r.Exact(), "string": r.String(), "repositoryName": r.RepositoryName(),
			"registryURL": r.RegistryURL(), "isDockerHub": r.IsDockerHub(),
			"registryHostPort": hostPort(r, false), "registryHostPortInsecure": hostPort(r, true),
			"asRepository": fields(r.AsRepository()), "asV2": fields(r.AsV2()), "minimal": fields(r.Minimal()),
			"daemonMinimal": fields(r.DaemonMinimal()), "mostSpecific": fields(r.MostSpecific()),
			"dockerClientDefaults": fields(r.DockerClientDefaults()),
		}
	}),
	"reference.equal": over(func(in struct{ A, B pullspec.Reference }) any { return object{"equal": in.A.Equal(in.B)} }),
	"reference.names": over(func(in nameInput) any {
		tagStream, tag, _ := pullspec.SplitTag(in.Name)
		imageStream, id, _ := pullspec.SplitImage(in.Name)
		split, splitID := splitTag(in.Name), splitImage(in.Name)
		split["joined"] = pullspec.JoinTag(tagStream, tag)
		splitID["joined"] = pullspec.JoinImage(imageStream, id)
		return object{
			"splitTag": split, "splitImage": splitID,
			"parseTag": parseTag(in.Name), "parseImage": parseImage(in.Name),
		}
	}),
	"reference.digest": over(func(in nameInput) any {
		return object{"valid": pullspec.IsDigest(in.Digest), "match": pullspec.MatchImageID(in.Digest, in.Prefix)}
	}),
}

var failed = object{"error": true}

func fields(r pullspec.Reference) object {
	return object{"registry": r.Registry, "namespace": r.Namespace, "name": r.Name, "tag": r.Tag, "id": r.ID}
}

func hostPort(r pullspec.Reference, insecure bool) []string {
	host, port := r.RegistryHostPort(insecure)
	return []string{host, port}
}

func splitTag(name string) object {
	stream, tag, ok := pullspec.SplitTag(name)
	return object{"name": stream, "tag": tag, "ok": ok}
}

func splitImage(name string) object {
	stream, id, ok := pullspec.SplitImage(name)
	return object{"name": stream, "id": id, "ok": ok}
}

func parseTag(name string) object {
	stream, tag, err := pullspec.ParseTag(name)
	if err != nil {
		return failed
	}
	return object{"name": stream, "tag": tag}
}

func parseImage(name string) object {
	stream, id, err := pullspec.ParseImage(name)
	if err != nil {
		return failed
	}
	return object{"name": stream, "id": id}
}
