package prune

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// learn reads the images of these streams that were not listed, in a history or in use there, and the images of the
// lists that they are: somebody pushed or imported them since. What they consist of must stay.
func (r *run) learn(streams ...*imagestream.ImageStream) error {
	var unknown []string
	asked := map[string]bool{}
	ask := func(name string) {
		if name != "" && !asked[name] && r.cluster.image(name) == nil {
			asked[name] = true
			unknown = append(unknown, name)
		}
	}
	for _, s := range streams {
		for _, h := range s.Status.Tags {
			for _, e := range h.Items {
				ask(e.Image)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(r.used.images[s.Key()])) {
			if pullspec.IsDigest(id) {
				ask(id)
			}
		}
	}
	var found []*imagestream.Image
	for ; len(unknown) > 0; unknown = unknown[1:] {
		image, err := r.objects.GetImage(r.ctx, unknown[0])
		if errors.Is(err, imagestream.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get image %s: %w", unknown[0], err)
		}
		found = append(found, image)
		for _, m := range image.DockerImageManifests {
			ask(m.Digest)
		}
	}
	return r.addNew(found)
}

// addNew adds images to the index, to a copy of the run's own: that of the plan stays as it is.
func (r *run) addNew(images []*imagestream.Image) error {
	if len(images) == 0 {
		return nil
	}
	if r.cluster == r.planned {
		c := *r.cluster
		c.images, c.blobs = slices.Clone(c.images), slices.Clone(c.blobs)
		c.byName, c.blobByID = maps.Clone(c.byName), maps.Clone(c.blobByID)
		r.cluster = &c
	}
	for _, i := range images {
		read, err := r.readImage(i)
		if err != nil {
			return err
		}
		read.isNew = true
		r.images = append(r.images, read)
	}
	slices.SortFunc(r.images, func(a, b image) int { return cmp.Compare(a.Metadata.Name, b.Metadata.Name) })
	for at := range r.images {
		r.byName[r.images[at].Metadata.Name] = int32(at)
	}
	r.spreadUnreadable()
	return nil
}
