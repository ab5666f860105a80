package main

import (
	"cmp"
	"errors"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/registries"
)

// importOps are the ops of the areas import, needsimport and schedule.
var importOps = map[string]runner{
	"import.allowed":        importAllowed,
	"import.prioritize":     prioritize,
	"import.sources":        importSources,
	"needsimport":           needsImport,
	"needsimport.scheduled": scheduledImport,
}

func prioritize(c *call) (any, error) {
	var in struct{ Tags []string }
	if err := c.in(&in); err != nil {
		return nil, err
	}
	return map[string]any{"tags": pullspec.PrioritizeTags(in.Tags)}, nil
}

// posted is a stream, and what an API server answers the import of it.
type posted struct {
	Stream   *imagestream.ImageStream
	Response *struct {
		Code         int32
		Reason, Kind string
	}
}

// status is the answer as the server sends it.
func (p *posted) status() (s imagestream.Status, failed bool) {
	if p.Response == nil {
		return s, false
	}
	s.Code = p.Response.Code
	if p.Response.Kind != "" {
		s.Details = &imagestream.StatusDetails{Kind: p.Response.Kind}
	}
	return s, true
}

func needsImport(c *call) (any, error) {
	var in posted
	if err := c.in(&in); err != nil {
		return nil, err
	}
	need := importer.NeedsImport(in.Stream)
	observed := map[string]int64{}
	for _, tag := range in.Stream.Spec.Tags {
		h, _ := in.Stream.History(tag.Name)
		observed[tag.Name] = h.ObservedGeneration()
	}
	failure := ""
	status, failed := in.status()
	switch {
	case !failed || need.Import == nil:
	case importer.IsNotImportable(status):
		failure = "notImportable"
	default:
		failure = "error"
	}
	return map[string]any{
		"needsImport": need.Needed, "partial": need.Partial, "import": need.Import, "tags": targets(need.Import), "notified": need.Needed,
		"error": failure, "retried": failure != "", "observed": observed,
	}, nil
}

func scheduledImport(c *call) (any, error) {
	var in posted
	if err := c.in(&in); err != nil {
		return nil, err
	}
	need, scheduled := importer.ScheduledImport(in.Stream)
	status, failed := in.status()
	kept := scheduled && !(failed && need.Import != nil && importer.IsNotImportable(status))
	return map[string]any{"scheduled": scheduled, "import": need.Import, "tags": targets(need.Import), "kept": kept}, nil
}

// targets are the tags that an import is for.
func targets(imp *imagestream.ImageStreamImport) []string {
	var tags []string
	if imp != nil {
		for _, image := range imp.Spec.Images {
			tags = append(tags, image.To.Name)
		}
	}
	return tags
}

func importSources(c *call) (any, error) {
	var in struct {
		Config   registries.Config
		From     string
		Insecure bool
	}
	if err := c.in(&in); err != nil {
		return nil, err
	}
	from, err := pullspec.Parse(in.From)
	if err != nil {
		return nil, err
	}
	repository := from.DockerClientDefaults().AsRepository()
	if repository.Registry == "index.docker.io" {
		repository.Registry = "docker.io"
	}
	r := registries.New(in.Config)
	suffix := ":" + cmp.Or(from.Tag, pullspec.DefaultTag)
	if from.ID != "" {
		suffix = "@" + from.ID
	}
	sources, err := r.Sources(repository.Exact(), from.ID != "")
	for i := range sources {
		sources[i] += suffix
	}
	return map[string]any{
		"blocked": r.IsBlocked(from), "insecure": in.Insecure || r.IsInsecure(repository.Registry),
		"sources": sources, "sourcesError": err != nil, "configError": false,
	}, nil
}

func importAllowed(c *call) (any, error) {
	var env struct{ InternalRegistry string }
	var in struct {
		AllowedRegistries []imagestream.RegistryLocation
		From              string
		Insecure          bool
	}
	if err := errors.Join(c.env(&env), c.in(&in)); err != nil {
		return nil, err
	}
	r := registries.New(registries.Config{AllowedRegistries: in.AllowedRegistries})
	return map[string]any{"allowed": importer.IsAllowed(r.Allowlist(env.InternalRegistry), in.From, in.Insecure)}, nil
}
