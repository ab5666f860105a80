// Package yaml rewrites the image references in files of YAML and JSON: what package lookup does with objects, for
// the texts that people keep them in. Only the bytes of image values change; comments, quotes, indentation, anchors,
// line endings, byte order marks and everything else stay as they are.
//
// # What is read
//
// A file is a stream of documents, YAML or JSON. In each are looked at:
//
//   - Kubernetes and OpenShift objects, by the rules of package lookup, and the items of Lists;
//   - the images of a Kustomization (or Component) that have newName and newTag: newName becomes the repository, and
//     digest the exact image. A digest that is there and empty is filled; otherwise newTag becomes it, key and value;
//   - in documents without a kind, such as Helm's values, what [Options.Values] names: a text "nodejs:20", or a mapping
//     with repository and tag, and maybe registry, as most charts have it. An exact image is written to its digest
//     member, which must be there, if empty;
//   - with [lookup.Options.KnownKinds], the values of Flux's HelmRelease: what [Options.Values] names below
//     spec.values, and every text "image" and every mapping with repository and tag there.
//
// Everything else, and what names no image stream, stays.
//
// With [Options.Triggers] the containers that a trigger ties to a tag get the image of that tag, whatever stands there,
// so that a repository of manifests follows tags by commits. Paused triggers, and objects that trigger.Hold holds,
// stay.
//
// # Tags that are not texts
//
// kustomize and Helm read YAML with sigs.k8s.io/yaml. A date (2020-01-01) is a text to them. A number is refused by
// kustomize, and printed by Helm as a float: 1.10 becomes 1.1, 8e10 becomes 8e+10, 0x14 becomes 20, 1234567 becomes
// 1.234567e+06. So a whole number below 1,000,000 counts as its digits, and any other number, and what YAML 1.1 takes
// for a truth value (yes, on, n), has a [Report].
//
// # What is reported
//
// Where a reference would change but not by its bytes alone, nothing changes and the result has a [Report]: a text in a
// block (| or >) or over several lines; a text with an anchor, or merged from a mapping that has one, unless all that
// share it are references that become the same. What [Options.Values] names and neither changes nor is exact has a
// report, too. A document that cannot be read is skipped with a report: a key stands twice in it, it is not YAML, such
// as a Helm template, or it is beyond a bound. With [lookup.Options.Explain] everything that could be an image has a
// [Decision], also where nothing is looked at: other kinds, other places, objects with a controller, documents that are
// not objects. Documents in which no key of an image can stand are not even parsed.
//
// # Bounds
//
// A file has at most 64 MiB and 100,000 documents, a document 16 MiB, 10,000 levels, and a million values if it is
// JSON, or four million marks that could part values if it is YAML; 100,000 values may come from aliases. What is
// beyond is skipped with a report.
//
// YAML is what go.yaml.in/yaml/v3 reads: version 1.2 with the merge keys of 1.1, in UTF-8.
package yaml

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/lookup"
)

// Options are what a [Rewriter] cannot read in the files.
type Options struct {
	// Namespace is that of objects that do not say.
	Namespace string
	// Values are where documents without a kind name images: "web.image", "sidecars[*].image".
	Values []string
	// Triggers writes what image change triggers would: the images of containers that an annotation, or spec.triggers of
	// a deployment configuration, ties to tags; see package trigger.
	Triggers bool
}

