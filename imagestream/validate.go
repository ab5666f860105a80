package imagestream

import (
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// InsecureRepositoryAnnotation is the annotation that makes every source of a stream insecure, if it is
// exactly "true".
const InsecureRepositoryAnnotation = "openshift.io/image.insecureRepository"

// maxKey is the limit of namespace, "/" and name together, in bytes.
const maxKey = 255

// Validate returns what is wrong with the metadata of an object whose name may be any path segment,
// and that belongs to a namespace or to none.
func (m *ObjectMeta) Validate(namespaced bool) ErrorList {
	return validateMetadata(m, pathSegmentRule, namespaced)
}

// ValidateUpdate returns what an update changes that it may not. See conformance case stream-0085.
func (m *ObjectMeta) ValidateUpdate(next *ObjectMeta) (errs ErrorList) {
	immutable := func(field string, same bool, value any) {
		if !same {
			errs.add(FieldInvalid, "metadata."+field, value, "this cannot be changed once the image stream exists")
		}
	}
	immutable("name", next.Name == m.Name, next.Name)
	immutable("namespace", next.Namespace == m.Namespace, next.Namespace)
	immutable("uid", next.UID == m.UID, next.UID)
	immutable("creationTimestamp", next.CreationTimestamp == m.CreationTimestamp, next.CreationTimestamp)
	immutable("deletionTimestamp", equalPtr(next.DeletionTimestamp, m.DeletionTimestamp), nil)
	immutable("deletionGracePeriodSeconds", equalPtr(next.DeletionGracePeriodSeconds, m.DeletionGracePeriodSeconds), nil)
	if next.Generation < m.Generation {
		errs.add(FieldInvalid, "metadata.generation", next.Generation, "a generation never falls")
	}
	if m.DeletionTimestamp != nil {
		for _, f := range next.Finalizers {
			if !slices.Contains(m.Finalizers, f) {
				errs.add(FieldForbidden, "metadata.finalizers", f, "a stream that is being deleted gets no new finalizer")
			}
		}
	}
	return errs
}

// validate applies the rules for a whole stream, but for its metadata. See conformance cases stream-0020 to
// stream-0037.
func (t *transition) validate() {
	s := &t.d.stream
	if key := s.Key().String(); len(key) > maxKey {
		t.errs.add(FieldInvalid, "metadata.name", s.Metadata.Name,
			fmt.Sprintf("namespace and name have %d bytes together at most, with a slash between, not %d", maxKey, len(key)))
	}
	v := t.newValidator()
	v.repository()
	for i := range s.Spec.Tags {
		v.tag(&s.Spec.Tags[i], tagPath{name: s.Spec.Tags[i].Name})
	}
	for _, h := range t.d.status.all() {
		v.history(h)
	}
}

type validator struct {
	*transition
	// insecure tells that the stream's annotation makes every source insecure.
	insecure bool
	allowed  Allowlist
	// widened tells that allowed has what the old stream referred to.
	widened bool
}

func (t *transition) newValidator() *validator {
	return &validator{
		transition: t,
		insecure:   t.d.stream.Metadata.Annotations[InsecureRepositoryAnnotation] == "true",
		allowed:    t.env.Allowlist(),
	}
}

// transport returns how a source is spoken to.
func (v *validator) transport(insecure bool) transport {
	if v.insecure || insecure {
		return anyTransport
	}
	return overTLS
}

// admits reports whether images may come from r. What the old stream referred to is admitted on any update,
// and that is looked at only when the list itself says no.
func (v *validator) admits(r pullspec.Reference, over transport) bool {
	if v.allowed.allows(r, over) {
		return true
	}
	if v.widened || v.old == nil {
		return false
	}
	v.widened = true
	v.allowed = v.allowed.WithRepositories(v.oldPullSpecs()...)
	return v.allowed.allows(r, over)
}

// oldPullSpecs lists everything that the old stream refers to. See conformance cases stream-0039 to
// stream-0046 and stream-0083.
func (v *validator) oldPullSpecs() []string {
	specs := []string{v.old.Spec.DockerImageRepository}
	for _, tag := range v.old.Spec.Tags {
		if tag.From != nil && tag.From.Kind == KindDockerImage {
			specs = append(specs, tag.From.Name)
		}
	}
	status := v.old.Status.Tags
	if v.sharedStatus {
		// Upstream quirk (stream-0084): this has the pull specs that the update has just added.
		status = v.d.status.all()
	}
	for _, h := range status {
		for _, e := range h.Items {
			specs = append(specs, e.DockerImageReference)
		}
	}
	return specs
}

const notAllowedDetail = "images may not come from this registry: see the allowed registries for import"

func (v *validator) repository() {
	const path = "spec.dockerImageRepository"
	spec := v.d.stream.Spec.DockerImageRepository
	if spec == "" {
		return
	}
	r, err := pullspec.Parse(spec)
	switch {
	case err != nil:
		v.errs.add(FieldInvalid, path, spec, pullspec.Reason(err))
	case r.Tag != "" || r.ID != "":
		v.errs.add(FieldInvalid, path, spec, "a repository has neither tag nor digest: write "+r.AsRepository().Exact())
	case !v.admits(r, v.transport(false)):
		v.errs.add(FieldForbidden, path, spec, notAllowedDetail)
	}
}

// Validate returns what is wrong with a spec tag by itself, path being where it stands: "tag" in an image
// stream tag, "spec" in an image tag. Insecure tells that an annotation of the object makes every source
// insecure.
func (t TagReference) Validate(path string, insecure bool, allowed Allowlist) ErrorList {
	v := &validator{transition: &transition{}, insecure: insecure, allowed: allowed}
	v.tag(&t, tagPath{path: path})
	return v.errs
}

// tagPath is where a spec tag stands: in a list by its name, or at a path of its own.
type tagPath struct{ path, name string }

func (p tagPath) field(name string) string {
	if p.path != "" {
		return p.path + "." + name
	}
	return "spec.tags[" + p.name + "]." + name
}

func (v *validator) tag(tag *TagReference, at tagPath) {
	if tag.From != nil {
		v.source(tag, at)
	}
	if p := tag.ReferencePolicy.Type; p != ReferencePolicySource && p != ReferencePolicyLocal {
		v.errs.add(FieldInvalid, at.field("referencePolicy.type"), string(p), "the reference policy is Source or Local")
	}
	if m := tag.ImportPolicy.ImportMode; m != ImportModeLegacy && m != ImportModePreserveOriginal && m != "" {
		v.errs.add(
			FieldInvalid,
			at.field("importPolicy.importMode"),
			string(m),
			"the import mode is Legacy or PreserveOriginal",
		)
	}
}

func (v *validator) source(tag *TagReference, at tagPath) {
	name := tag.From.Name
	if name == "" {
		v.errs.add(FieldRequired, at.field("from.name"), nil, "name the source, or leave out from")
	}
	switch tag.From.Kind {
	case KindDockerImage:
		var r pullspec.Reference
		if name != "" {
			var err error
			if r, err = pullspec.Parse(name); err != nil {
				v.errs.add(FieldInvalid, at.field("from.name"), name, pullspec.Reason(err))
				return
			}
		}
		// Upstream quirk: an empty name is looked up in the list like docker.io.
		if !v.admits(r, v.transport(tag.ImportPolicy.Insecure)) {
			v.errs.add(FieldForbidden, at.field("from.name"), name, notAllowedDetail)
		}
	case KindImageStreamTag, KindImageStreamImage:
		if tag.ImportPolicy.Scheduled {
			v.errs.add(FieldInvalid, at.field("importPolicy.scheduled"), true, "only a DockerImage is imported again and again")
		}
	default:
		v.errs.add(FieldRequired, at.field("from.kind"), tag.From.Kind,
			"the kind is DockerImage, ImageStreamTag or ImageStreamImage")
	}
}

func (v *validator) history(h tagevent.History) {
	insecure, known := false, false
	good := "" // the repository of an event that is right, with the @ behind it
	for i := range h.Items {
		spec := h.Items[i].DockerImageReference
		if n := len(good); n > 0 && len(spec) > n && spec[:n] == good && pullspec.IsDigest(spec[n:]) {
			continue
		}
		if spec == "" {
			v.errs.add(FieldRequired, eventPath(h.Tag, i), nil, "an event has a pull spec")
			continue
		}
		r, err := pullspec.Parse(spec)
		if err != nil {
			v.errs.add(FieldInvalid, eventPath(h.Tag, i), spec, pullspec.Reason(err))
			continue
		}
		if v.allowed.restricted {
			if !known {
				tag, ok := findTag(v.d.stream.Spec.Tags, h.Tag)
				insecure, known = ok && tag.ImportPolicy.Insecure, true
			}
			if !v.admits(r, v.transport(insecure)) {
				v.errs.add(FieldForbidden, eventPath(h.Tag, i), spec, notAllowedDetail)
				continue
			}
		}
		if r.ID != "" && r.Name != "" {
			good = spec[:len(spec)-len(r.ID)]
		}
	}
}

func eventPath(tag string, i int) string {
	return fmt.Sprintf("status.tags[%s].items[%d].dockerImageReference", tag, i)
}

// validateNewReferences checks the pull specs that a status update brings in. See conformance cases
// streamstatus-0002 to streamstatus-0007.
func (t *transition) validateNewReferences() {
	v := t.newValidator()
	var before, insecure map[string]bool
	for _, h := range t.d.status.all() {
		if old, _ := findHistory(t.old.Status.Tags, h.Tag); slices.Equal(old.Items, h.Items) {
			continue
		}
		for i := range h.Items {
			spec := h.Items[i].DockerImageReference
			if before == nil {
				before, insecure = referencesOf(t.old.Status.Tags), t.insecureReferences()
			}
			if before[spec] {
				continue
			}
			r, err := pullspec.Parse(spec)
			if err != nil {
				t.errs.add(FieldInvalid, eventPath(h.Tag, i), spec, pullspec.Reason(err))
			} else if !v.allowed.allows(r, v.transport(insecure[spec])) {
				t.errs.add(FieldForbidden, eventPath(h.Tag, i), spec, notAllowedDetail)
			}
		}
	}
}

func referencesOf(histories []tagevent.History) map[string]bool {
	specs := map[string]bool{}
	for _, h := range histories {
		for i := range h.Items {
			specs[h.Items[i].DockerImageReference] = true
		}
	}
	return specs
}

// insecureReferences has the pull specs in the new status that some insecure tag holds.
func (t *transition) insecureReferences() map[string]bool {
	specs := map[string]bool{}
	for _, h := range t.d.status.all() {
		if tag, ok := findTag(t.d.stream.Spec.Tags, h.Tag); ok && tag.ImportPolicy.Insecure {
			for i := range h.Items {
				specs[h.Items[i].DockerImageReference] = true
			}
		}
	}
	return specs
}
