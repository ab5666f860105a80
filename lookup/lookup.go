// Package lookup turns short names in workloads and builds into exact images, and judges whether images may run:
// what a cluster does at admission, for anybody, and to be seen.
//
// # Which references are looked up
//
// The images of init containers and containers, and what builds come from. A container image that is a single name
// with an optional tag, "nodejs:20", is looked up among the image streams of the object's namespace; one of the
// internal registry in the namespace that it says. With the annotation [ResolveNamesAnnotation] "*" on the object
// or its pod template, every reference without a digest is, by its last name and tag alone, in the object's own
// namespace. Objects with a controller stay: who made them has looked up already. In an update, what did not change
// is not looked at.
//
// # What they become
//
//  1. The stream is not there: the reference stays.
//  2. The tag's newest event has an image, and that exists: a short name becomes repository@image, by the tag's
//     reference policy. This takes a stream with spec.lookupPolicy.local, or the annotation.
//  3. The tag has no image: under the same condition the reference becomes the stream's repository with the tag, if
//     the stream has one. Whether there can be such a tag is not looked at, as in the real system.
//
// A [Config] can ask for more: that everything is rewritten which can be looked up, that what cannot is refused, and
// that images match rules. Nil is what clusters have. See conformance cases lookup-1 to
// lookup-668 and policy-669, which is the configuration of clusters.
//
// # How
//
// [NewPolicy] prepares a configuration. [Policy.Review] is pure: it takes an object and the streams and images that
// are known, and returns what changes, what is refused, and what it needs to know besides; with that it is called
// again. A [Resolver] does so on any reader, and reads each stream once. [Apply] makes the changed object,
// [ApplyJSON] the changed bytes, in which nothing but the references differs, [PatchOf] a JSON patch for an
// admission webhook. Objects are JSON trees, as encoding/json makes them, so any version of any API will do.
//
// A controller that resolves again when a tag moves needs the short names that a rewritten object had:
// [Resolver.Renew] keeps them in an annotation, [ShortNamesAnnotation].
//
// # Differences from OpenShift
//
// The real system keeps images it has seen for a minute, with annotations of the tag they were seen under, and
// judges by that; here every review judges by what it is given. What a rule cannot read of an image without a
// configuration are no labels, where the real system fails. [Options] look further than the real system does, and
// are off. A [Source] without images, such as [Streams], resolves from histories alone; what it decides so is marked
// as assumed.
//
// As in the real system, a name with a dot ("my.app:20") reads as the host of a registry, so a stream with such a name
// can never be a short name, whatever its lookup policy says; the reason is [WhyHost]. See conformance case lookup-63.
package lookup

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/internal/podspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// ResolveNamesAnnotation makes every name of a workload a name of an image stream, if it is "*".
const ResolveNamesAnnotation = "alpha.image.policy.openshift.io/resolve-names"

// Policy is a configuration, ready to review objects. The zero Policy looks nothing up; [NewPolicy] makes the
// default. It is safe for concurrent use.
type Policy struct {
	config Config
	rules  *Rules
}

// NewPolicy prepares a configuration; nil is that of a cluster, which has none. It is not changed. Errors are what is
// wrong with it. See conformance case policy-670.
func NewPolicy(c *Config) (*Policy, imagestream.ErrorList) {
	config := withDefaults(c)
	errs := config.validate()
	if len(errs) > 0 {
		return nil, errs
	}
	rules, err := NewRules(config.ExecutionRules)
	if err != nil {
		return nil, imagestream.ErrorList{{
			Type: imagestream.FieldInvalid, Field: configPath + ".executionRules", Detail: err.Error(),
		}}
	}
	return &Policy{config, rules}, nil
}

// Config returns the configuration with its defaults.
func (p *Policy) Config() Config { return p.config }

// defaultPolicy is that of clusters.
var defaultPolicy, _ = NewPolicy(nil)

// Request is an object to review.
type Request struct {
	// Namespace is that of the object.
	Namespace string
	Object    map[string]any
	// Update tells that the object is there already, and was Old; without Old everything is looked at.
	Update bool
	Old    map[string]any
	// Subresource is what of the object is written, such as "status"; only the object itself is reviewed.
	Subresource string
	// IgnoreRules are names of execution rules that the namespace does not want, by its annotation
	// [IgnoreRulesAnnotation]: as it stands there, joined by commas.
	IgnoreRules string
	// Validate changes nothing any more: it judges the object as it is.
	Validate bool
	Options  Options
}