// Rewriter rewrites files. It reads each stream and image once in its life, so that all files see the same state. It is
// safe for concurrent use.
type Rewriter struct {
	resolver *lookup.Resolver
	opts     Options
	values   [][]string // the steps of opts.Values
	explain  bool
	words    []string        // a document without any of them has nothing to change
	names    map[string]bool // the members that are read; nil is all
	seen     *recorder
	now      time.Time // what pins end by

	mu      sync.Mutex
	matched map[string]bool // paths of opts.Values and of the resolver's options
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// New returns a Rewriter that asks resolver's source, by its policy and options. It reads resolver's clock once: with
// [Options.Triggers] a pin counts until it ends. Keep of resolver plays no part. A namespace that cannot be one and a
// path that cannot be followed are errors.
func New(resolver *lookup.Resolver, opts Options) (*Rewriter, error) {
	for _, namespace := range append(slices.Clone(resolver.Options.Namespaces), opts.Namespace) {
		if namespace != "" && !dnsLabel.MatchString(namespace) {
			return nil, fmt.Errorf("namespace %q: lower-case letters, digits and dashes are wanted", namespace)
		}
	}
	w := &Rewriter{
		opts: opts, explain: resolver.Options.Explain, matched: map[string]bool{}, seen: newRecorder(resolver.Source),
	}
	now := resolver.Now
	if now == nil {
		now = time.Now
	}
	w.now = now()
	w.words, w.names = []string{"image", "Strategy"}, maps.Clone(names)
	if resolver.Options.KnownKinds {
		w.words, w.names = append(w.words, "repository"), nil
	}
	if opts.Triggers {
		w.names = nil // triggers have members of their own
	}
	for _, path := range opts.Values {
		if err := (lookup.Path{Path: path}).Check(); err != nil {
			return nil, err
		}
		steps := lookup.Path{Path: path}.Steps()
		w.values = append(w.values, steps)
		w.words = append(w.words, longestMember(steps))
	}
	for _, path := range resolver.Options.Paths {
		if err := path.Check(); err != nil {
			return nil, err
		}
		w.words = append(w.words, longestMember(path.Steps()))
		for _, step := range path.Steps() {
			if w.names != nil {
				w.names[step] = true
			}
		}
	}
	options := resolver.Options
	options.Explain = true // what was tried goes into the lock
	w.resolver = &lookup.Resolver{
		Source: w.seen, InternalRegistry: resolver.InternalRegistry, Policy: resolver.Policy, Options: options,
		Keep: time.Hour, Now: func() time.Time { return time.Time{} },
	}
	return w, nil
}

// longestMember returns the longest name in a path; "" is in every document.
func longestMember(steps []string) string {
	longest := ""
	for _, step := range steps {
		if !strings.HasPrefix(step, "[") && len(step) > len(longest) {
			longest = step
		}
	}
	return longest
}

// Unmatched returns the paths of [Options.Values], and of [lookup.Options.Paths] as "group/kind:path", that led to
// nothing in any file so far.
func (w *Rewriter) Unmatched() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, path := range w.opts.Values {
		if !w.matched[path] {
			list = append(list, path)
		}
	}
	for _, path := range w.resolver.Options.Paths {
		if name := pathName(path); !w.matched[name] {
			list = append(list, name)
		}
	}
	return list
}

func pathName(p lookup.Path) string { return p.Group + "/" + p.Kind + ":" + p.Path }

// match notes that a path led to something.
func (w *Rewriter) match(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.matched[path] = true
}

// Lock returns what decided the changes so far.
func (w *Rewriter) Lock() *Lock { return w.seen.lock() }

// Rewrite rewrites a file. Src is not changed. Errors are those of the source of streams, and that of ctx; what is
// wrong with the file is in the reports.
func (w *Rewriter) Rewrite(ctx context.Context, src []byte) (*Result, error) {
	res := &Result{Bytes: src}
	if problem, detail := whole(src); problem != "" {
		res.Reports = append(res.Reports, Report{Place: Place{Line: 1, Column: 1}, Problem: problem, Detail: detail})
		return res, nil
	}
	var edits []edit
	for c := range parsed(w.candidates(src)) {
		if c.err != nil {
			res.Reports = append(res.Reports, c.syntax())
			continue
		}
		for _, root := range c.roots {
			d := &document{Rewriter: w, chunk: c, root: root, out: res, tree: tree{names: w.names}}
			if err := d.rewrite(ctx); err != nil {
				return nil, err
			}
			edits = append(edits, d.edits...)
		}
	}
	res.Bytes = apply(src, edits)
	if !w.explain {
		res.Decisions = nil
	}
	return res, nil
}

// candidates are the parts of a file in which something may change.
func (w *Rewriter) candidates(src []byte) iter.Seq[*chunk] {
	return func(yield func(*chunk) bool) {
		n := 0
		for c := range split(src) {
			n++
			if n > maxDocuments {
				c.err = boundError{ProblemSize, fmt.Sprintf("%d documents in a file", maxDocuments)}
				yield(c)
				return
			}
			if c.mayHave(w.words) && !yield(c) {
				return
			}
		}
	}
}
