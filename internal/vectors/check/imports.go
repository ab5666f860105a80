package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
	"github.com/imagestreams/imagestreams/importer/polite"
	"github.com/imagestreams/imagestreams/importer/registries"
	"github.com/imagestreams/imagestreams/internal/real"
)

// importOps are the ops of the areas import, needsimport and schedule.
var importOps = map[string]runner{
	"import.allowed":        importAllowed,
	"import.prioritize":     prioritize,
	"import.run":            runImport(asReal),
	"import.sequence":       runImports(asReal),
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
	case real.IsNotImportable(status):
		failure = "notImportable"
	default:
		failure = "error"
	}
	return map[string]any{
		"needsImport": need.Needed,
		"partial":     need.Partial,
		"import":      need.Import,
		"tags":        targets(need.Import),
		"notified":    need.Needed,
		"error":       failure,
		"retried":     failure != "",
		"observed":    observed,
	}, nil
}

func scheduledImport(c *call) (any, error) {
	var in posted
	if err := c.in(&in); err != nil {
		return nil, err
	}
	need, scheduled := importer.ScheduledImport(in.Stream)
	status, failed := in.status()
	kept := scheduled && !(failed && need.Import != nil && real.IsNotImportable(status))
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
		Config   registries.Configuration
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
	r := registries.New(registries.Configuration{AllowedRegistries: in.AllowedRegistries})
	return map[string]any{"allowed": importer.IsAllowed(r.Allowlist(env.InternalRegistry), in.From, in.Insecure)}, nil
}

// importStep is an import of a case, with what happens to the registry before.
type importStep struct {
	Import *imagestream.ImageStreamImport
	Faults []fakes.Fault
	Retag  map[string]map[string]string
}

// importInput is what import.run and import.sequence have in common.
type importInput struct {
	Registry struct{ Hosts map[string]json.RawMessage }
	Config   struct {
		registries.Configuration
		MaxTags                int
		Secrets                []keyring.Config
		UserMayCreate          []string
		LimitImages, LimitTags *int64
	}
}

// importRun is a store and a registry that imports run on.
type importRun struct {
	store    *caseStore
	registry *fakes.Registry
	importer *importer.Importer
}

func newImportRun(env stored, in importInput, mode importMode) *importRun {
	env.AllowedRegistries = in.Config.AllowedRegistries
	r := &importRun{store: &caseStore{stored: env}, registry: &fakes.Registry{}}
	for name, raw := range in.Registry.Hosts {
		r.registry.EditHost(name, func(h *fakes.Host) {
			if err := json.Unmarshal(raw, h); err != nil {
				panic(err) // of a case that is no case
			}
			if h.Repositories == nil {
				h.Repositories = fakes.Contents{}
			}
		})
	}
	ring := keyring.New(in.Config.Secrets...)
	r.importer = &importer.Importer{
		Registry: polite.Retry{
			Registry: r.registry,
			Again:    real.RetryRegistry,
			Wait:     func(context.Context, time.Duration) error { return nil },
		},
		Engine: &write.Engine{
			Store: r.store, Authorizer: r.store, Now: func() time.Time { return env.Now }, Attempts: 1,
			Settings: imagestream.Settings{
				InternalRegistry:  env.InternalRegistry,
				ExternalRegistry:  env.ExternalRegistry,
				AllowedRegistries: env.AllowedRegistries,
				Limits:            imagestream.Limits{Images: in.Config.LimitImages, ImageTags: in.Config.LimitTags},
			},
		},
		Concurrency:  mode.concurrency,
		Refetch:      mode.refetch,
		Registries:   registries.New(in.Config.Configuration),
		MaxTags:      in.Config.MaxTags,
		Unrestricted: len(in.Config.UserMayCreate) > 0,
		Secrets:      func(context.Context, string) (importer.CredentialFinder, error) { return ring, nil },
	}
	if in.Config.MaxTags == 0 {
		r.importer.Registry = real.WithoutTags{Registry: r.importer.Registry}
	}
	return r
}

// retag lets tags point at other digests, or removes them.
func retag[D ~string](tags map[string]D, moved map[string]string) {
	for tag, d := range moved {
		if d == "" {
			delete(tags, tag)
		} else {
			tags[tag] = D(d)
		}
	}
}

