package oc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

var pruneFlags = map[string]flagKind{
	"all": boolFlag, "confirm": boolFlag, "ignore-invalid-refs": boolFlag, "keep-tag-revisions": textFlag,
	"keep-younger-than": textFlag, "namespace": textFlag, "prune-over-size-limit": boolFlag, "prune-registry": boolFlag,
	"registry-url": textFlag, "safe": boolFlag, "output": textFlag,
}

// What "adm prune images" keeps if it is not told.
const (
	defaultKeepYoungerThan  = time.Hour
	defaultKeepTagRevisions = 3
)

// PrunePlan is what an "adm prune images" command asks for.
type PrunePlan struct {
	// Options are those of the decision. With a namespace in them only that one's objects are read, unless they say
	// Safe.
	Options prune.Options
	// Confirm tells that something is to be removed. Without it the command shows what would be.
	Confirm bool
	// RegistryURL is the registry's address, "" to work it out by the images and streams.
	RegistryURL string

	all bool
}

// PlanPruneImages reads an "adm prune images" command: --keep-tag-revisions, --keep-younger-than, --all,
// --prune-over-size-limit, --prune-registry, --registry-url, --namespace, --ignore-invalid-refs and --confirm as
// the real client has them, and --safe, which asks for [prune.Options.Safe]. --output=wide shows what stays, too.
// An error is of class [ErrUsage].
//
// Not here: --num-workers, since one thing is done at a time, and --certificate-authority and --force-insecure,
// which are the Registry's.
func PlanPruneImages(cmd Command) (*PrunePlan, error) {
	f, err := parseFlags(cmd.Flags, pruneFlags)
	if err != nil {
		return nil, err
	}
	if len(cmd.Args) > 0 {
		return nil, usage("adm prune images takes no arguments, and got %q", cmd.Args)
	}
	p := &PrunePlan{Confirm: f.bool("confirm"), RegistryURL: f.text("registry-url"), all: f.text("output") == "wide"}
	p.Options = prune.Options{
		OverSizeLimit: f.bool("prune-over-size-limit"), ManagedOnly: f.given("all") && !f.bool("all"),
		KeepRegistry: f.given("prune-registry") && !f.bool("prune-registry"), Namespace: f.text("namespace"),
		IgnoreInvalidReferences: f.bool("ignore-invalid-refs"), Safe: f.bool("safe"),
	}
	if output := f.text("output"); output != "" && output != "wide" {
		return nil, usage("--output=%s: want wide", output)
	}
	return p, p.keep(f)
}

// keep reads what is kept. Where size limits are asked for, or not, neither age nor number has a default.
func (p *PrunePlan) keep(f flags) error {
	younger, revisions := f.text("keep-younger-than"), f.text("keep-tag-revisions")
	if f.given("prune-over-size-limit") {
		if younger != "" || revisions != "" {
			return usage("--prune-over-size-limit goes without --keep-younger-than and --keep-tag-revisions")
		}
		return nil
	}
	age := defaultKeepYoungerThan
	if younger != "" {
		var err error
		if age, err = time.ParseDuration(younger); err != nil || age < 0 {
			return usage("--keep-younger-than=%s: want a duration such as 60m, not less than 0", younger)
		}
	}
	p.Options.KeepYoungerThan, p.Options.KeepTagRevisions = &age, defaultKeepTagRevisions
	if revisions != "" {
		n, err := strconv.Atoi(revisions)
		if err != nil || n < 0 {
			return usage("--keep-tag-revisions=%s: want a number, not less than 0", revisions)
		}
		p.Options.KeepTagRevisions = n
	}
	return nil
}

