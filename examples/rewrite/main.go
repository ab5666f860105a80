// Rewrite puts exact images into manifests: what a cluster does with short names when an object is created, for files,
// where the change can be seen and reviewed.
//
//	rewrite -streams DIR -f manifests/             print a diff
//	rewrite -streams DIR -f manifests/ --in-place  write the files
//	rewrite -streams DIR -f manifests/ --check     print a diff, and end with 1 if there is one
//	rewrite -streams DIR -f manifests/ --explain   tell of every reference what was tried and why it stays or changes
//	rewrite -streams DIR -f manifests/ --require   end with 3 if a short name stays
//	kustomize build | rewrite -streams DIR -f -    from standard input to standard output
//
// DIR has image streams as "oc get imagestreams -o yaml" prints them. Whether an image of their histories still
// exists is not known; --explain says so. Only the bytes of image values change; -f takes files and directories,
// and may be given more than once. With --lock FILE what decided is written beside the files; with --locked it is
// read from there, in place of the streams, and the files become what they became then; a reference of which the
// lock says nothing is an error, unless --allow-unlocked is given.
//
// Beyond what a cluster looks at, -values names images in Helm values, -path in objects of any kind, --known-kinds
// is for Argo's Rollout and workflows, Knative, Tekton, KubeVirt and Flux's HelmRelease, --ephemeral-containers and
// --image-volumes for these places of pods. A path that leads to nothing is an error.
//
// With --triggers the containers that the annotation image.openshift.io/triggers, or spec.triggers of a
// DeploymentConfig, ties to a tag get the image of that tag: run it when a tag moves, and commit.
//
// With --in-place all is computed and checked before anything is written, then the lock is written, then one file
// after the other, each as a whole or not at all. Owner, mode and symbolic links stay; a file with several hard
// links is refused. Killed at any point, the lock has what decided each file that was written, and the next run
// clears away what was left.
//
// It ends with 0 if all went well, 1 if --check found something to change, 2 if it could not do its work and wrote
// nothing more, 3 if a reference must change and cannot by its bytes alone, and 4 if a file or a document was
// skipped because it cannot be read; 3 and 4 are told with file and line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// How the program ends. Of several the highest counts, but for an error.
const (
	exitDone = iota
	exitChanges
	exitError
	exitStays
	exitSkipped
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// paths are flags of the form GROUP/KIND:PATH.
type paths []lookup.Path

func (p *paths) String() string { return "" }

func (p *paths) Set(s string) error {
	object, path, ok := strings.Cut(s, ":")
	group, kind, grouped := strings.Cut(object, "/")
	if !grouped {
		group, kind = "", object
	}
	if !ok || kind == "" || path == "" {
		return errors.New("GROUP/KIND:PATH is wanted, KIND:PATH for kinds without a group: example.com/Shop:spec.image")
	}
	*p = append(*p, lookup.Path{Group: group, Kind: kind, Path: path})
	return nil
}

// options are what the command line says.
type options struct {
	streams, namespace, registry, lock string
	files, values, search              list
	paths                              paths
	inPlace, check, explain, require   bool
	triggers                           bool
	locked, allowUnlocked              bool
	lookup                             lookup.Options
}

func (o *options) flags(errOut io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("rewrite", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.streams, "streams", "", "`directory` of image streams in YAML or JSON")
	flags.Var(&o.files, "f", "`file` or directory to rewrite; - is standard input, to standard output")
	flags.StringVar(&o.namespace, "namespace", "default", "`namespace` of objects and streams that do not say")
	flags.Var(&o.search, "search", "`namespace` to search for short names after the object's own")
	flags.StringVar(&o.registry, "registry", "", "`host` of the registry that the streams are served from")
	flags.Var(&o.values, "values", "`path` of an image in Helm values: web.image, sidecars[*].image")
	flags.Var(&o.paths, "path", "`GROUP/KIND:PATH` of an image in objects of a kind: example.com/Shop:spec.image")
	flags.BoolVar(&o.lookup.KnownKinds, "known-kinds", false,
		"look at kinds of Argo, Knative, Tekton and KubeVirt, and at the values of Flux's HelmRelease")
	flags.BoolVar(&o.lookup.EphemeralContainers, "ephemeral-containers", false, "look at ephemeral containers")
	flags.BoolVar(&o.lookup.ImageVolumes, "image-volumes", false, "look at volumes that are images")
	flags.BoolVar(&o.triggers, "triggers", false,
		"write what image change triggers would: the images of containers that are tied to tags")
	flags.StringVar(&o.lock, "lock", "", "`file` of what decided; it is written, or with -locked read")
	flags.BoolVar(&o.locked, "locked", false, "repeat what the lock says")
	flags.BoolVar(&o.allowUnlocked, "allow-unlocked", false,
		"with -locked, let references stay of which the lock says nothing")
	flags.BoolVar(&o.inPlace, "in-place", false, "write the files")
	flags.BoolVar(&o.check, "check", false, "end with 1 if something would change")
	flags.BoolVar(&o.explain, "explain", false, "tell of every reference why it stays or changes")
	flags.BoolVar(&o.require, "require", false, "end with 3 if a short name stays")
	return flags
}

// checked returns what is wrong with the command line.
func (o *options) checked(rest []string) error {
	host, err := pullspec.Parse(o.registry + "/namespace/name")
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: files are named with -f", rest)
	case len(o.files) == 0:
		return errors.New("-f says which files to rewrite")
	case o.inPlace && (o.check || o.explain):
		return errors.New("--check and --explain write nothing: leave them out, or --in-place")
	case o.locked && o.lock == "":
		return errors.New("--locked needs --lock FILE, which says what to repeat")
	case o.allowUnlocked && !o.locked:
		return errors.New("--allow-unlocked is for --locked")
	case !o.locked && o.streams == "":
		return errors.New("-streams says where the image streams are")
	case o.registry != "" && (err != nil || host.Registry != o.registry):
		return fmt.Errorf("-registry %q: a host is wanted: registry.example.com:5000", o.registry)
	}
	return nil
}

// run runs the program.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	var o options
	flags := o.flags(errOut)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitDone
	} else if err != nil {
		return exitError
	}
	err := o.checked(flags.Args())
	if err == nil {
		var code int
		if code, err = o.rewrite(ctx, in, out, errOut); err == nil {
			return code
		}
	}
	fmt.Fprintln(errOut, "rewrite:", err)
	return exitError
}
