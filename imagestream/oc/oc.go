// Package oc carries out the words that people know from the client oc: tag, import-image, create imagestream,
// create imagestreamtag and set image-lookup, with its flags, its fall-backs for old servers, its retries and
// its messages.
//
// A [Command] is what was typed. The Plan functions, which are pure, make of it what will be read and what
// will be sent; [Commands] carries plans out on a [Server]. So a command line, a chat bot or a test can use
// them. [Local] is a Server on any [rest.API], without a cluster.
//
// # tag
//
// "tag SOURCE DEST..." writes an image stream tag for every destination, one after the other; an error ends
// the command, and what was written stays. A source with a registry is a DockerImage, one with an ID an
// ImageStreamImage, one with a tag an ImageStreamTag, anything else a DockerImage; --source says so instead.
// An ImageStreamTag becomes the image that it has now, unless --alias asks to follow it. "tag --delete
// DEST..." deletes. A server that knows no image stream tags gets the stream itself, changed. See conformance case octag-v0001.
//
// # import-image
//
// "import-image STREAM[:TAG]" asks for an import of one tag, or with --all of the stream's repository or of
// every tag that comes from a registry, in tag order. A tag that follows others of the stream is imported into
// the last of them. --from names another source, and --confirm allows a new stream, or another repository.
// See conformance case ocimport-v0001.
//
// # create
//
// "create imagestream NAME" and "create imagestreamtag NAME" send one object. See conformance
// case occreate-v0001.
//
// # set image-lookup
//
// It changes the lookup policy of streams, and the annotation of other objects that asks for their names to be
// resolved, or lists both.
//
// # adm prune images
//
// "adm prune images" decides as package prune does, and prints what would go and why, or with --confirm removes
// it: [Pruning]. --safe, which the real client does not have, mends its mistakes. See conformance case prune-v0001.
//
// # Differences from OpenShift
//
// The real client reads resource names from the server; here they are a table, [Resources], that callers may
// replace. "import-image --all" sends tags in name order, the real client in random order. Files ("-f") and
// output formats beyond "json" and "name" are not there.
package oc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Command is what was typed behind the word of a command.
type Command struct {
	// Namespace is the current project.
	Namespace string
	Args      []string
	Flags     Flags
}

// Flags are flags by their long names, without dashes, with their values in order. A flag without a value,
// "--delete", has the value "true".
type Flags map[string][]string

// ErrUsage is the class of errors about a command as it was typed: nothing was read or sent then.
var ErrUsage = errors.New("usage")

// usage returns an error of class ErrUsage.
func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

type usageError string

func (e usageError) Error() string        { return string(e) }
func (e usageError) Is(target error) bool { return target == ErrUsage }

type flagKind int

const (
	boolFlag flagKind = iota
	textFlag
	listFlag
)

// flags are the flags of one command, checked.
type flags struct {
	values Flags
	known  map[string]flagKind
}

func parseFlags(f Flags, known map[string]flagKind) (flags, error) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		kind, ok := known[name]
		if !ok {
			return flags{}, usage(
				"unknown flag: --%s; there are --%s",
				name,
				strings.Join(slices.Sorted(maps.Keys(known)), ", --"),
			)
		}
		for _, value := range f[name] {
			if _, err := strconv.ParseBool(value); kind == boolFlag && err != nil {
				return flags{}, usage("--%s=%s: want true or false", name, value)
			}
		}
	}
	return flags{f, known}, nil
}

func (f flags) given(name string) bool { return len(f.values[name]) > 0 }