// registryAddress works the registry's address out: it is that of the newest image that was pushed to it, else
// that of the oldest stream with a repository in it. "" means that neither is there.
func registryAddress(in prune.Input) string {
	const managed = "openshift.io/image.managed"
	var newest *imagestream.Image
	for at := range in.Images {
		i := &in.Images[at]
		if i.Metadata.Annotations[managed] == "true" && i.DockerImageReference != "" &&
			(newest == nil || i.Metadata.CreationTimestamp > newest.Metadata.CreationTimestamp) {
			newest = i
		}
	}
	var oldest *imagestream.ImageStream
	for at := range in.Streams {
		s := &in.Streams[at]
		if s.Status.DockerImageRepository != "" &&
			(oldest == nil || s.Metadata.CreationTimestamp < oldest.Metadata.CreationTimestamp) {
			oldest = s
		}
	}
	spec := ""
	switch {
	case newest != nil:
		spec = newest.DockerImageReference
	case oldest != nil:
		spec = oldest.Status.DockerImageRepository
	}
	r, err := pullspec.Parse(spec)
	if err != nil {
		return ""
	}
	return r.Registry
}

// Pruning carries out "adm prune images".
type Pruning struct {
	// API has the streams and images. It must be set.
	API rest.API
	// Workloads returns what may use images, and the limits of size, as JSON trees with their apiVersion and kind.
	// Under --safe those of all namespaces are needed, even if the command is about one: namespace is what the
	// real client would restrict them to, and "" if nothing. Nil returns nothing.
	Workloads func(ctx context.Context, namespace string) ([]map[string]any, error)
	// Registry returns what deletes from the registry at that address, which is empty if neither the command nor
	// an image nor a stream names it. It is called with --confirm only, and must be set for it unless the registry
	// is left alone.
	Registry func(address string) (prune.Registry, error)
	// Out gets what the command prints. Nil prints nothing.
	Out io.Writer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Planned is called before something is removed, with what would be; nil is not called.
	Planned func(plan *prune.Plan)
	// Trace is told of each step; nil is nobody.
	Trace *prune.Trace
}

// PruneImages carries out an "adm prune images" command. Without --confirm it prints what would be removed, and
// why. Errors are of class [ErrUsage], those of reading and of the decision, or all that failed meanwhile: then
// the rest was done, and the command can be given again.
func (p *Pruning) PruneImages(ctx context.Context, cmd Command) error {
	asked, err := PlanPruneImages(cmd)
	if err != nil {
		return err
	}
	removes := asked.Confirm && !asked.Options.KeepRegistry
	switch {
	case p.API == nil:
		return errors.New("there is no API to read images from: set Pruning.API")
	case removes && p.Registry == nil:
		return errors.New("there is no registry to delete from: set Pruning.Registry, or leave it alone with --prune-registry=false")
	}
	in, err := p.read(ctx, asked.Options)
	if err != nil {
		return err
	}
	plan, err := prune.Decide(in, asked.Options)
	var bad *prune.BadReferencesError
	if errors.As(err, &bad) {
		return fmt.Errorf("%w; mend them, or ignore them with --ignore-invalid-refs", err)
	}
	if err != nil {
		return err
	}
	if !asked.Confirm {
		return p.show(plan, asked)
	}
	registry := prune.Registry(noRegistry{})
	if removes {
		if registry, err = p.Registry(cmp.Or(asked.RegistryURL, registryAddress(in))); err != nil {
			return err
		}
	}
	if p.Planned != nil {
		p.Planned(plan)
	}
	result := plan.Run(ctx, verbs{p.API}, registry, p.Trace)
	return errors.Join(p.tell(result), result.Err())
}

// pageSize is how many images are listed at a time, as the real client does.
const pageSize = 5000