// IgnoreRulesAnnotation names, on a namespace, execution rules that do not hold there.
const IgnoreRulesAnnotation = "alpha.image.policy.openshift.io/ignore-rules"

// Known is what a review may know of the world.
type Known struct {
	// InternalRegistry is the host of the registry that streams are served from, "" if there is none.
	InternalRegistry string
	// Streams and Images are what was read. One that does not exist is there as nil; one that was not read is not
	// there, and comes back in [Review.Needs].
	Streams map[imagestream.Key]*imagestream.ImageStream
	Images  map[string]*imagestream.Image
	// NoImages tells that no image can be read. Those in the histories of streams count as existing, and what was
	// decided so is marked as assumed; rules see an image of which nothing is known.
	NoImages bool
}

// Needs is what a review must know.
type Needs struct {
	Streams []imagestream.Key
	Images  []string
}

// IsEmpty reports whether nothing is needed.
func (n Needs) IsEmpty() bool { return len(n.Streams) == 0 && len(n.Images) == 0 }

// Review is what comes of an object. It counts once Needs is empty.
type Review struct {
	// Changes are what the references become; none if the object is refused.
	Changes []Change
	// Refused says why the object is refused; nil if it is not.
	Refused *imagestream.StatusError
	// Skipped is why nothing in the object was looked at; "" if it was.
	Skipped Why
	// Needs is what must be known before, sorted, without repeats.
	Needs Needs
	// Decisions tell of every reference, in order, if the options ask for it.
	Decisions []Decision
}

// Change is a text in an object that becomes another one.
type Change struct {
	// Path is a JSON pointer to it.
	Path string `json:"path"`
	// From and To are the texts. An empty To removes the member.
	From string `json:"from"`
	To   string `json:"to"`
	Why  Why    `json:"why"`
	// Stream, Tag and Event are what decided, where a stream did.
	Stream imagestream.Key `json:"stream"`
	Tag    string          `json:"tag,omitempty"`
	Event  tagevent.Event  `json:"event"`
	// Assumed tells that the image is in the tag's history, and whether it still exists is not known; see [ErrNoImages].
	Assumed bool `json:"assumed,omitempty"`
}

// Decision is what was done with a reference.
type Decision struct {
	Reference
	// Tried are the tags that were looked up, in order.
	Tried []Tried
	// To is what the reference becomes; "" if it stays.
	To  string
	Why Why
	// Refused tells that the object is refused because of it.
	Refused bool
	// Assumed tells that the image is in a history, and whether it still exists is not known; see [ErrNoImages].
	Assumed bool
}

// Tried is a tag that was looked up.
type Tried struct {
	Stream imagestream.Key
	Tag    string
}

// Review says what becomes of an object. It is pure: nothing is read, and nothing of its arguments changed; changes
// share no memory with them. See conformance case lookup-1.
func (p *Policy) Review(req *Request, known *Known) Review {
	var r review
	r.policy, r.req, r.known = p, req, known
	r.resource = resourceOf(req.Object, &req.Options)
	switch {
	case req.Subresource != "":
		return Review{Skipped: WhySubresource}
	case hasController(req.Object):
		return Review{Skipped: WhyController}
	case !r.cover():
		return Review{Skipped: WhyUncovered}
	}
	r.force = resolvesNames(req.Object)
	r.readsImages = r.required || r.rewrites || r.judges
	if metadata, _ := req.Object["metadata"].(map[string]any); metadata != nil && r.req.Namespace == "" {
		r.namespace, _ = metadata["namespace"].(string)
	}
	r.namespace = cmp.Or(req.Namespace, r.namespace)
	if req.IgnoreRules != "" {
		r.ignored = strings.Split(req.IgnoreRules, ",")
	}
	if err := visit(req.Object, req.Old, &req.Options, func(ref reference) { r.visit(ref) }); err != nil {
		r.out.Refused = imagestream.NewError(imagestream.ReasonForbidden, r.resource.String(), r.objectKey(), err.Error())
		return r.out
	}
	return r.finish()
}

// review is one review on its way.
type review struct {
	policy    *Policy
	req       *Request
	known     *Known
	resource  GroupResource
	namespace string
	ignored   []string
	force     bool

	judges      bool // an execution rule is for this kind of object
	resolves    bool // references are looked up
	required    bool // what cannot be looked up is refused
	localNames  bool // short names are rewritten
	rewrites    bool // everything that can be looked up is rewritten
	readsImages bool // images by digest matter

	decided map[string][]reference // by their names
	// last is the name that was rewritten last, and what it became: the containers of a pod often share one.
	last struct {
		name, to string
		res      resolved
	}
	errs imagestream.ErrorList
	out  Review
}

