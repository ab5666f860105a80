package describe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

// ImageStreamTag writes what there is to say about the image of t at the time now. Beside the error of w there
// is that of [Image].
func ImageStreamTag(w io.Writer, t *imagestream.ImageStreamTag, now time.Time) error {
	return Image(w, &t.Image, t.Image.Metadata.Name, now)
}

// ImageStreamImage writes what there is to say about the image of i at the time now. Beside the error of w
// there is that of [Image].
func ImageStreamImage(w io.Writer, i *imagestream.ImageStreamImage, now time.Time) error {
	return Image(w, &i.Image, i.Image.Metadata.Name, now)
}

// Image writes what there is to say about an image at the time now. The title, such as "app:latest", is the
// first line; empty leaves the line out. An image whose dockerImageMetadata is missing or cannot be read is an
// error, that of [manifest.Metadata], and nothing is written then. Any other error is that of w. See
// conformance case describe-v0601.
func Image(w io.Writer, image *imagestream.Image, title string, now time.Time) error {
	docker, err := manifest.Metadata(image)
	if err != nil {
		return err
	}
	p := &printer{out: tabwriter.NewWriter(w, 0, 8, 1, '\t', 0), now: now}
	p.image(image, title)
	p.docker(image, docker)
	if p.err != nil {
		return p.err
	}
	return p.out.Flush()
}

// image writes what the cluster knows.
func (p *printer) image(image *imagestream.Image, title string) {
	m := &image.Metadata
	if title != "" {
		p.field("Image Name", title)
	}
	p.field("Docker Image", image.DockerImageReference)
	p.field("Name", m.Name)
	if !m.CreationTimestamp.IsZero() {
		p.printf("Created:\t%s\n", p.age(m.CreationTimestamp))
	}
	if len(m.Labels) > 0 {
		p.members("Labels", m.Labels)
	}
	if len(m.Annotations) > 0 {
		p.described(m.Annotations)
	}
}

// docker writes what stands in the image itself.
func (p *printer) docker(image *imagestream.Image, docker manifest.DockerImage) {
	if layers := image.DockerImageLayers; len(layers) == 0 {
		p.field("Layer Size", Size(docker.Size))
	} else {
		p.field("Image Size", fmt.Sprintf("%s in %d layers", Size(docker.Size), len(layers)))
		lines := make([]string, len(layers))
		for i, l := range layers {
			lines[i] = Size(l.LayerSize) + "\t" + l.Name
		}
		p.field("Layers", strings.Join(lines, "\n"))
	}
	for i := range image.Signatures {
		p.signature(&image.Signatures[i])
	}
	p.field("Image Created", p.age(docker.Created))
	p.field("Author", docker.Author)
	p.field("Arch", docker.Architecture)
	if children := image.DockerImageManifests; len(children) > 0 {
		lines := make([]string, len(children))
		for i, c := range children {
			lines[i] = c.OS + "/" + c.Architecture + "\t" + c.Digest
		}
		p.field("Manifests", strings.Join(lines, "\n"))
	}
	if docker.Config == nil {
		docker.Config = &manifest.Config{}
	}
	p.config(docker.Config)
}

func (p *printer) signature(s *imagestream.ImageSignature) {
	p.field("Image Signatures", " ")
	p.field("\tName", s.Metadata.Name)
	p.field("\tType", s.Type)
	if s.IssuedBy == nil {
		p.field("\tStatus", "Unverified")
	} else {
		p.field("\tStatus", "Verified")
		p.field("\tIssued By", s.IssuedBy.CommonName)
	}
	for _, c := range s.Conditions {
		p.field("\t", fmt.Sprintf("Signature is %s (%s on %s)", c.Type, c.Message, c.LastProbeTime.Time()))
	}
}

// config writes how the image runs.
func (p *printer) config(c *manifest.Config) {
	if len(c.Entrypoint) > 0 {
		p.field("Entrypoint", strings.Join(c.Entrypoint, " "))
	}
	if len(c.Cmd) > 0 {
		p.field("Command", strings.Join(c.Cmd, " "))
	}
	if len(c.Entrypoint)+len(c.Cmd) == 0 {
		p.field("Command", "")
	}
	p.field("Working Dir", c.WorkingDir)
	p.field("User", c.User)
	p.field("Exposes Ports", strings.Join(slices.Sorted(maps.Keys(c.ExposedPorts)), ", "))
	p.members("Docker Labels", c.Labels)
	p.lines("Environment", c.Env)
	p.lines("Volumes", slices.Sorted(maps.Keys(c.Volumes)))
}

// lines writes a label and values, a value a line, or nothing if there are none.
func (p *printer) lines(label string, values []string) {
	for i, value := range values {
		if i == 0 {
			p.field(label, value)
		} else {
			p.printf("\t%s\n", value)
		}
	}
}

// Size says how much n bytes are, in decimal units and four digits: "83.52MB", "5GB".
func Size(n int64) string {
	units := [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	size, unit := float64(n), 0
	for size >= 1000 && unit < len(units)-1 {
		size, unit = size/1000, unit+1
	}
	return fmt.Sprintf("%.4g%s", size, units[unit])
}