// step runs an import.
func (r *importRun) step(s importStep) (any, error) {
	key := imagestream.Key{Namespace: s.Import.Metadata.Namespace, Name: s.Import.Metadata.Name}
	for name, tags := range s.Retag {
		host, path, _ := strings.Cut(name, "/")
		r.registry.Edit(host, func(c fakes.Contents) { retag(c[path].Tags, tags) })
	}
	r.registry.SetFaults(s.Faults...)
	r.store.target, r.store.attempt, r.store.written = key, 0, false
	before := map[string]bool{}
	for _, image := range r.store.Images {
		before[image.Metadata.Name] = true
	}
	done, err := r.importer.Import(context.Background(), s.Import)
	answer := object{"ok": err == nil}
	if err != nil {
		shown, unknown := failure(err)
		if unknown != nil {
			return nil, unknown
		}
		var status *imagestream.StatusError
		errors.As(err, &status)
		answer["status"] = object{"reason": status.Reason, "code": status.Reason.Code()}
		for name, value := range shown.(object) {
			answer[name] = value
		}
	} else {
		answer["status"] = shownStatus(done)
	}
	var created []string
	for _, image := range r.store.Images {
		if !before[image.Metadata.Name] {
			created = append(created, image.Metadata.Name)
		}
	}
	slices.Sort(created)
	answer["createdImages"], answer["written"] = created, r.store.written
	if shown, ok := r.store.shownStream(key).(*imagestream.ImageStream); ok {
		shown.TypeMeta, shown.Metadata.UID, shown.Metadata.ResourceVersion = imagestream.TypeMeta{}, "", ""
		answer["stream"] = shown
	}
	return answer, nil
}

// shownStatus reduces the answer of an import as the vectors do.
func shownStatus(done *imagestream.ImageStreamImport) any {
	entries := func(list []imagestream.ImageImportStatus) (shown []object) {
		for _, s := range list {
			o := object{"status": reduced(s.Status), "tag": s.Tag, "image": shownImage(s.Image)}
			if s.Tag == "" {
				delete(o, "tag")
			}
			var manifests []any
			for i := range s.Manifests {
				manifests = append(manifests, shownImage(&s.Manifests[i]))
			}
			o["manifests"] = manifests
			shown = append(shown, o)
		}
		return shown
	}
	status := object{"images": entries(done.Status.Images)}
	if found := done.Status.Repository; found != nil {
		status["repository"] = object{
			"status":         reduced(found.Status),
			"images":         entries(found.Images),
			"additionalTags": found.AdditionalTags,
		}
	}
	return status
}

// reduced is a status without its words.
func reduced(s imagestream.Status) object {
	o := object{"status": s.Status}
	if s.Reason != "" {
		o["reason"] = s.Reason
	}
	if s.Code != 0 {
		o["code"] = s.Code
	}
	return o
}

func shownImage(image *imagestream.Image) any {
	if image == nil {
		return nil
	}
	shown := object{
		"name":                         image.Metadata.Name,
		"annotations":                  image.Metadata.Annotations,
		"dockerImageReference":         image.DockerImageReference,
		"dockerImageManifestMediaType": image.DockerImageManifestMediaType,
		"dockerImageLayers":            image.DockerImageLayers,
	}
	var manifests []object
	for _, m := range image.DockerImageManifests {
		o := object{
			"digest":       m.Digest,
			"mediaType":    m.MediaType,
			"manifestSize": m.ManifestSize,
			"architecture": m.Architecture,
			"os":           m.OS,
		}
		if m.Variant != "" {
			o["variant"] = m.Variant
		}
		manifests = append(manifests, o)
	}
	shown["dockerImageManifests"] = manifests
	if image.DockerImageManifest != "" {
		shown["hasManifest"] = true
	}
	if image.DockerImageConfig != "" {
		shown["hasConfig"] = true
	}
	if m, err := manifest.Metadata(image); err == nil {
		metadata := object{}
		if m.ID != "" {
			metadata["Id"] = m.ID
		}
		if m.Size != 0 {
			metadata["Size"] = m.Size
		}
		if m.Architecture != "" {
			metadata["Architecture"] = m.Architecture
		}
		if !m.Created.IsZero() {
			metadata["Created"] = m.Created
		}
		shown["dockerImageMetadata"] = metadata
	}
	return shown
}

// importMode is how an importer asks.
type importMode struct {
	concurrency int
	refetch     bool
}

// asReal asks for everything, one after the other.
var asReal = importMode{1, true}

func runImport(mode importMode) runner {
	return func(c *call) (any, error) {
		var env stored
		var in importInput
		var step importStep
		if err := errors.Join(c.env(&env), c.in(&in), c.in(&step)); err != nil {
			return nil, err
		}
		return newImportRun(env, in, mode).step(step)
	}
}

func runImports(mode importMode) runner {
	return func(c *call) (any, error) {
		var env stored
		var in importInput
		var steps struct{ Steps []importStep }
		if err := errors.Join(c.env(&env), c.in(&in), c.in(&steps)); err != nil {
			return nil, err
		}
		r := newImportRun(env, in, mode)
		var answers []any
		for _, s := range steps.Steps {
			answer, err := r.step(s)
			if err != nil {
				return nil, err
			}
			answers = append(answers, answer)
		}
		return object{"steps": answers}, nil
	}
}
