package prune

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

const managedAnnotation = "openshift.io/image.managed"

// image is what is known of an image.
type image struct {
	*imagestream.Image
	// blobs are the layers and the configuration, as numbers; a layer that is there twice is here twice.
	blobs []int32
	// manifest is the image itself, as a blob.
	manifest int32
	// size is what the metadata say; hasMetadata tells whether there are any.
	size        int64
	hasMetadata bool
	// unreadable tells that the blobs are not all known.
	unreadable bool
	// layersOf is, under Safe, the unreadable image that has the same layers.
	layersOf string
	// isNew tells that a run has met the image, and that it was not listed.
	isNew bool
}

// cause returns the image that makes i unreadable.
func (i *image) cause() string { return cmp.Or(i.layersOf, i.Metadata.Name) }

func (i *image) managed() bool { return i.Metadata.Annotations[managedAnnotation] == "true" }
func (i *image) marked() bool  { return i.Metadata.Annotations[PruningAnnotation] != "" }

// cluster is an index of an Input under Options.
type cluster struct {
	opts Options
	now  imagestream.Time
	// threshold is cut to the second: of whole seconds, the same ones are after it.
	threshold  imagestream.Time
	streams    []*imagestream.ImageStream // in key order
	images     []image                    // in name order
	byName     map[string]int32           // positions in images
	blobs      []string
	blobByID   map[string]int32
	used       *uses
	limits     map[string][]*big.Rat
	maxPending int
}

// maxPending is how many images of a stream are being removed at a time: their names stand in an annotation.
const maxPending = 1000

func newCluster(in Input, opts Options) (*cluster, error) {
	c := &cluster{
		opts: opts, now: tagevent.TimeOf(in.Now), maxPending: maxPending,
		byName: make(map[string]int32, len(in.Images)), blobByID: map[string]int32{},
	}
	var start time.Time // everything real is younger
	if opts.KeepYoungerThan != nil {
		start = in.Now.Add(-*opts.KeepYoungerThan)
	}
	c.threshold = tagevent.TimeOf(start)
	for i := range in.Streams {
		if s := &in.Streams[i]; !opts.Safe || opts.Namespace == "" || opts.Namespace == s.Metadata.Namespace {
			c.streams = append(c.streams, s) // the real system does not filter: see conformance case prune-v0024
		}
	}
	slices.SortStableFunc(c.streams, func(a, b *imagestream.ImageStream) int { return a.Key().Compare(b.Key()) })
	if err := c.addImages(in.Images); err != nil {
		return nil, err
	}
	if opts.OverSizeLimit {
		var err error
		if c.limits, err = limitsOf(in.Workloads); err != nil {
			return nil, err
		}
	}
	c.used = newUses(opts.Safe, start)
	for _, object := range in.Workloads {
		c.used.addWorkload(object)
	}
	if bad := c.used.bad; len(bad) > 0 && !opts.IgnoreInvalidReferences {
		return nil, &BadReferencesError{bad}
	}
	if opts.Safe {
		for i := range in.Streams {
			c.used.addStream(&in.Streams[i])
		}
	}
	return c, nil
}

// addImages indexes the images. Of several of one name, which no store has, the last counts.
func (c *cluster) addImages(images []imagestream.Image) error {
	order := make([]int32, len(images))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Compare(images[a].Metadata.Name, images[b].Metadata.Name)
	})
	c.images = make([]image, 0, len(images))
	for _, at := range order {
		i, err := c.readImage(&images[at])
		if err != nil {
			return err
		}
		if last := len(c.images) - 1; last >= 0 && c.images[last].Metadata.Name == i.Metadata.Name {
			c.images[last] = i
			continue
		}
		c.byName[i.Metadata.Name] = int32(len(c.images))
		c.images = append(c.images, i)
	}
	if c.opts.Safe {
		c.spreadUnreadable()
	}
	return nil
}

// spreadUnreadable makes images unreadable that have the layers of one that is: they may have its
// configuration, too.
func (c *cluster) spreadUnreadable() {
	layers := func(i *image) string {
		var key strings.Builder
		for _, l := range i.DockerImageLayers {
			key.WriteString(l.Name + "\n")
		}
		return key.String()
	}
	unreadable := map[string]string{}
	for at := range c.images {
		if i := &c.images[at]; i.unreadable && len(i.DockerImageLayers) > 0 {
			unreadable[layers(i)] = i.Metadata.Name
		}
	}
	if len(unreadable) == 0 {
		return
	}
	for at := range c.images {
		i := &c.images[at]
		if name, ok := unreadable[layers(i)]; ok && !i.unreadable {
			i.unreadable, i.layersOf = true, name
		}
	}
}

func isList(mediaType string) bool {
	return mediaType == manifest.MediaTypeOCIIndex || mediaType == manifest.MediaTypeDockerList
}

// readImage works out the blobs of an image. See conformance cases prune-v0025 and prune-v0028.
func (c *cluster) readImage(i *imagestream.Image) (image, error) {
	read := image{Image: i, manifest: c.blob(i.Metadata.Name)}
	read.blobs = make([]int32, 0, len(i.DockerImageLayers)+1)
	for _, l := range i.DockerImageLayers {
		read.blobs = append(read.blobs, c.blob(l.Name))
	}
	if text := bytes.TrimSpace(i.DockerImageMetadata); len(text) == 0 || string(text) == "null" {
		read.unreadable = !isList(i.DockerImageManifestMediaType)
		return read, nil
	}
	metadata, err := manifest.Metadata(i)
	if err != nil {
		if !c.opts.Safe {
			return image{}, fmt.Errorf("%w; with the option Safe the image would stay, and others could go", err)
		}
		read.unreadable = true
		return read, nil
	}
	read.hasMetadata, read.size = true, metadata.Size
	switch i.DockerImageManifestMediaType {
	case manifest.MediaTypeDockerManifest, manifest.MediaTypeOCIManifest:
		if metadata.ID != "" {
			read.blobs = append(read.blobs, c.blob(metadata.ID))
		}
	}
	return read, nil
}

// blob returns the number of a blob.
func (c *cluster) blob(digest string) int32 {
	n, ok := c.blobByID[digest]
	if !ok {
		n = int32(len(c.blobs))
		c.blobByID[digest] = n
		c.blobs = append(c.blobs, digest)
	}
	return n
}

// image returns an image, nil if it is not known.
func (c *cluster) image(name string) *image {
	if at, ok := c.byName[name]; ok {
		return &c.images[at]
	}
	return nil
}

// namesOf returns the names of the images that id names: itself if it is a digest, else those that it begins,
// with the algorithm or without.
func (c *cluster) namesOf(id string) []string {
	if pullspec.IsDigest(id) {
		return []string{id}
	}
	var names []string
	for _, prefix := range []string{id, "sha256:" + id, "sha384:" + id, "sha512:" + id} {
		at, _ := slices.BinarySearchFunc(c.images, prefix, func(i image, name string) int {
			return cmp.Compare(i.Metadata.Name, name)
		})
		for ; at < len(c.images) && strings.HasPrefix(c.images[at].Metadata.Name, prefix); at++ {
			names = append(names, c.images[at].Metadata.Name)
		}
	}
	return names
}