// text returns the last value of a flag, "" without one.
func (f flags) text(name string) string {
	values := f.values[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

func (f flags) bool(name string) bool {
	on, _ := strconv.ParseBool(f.text(name))
	return on
}

// The verbs of requests.
const (
	Get    = "get"
	List   = "list"
	Create = "create"
	Update = "update"
	Patch  = "patch"
	Delete = "delete"
)

// StrategicMergePatch is the media type of the patches that are sent.
const StrategicMergePatch = "application/strategic-merge-patch+json"

// Request is one request to a server.
type Request struct {
	Verb string
	// Resource is the kind of object, in the plural: "imagestreams".
	Resource  string
	Namespace string
	// Name is empty for lists, and for creations, where it stands in the object.
	Name string
	// Query are parameters such as dryRun=All.
	Query map[string]string
	// Object is what is created or updated: an *imagestream.ImageStream, ImageStreamTag or ImageStreamImport.
	Object any
	// Patch and PatchType are what is patched.
	Patch     json.RawMessage
	PatchType string
}

// Server is what the commands need of an API server.
type Server interface {
	// Do carries out one request and returns the object, or list, that the server answers; nil for a deletion.
	// An answer that says no is an [*imagestream.StatusError] with the reason that the server gives. Any other
	// error means that there was no answer.
	Do(ctx context.Context, r Request) (json.RawMessage, error)
}

// Commands carries out commands on a server. Only Server must be set. It is safe for concurrent use if Out is.
type Commands struct {
	Server Server
	// Out gets what the command prints. Nil prints nothing.
	Out io.Writer
	// Warnings gets what the real client does not say, a line each. Nil prints nothing.
	Warnings io.Writer
	// NoCircles refuses to let a tag follow itself, by way of others or not. The real client lets it.
	NoCircles bool
	// Resources are the kinds of object that the server knows; nil is [Resources].
	Resources []Resource
	// Now is the clock for what import-image describes; nil is time.Now.
	Now func() time.Time
}

// do sends r, unless its name cannot be that of an object.
func (c *Commands) do(ctx context.Context, r Request) (json.RawMessage, error) {
	switch r.Verb {
	case Get, Update, Patch, Delete:
		if r.Name == "" || !pullspec.IsPathSegment(r.Name) {
			return nil, fmt.Errorf(
				"%s %s: %q cannot be the name of an object: it must not be empty, \".\" or \"..\", nor have \"/\" or \"%%\" in it",
				r.Verb,
				r.Resource,
				r.Name,
			)
		}
	}
	if c.Server == nil {
		return nil, errors.New("there is no server to carry commands out on: set Commands.Server")
	}
	return c.Server.Do(ctx, r)
}

// stream reads a stream; nil and no error if it does not exist.
func (c *Commands) stream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	raw, err := c.do(ctx, Request{Verb: Get, Resource: imageStreams, Namespace: key.Namespace, Name: key.Name})
	if errors.Is(err, imagestream.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(imagestream.ImageStream)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("the server's image stream %s: %w", key, err)
	}
	return s, nil
}

func (c *Commands) print(text string) error {
	if c.Out == nil {
		return nil
	}
	_, err := io.WriteString(c.Out, text)
	return err
}

func (c *Commands) resources() []Resource {
	if c.Resources == nil {
		return Resources()
	}
	return c.Resources
}

// The retries of writes that conflict.
const (
	conflictAttempts = 5
	conflictPause    = 10 * time.Millisecond
)

// retryOnConflict calls write until its error is no conflict, five times at most.
func retryOnConflict(ctx context.Context, write func() error) error {
	for attempt := 1; ; attempt++ {
		err := write()
		if !errors.Is(err, imagestream.ErrConflict) || attempt == conflictAttempts {
			return err
		}
		timer := time.NewTimer(conflictPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// The resources that the commands write, and their API group.
const (
	imageStreams       = "imagestreams"
	imageStreamTags    = "imagestreamtags"
	imageStreamImports = "imagestreamimports"

	imageGroup = "image.openshift.io"
)

func typeMeta(kind string) imagestream.TypeMeta {
	return imagestream.TypeMeta{Kind: kind, APIVersion: imagestream.APIVersion}
}

// isOldServer reports whether err is the answer of a server that does not know, or does not allow, requests of
// that kind.
func isOldServer(err error) bool {
	var status *imagestream.StatusError
	return errors.As(err, &status) &&
		(status.Reason == imagestream.ReasonMethodNotAllowed || status.Reason == imagestream.ReasonForbidden)
}
