package importer

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

// attestationAnnotation marks an entry of a list that describes another entry and is not an image.
const attestationAnnotation = "vnd.docker.reference.type"

func isAttestation(c manifest.Child) bool {
	_, marked := c.Annotations[attestationAnnotation]
	return marked || c.Platform.OS == "unknown" && c.Platform.Architecture == "unknown"
}

// selectChild returns the image of a list for a platform.
func (o *FetchOptions) selectChild(list *manifest.Manifest, p manifest.Platform) (manifest.Child, error) {
	if !o.NoAttestations {
		child, ok := list.Select(p)
		if !ok {
			return child, errEmptyList
		}
		return child, nil
	}
	p.OS, p.Architecture = cmp.Or(p.OS, "linux"), cmp.Or(p.Architecture, "amd64")
	images := slices.DeleteFunc(slices.Clone(list.Children), isAttestation)
	for _, want := range []manifest.Platform{{OS: p.OS, Architecture: p.Architecture},
		{OS: "linux", Architecture: "amd64"}, {}} {
		for _, c := range images {
			if c.Platform.OS == want.OS && c.Platform.Architecture == want.Architecture {
				return c, nil
			}
		}
	}
	switch {
	case len(list.Children) == 0:
		return manifest.Child{}, errEmptyList
	case len(images) == 0:
		return manifest.Child{}, errors.New("the manifest list has only attestations")
	}
	return manifest.Child{}, fmt.Errorf("the manifest list has no image for %s/%s: it has images for %s", p.OS,
		p.Architecture, platformsOf(images))
}

var errEmptyList = errors.New("the manifest list is empty")

// maxPlatforms is how many platforms an error names.
const maxPlatforms = 16

// platformPart matches the parts of a platform that an error repeats. Others are shown as a question mark.
var platformPart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// platformsOf lists the platforms of images: "linux/arm64, linux/s390x".
func platformsOf(images []manifest.Child) string {
	shown := func(part string) string {
		if platformPart.MatchString(part) {
			return part
		}
		return "?"
	}
	var platforms []string
	for _, c := range images {
		if p := shown(c.Platform.OS) + "/" + shown(c.Platform.Architecture); !slices.Contains(platforms, p) {
			platforms = append(platforms, p)
		}
		if len(platforms) > maxPlatforms {
			platforms[maxPlatforms] = "others"
			break
		}
	}
	return strings.Join(platforms, ", ")
}