// read lists streams before images, so that an event's image is there.
func (p *Pruning) read(ctx context.Context, o prune.Options) (in prune.Input, err error) {
	now := p.Now
	if now == nil {
		now = time.Now
	}
	in.Now = now()
	namespace := o.Namespace
	if o.Safe {
		namespace = "" // whatever uses an image counts
	}
	streams := rest.ListOptions{Namespace: namespace, Limit: pageSize}
	for more := true; more; more = streams.Continue != "" {
		page, err := p.API.ImageStreams().List(ctx, streams)
		if err != nil {
			return in, fmt.Errorf("list image streams: %w", err)
		}
		in.Streams, streams.Continue = append(in.Streams, page.Items...), page.Metadata.Continue
	}
	images := rest.ListOptions{Limit: pageSize}
	for more := true; more; more = images.Continue != "" {
		page, err := p.API.Images().List(ctx, images)
		if err != nil {
			return in, fmt.Errorf("list images: %w", err)
		}
		in.Images, images.Continue = append(in.Images, page.Items...), page.Metadata.Continue
	}
	if p.Workloads == nil {
		return in, nil
	}
	if in.Workloads, err = p.Workloads(ctx, namespace); err != nil {
		return in, fmt.Errorf("list workloads: %w", err)
	}
	return in, nil
}

// verbs are the objects that a run changes, by the verbs of an API.
type verbs struct{ rest.API }

// UpdateStatus implements prune.Objects.
func (v verbs) UpdateStatus(ctx context.Context, key imagestream.Key,
	change func(*imagestream.ImageStream) (*imagestream.ImageStream, error),
) (*imagestream.ImageStream, error) {
	return v.ImageStreams().UpdateStatus(ctx, key, change, rest.UpdateOptions{})
}

// ListImageStreams implements prune.Objects.
func (v verbs) ListImageStreams(ctx context.Context, o imagestream.ListOptions) (*imagestream.ImageStreamList, error) {
	return v.ImageStreams().List(ctx, rest.ListOptions{
		Namespace: o.Namespace, Labels: o.Labels, Limit: o.Limit, Continue: o.Continue,
	})
}

// GetImage implements prune.Objects.
func (v verbs) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	return v.Images().Get(ctx, imagestream.Key{Name: name})
}

// UpdateImage implements prune.Objects.
func (v verbs) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	key := imagestream.Key{Name: image.Metadata.Name}
	stored, _, err := v.Images().Update(ctx, key, rest.Replace(image), rest.UpdateOptions{})
	return stored, err
}

// DeleteImage implements prune.Objects.
func (v verbs) DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error {
	return v.Images().Delete(ctx, imagestream.Key{Name: name}, rest.DeleteOptions{Preconditions: only})
}

func (p *Pruning) out() io.Writer {
	if p.Out == nil {
		return io.Discard
	}
	return p.Out
}

// show prints a dry run.
func (p *Pruning) show(plan *prune.Plan, asked *PrunePlan) error {
	if err := plan.Table(asked.all).Print(p.out(), describe.PrintOptions{}); err != nil {
		return err
	}
	sum := plan.Summary()
	_, err := fmt.Fprintf(p.out(), "%s would be removed, freeing %s. Nothing was; --confirm does it.\n",
		list(count(sum.Events, "event"), count(sum.Images, "image"), count(sum.Blobs, "blob")), describe.Size(sum.Freed))
	return err
}

// tell prints what was done.
func (p *Pruning) tell(r *prune.Result) error {
	_, err := fmt.Fprintf(p.out(), "%s removed, freeing %s.\n",
		list(count(r.Events, "event"), count(r.Done[prune.DeleteImage], "image"), count(r.Done[prune.DeleteBlob], "blob")),
		describe.Size(r.Freed))
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// list joins words as a sentence does.
func list(words ...string) string {
	last := len(words) - 1
	return strings.Join(slices.Clone(words[:last]), ", ") + " and " + words[last]
}

// noRegistry is a registry that is left alone.
type noRegistry struct{}

func (noRegistry) DeleteLayerLink(context.Context, imagestream.Key, string) error    { return nil }
func (noRegistry) DeleteManifestLink(context.Context, imagestream.Key, string) error { return nil }
func (noRegistry) DeleteBlob(context.Context, string) error                          { return nil }