// cover reads the policy for the kind of object, and reports whether it is for it at all.
func (r *review) cover() bool {
	covered := false
	for _, rule := range r.policy.config.ResolutionRules {
		if r.resource.isIn(rule.TargetResource) {
			covered = true
			r.localNames = r.localNames || rule.LocalNames
			r.rewrites = r.rewrites || rule.Policy.rewrites()
		}
	}
	r.judges = r.policy.rules != nil && r.policy.rules.Covers(r.resource)
	global := r.policy.config.ResolveImages
	_, isKnown := known(r.req.Object, &r.req.Options)
	if !covered && (r.req.Options.Uncovered || isKnown) && r.resource != (GroupResource{}) {
		covered, r.localNames = true, true
	} else if !covered {
		r.rewrites = global.rewrites()
	}
	r.resolves = global.attempts() || covered
	r.required = global.requires()
	return covered || r.judges
}

// resourceOf names the kind of an object as rules do.
func resourceOf(object map[string]any, opts *Options) GroupResource {
	group, kind := podspec.GroupKind(object)
	if w, ok := podspec.Find(group, kind); ok {
		return GroupResource{group, w.Resource}
	}
	if group == "build.openshift.io" && kind == "Build" {
		return GroupResource{group, "builds"}
	}
	if group == "build.openshift.io" && kind == "BuildConfig" {
		return GroupResource{group, "buildconfigs"}
	}
	if k, ok := known(object, opts); ok {
		return GroupResource{group, k.resource}
	}
	for _, p := range opts.Paths {
		if p.Group == group && p.Kind == kind {
			return GroupResource{group, strings.ToLower(kind)}
		}
	}
	return GroupResource{}
}

func (r *review) objectKey() imagestream.Key {
	metadata, _ := r.req.Object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return imagestream.Key{Namespace: r.namespace, Name: name}
}

func hasController(object map[string]any) bool {
	metadata, _ := object["metadata"].(map[string]any)
	owners, _ := metadata["ownerReferences"].([]any)
	for _, o := range owners {
		owner, _ := o.(map[string]any)
		if controller, _ := owner["controller"].(bool); controller {
			return true
		}
	}
	return false
}

// resolved is what a reference was looked up to.
type resolved struct {
	reference  pullspec.Reference
	image      *imagestream.Image
	tagNotes   map[string]string // annotations of the spec tag
	integrated bool
	local      bool // by a short name, or for a tag without image
	assumed    bool // whether the image exists is not known
	why        Why
	stream     imagestream.Key
	tag        string
	event      tagevent.Event
}

// visit decides one reference.
func (r *review) visit(ref reference) {
	if ref.name == r.last.name && ref.from == nil && ref.name != "" && !ref.same && ref.why == "" {
		r.change(ref.at, ref.name, r.last.to, r.last.res)
		return
	}
	d := decision{ref: ref}
	defer r.note(&d)
	if ref.why != "" {
		d.why = ref.why
		return
	}
	if ref.same {
		d.why = WhyUnchanged
		return
	}
	if r.wasDecided(ref) {
		d.why = WhyDecided
		return
	}
	var res resolved
	ok := false
	if r.resolves {
		res, ok = r.resolve(ref, &d)
		if d.unknown {
			return
		}
		d.assumed = res.assumed
	}
	switch {
	case !ok && r.resolves && r.required:
		r.decide(ref)
		r.refuse(&d, WhyRequired)
		return
	case ok && r.mayRewrite(res, &d):
		r.rewrite(&ref, res, &d)
	}
	if r.judges && !r.accepts(ref, res, ok) {
		r.decide(ref)
		r.refuse(&d, WhyRefused)
		return
	}
	r.decide(ref)
}

// decide remembers a reference as it is now: it is refused once at most. Where nothing is refused, nothing is
// remembered.
func (r *review) decide(ref reference) {
	if r.judges || r.required {
		if r.decided == nil {
			r.decided = map[string][]reference{}
		}
		r.decided[ref.name] = append(r.decided[ref.name], ref)
	}
}

func (r *review) wasDecided(ref reference) bool {
	return slices.ContainsFunc(r.decided[ref.name], ref.equal)
}

// mayRewrite reports whether the policy wants the reference rewritten.
func (r *review) mayRewrite(res resolved, d *decision) bool {
	runs := r.resource == GroupResource{"batch", "jobs"} || r.resource == GroupResource{"build.openshift.io", "builds"}
	switch {
	case r.req.Update && runs:
		d.why = WhyUpdate
		return false
	case r.localNames && res.local || r.rewrites:
		return true
	}
	d.why = cmp.Or(d.why, WhyNoPolicy)
	return false
}

// rewrite notes what a reference becomes, and makes it that.
func (r *review) rewrite(ref *reference, res resolved, d *decision) {
	to := res.reference.Exact()
	d.to, d.why = to, res.why
	if to == ref.name && (ref.from == nil || ref.kind == imagestream.KindDockerImage && ref.namespace == "") {
		d.to, d.why = "", WhySame
	}
	if !r.req.Validate {
		r.change(ref.at, ref.name, to, res)
		if ref.from == nil && !r.req.Options.Explain && !r.judges && !r.required {
			r.last.name, r.last.to, r.last.res = ref.name, to, res
		}
		if ref.from != nil {
			r.changeMember(*ref, "kind", ref.kind, imagestream.KindDockerImage, res)
			r.changeMember(*ref, "namespace", ref.namespace, "", res)
		}
	}
	ref.kind, ref.namespace, ref.name = imagestream.KindDockerImage, "", to
}

func (r *review) change(at location, from, to string, res resolved) {
	if from == to {
		return
	}
	if r.out.Changes == nil {
		r.out.Changes = make([]Change, 0, 4)
	}
	r.out.Changes = append(r.out.Changes, Change{
		Path: at.pointer(), From: from, To: to, Why: res.why, Stream: res.stream, Tag: res.tag, Event: res.event,
		Assumed: res.assumed,
	})
}

// changeMember changes a member beside the name of a build's reference.
func (r *review) changeMember(ref reference, member, from, to string, res resolved) {
	if _, ok := ref.from[member]; !ok && to == "" {
		return
	}
	at := ref.at
	at.leaf = "from/" + member
	r.change(at, from, to, res)
}

// accepts judges a reference by the execution rules.
func (r *review) accepts(ref reference, res resolved, ok bool) bool {
	a := Attributes{Resource: r.resource, Ignored: r.ignored}
	switch {
	case ok:
		a.Reference, a.Integrated, a.Image = res.reference, res.integrated, res.image
		if res.image != nil && len(res.tagNotes) > 0 {
			image := *res.image
			image.Metadata.Annotations = maps.Clone(image.Metadata.Annotations)
			if image.Metadata.Annotations == nil {
				image.Metadata.Annotations = map[string]string{}
			}
			maps.Copy(image.Metadata.Annotations, res.tagNotes)
			a.Image = &image
		}
	case ref.kind == imagestream.KindDockerImage:
		a.Reference, _ = pullspec.Parse(ref.name)
	}
	return r.policy.rules.Accept(a)
}

// decision is a [Decision] on its way.
type decision struct {
	ref     reference
	tried   []Tried
	to      string
	why     Why
	unknown bool
	refused bool
	assumed bool
}

func (r *review) refuse(d *decision, why Why) {
	d.to, d.why, d.refused = "", why, true
	r.errs = append(r.errs, &imagestream.FieldError{
		Type: imagestream.FieldForbidden, Field: d.ref.at.field(), Value: d.ref.name, Detail: why.Message(),
	})
}

// note tells what was decided, to those who asked.
func (r *review) note(d *decision) {
	if !r.req.Options.Explain || d.unknown {
		return
	}
	r.out.Decisions = append(r.out.Decisions, Decision{
		Reference: d.ref.public(),
		Tried:     d.tried, To: d.to, Why: d.why, Refused: d.refused, Assumed: d.assumed,
	})
}

// finish returns what came of all references.
func (r *review) finish() Review {
	if len(r.errs) > 0 {
		r.out.Changes = nil
		r.out.Refused = r.errs.Of(r.resource.String(), r.objectKey())
	}
	n := &r.out.Needs
	slices.SortFunc(n.Streams, imagestream.Key.Compare)
	n.Streams = slices.Compact(n.Streams)
	slices.Sort(n.Images)
	n.Images = slices.Compact(n.Images)
	return r.out
}
