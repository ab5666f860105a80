package manifest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

const config = `{"architecture":"arm64","os":"linux","created":"2026-01-02T03:04:05.678Z","author":"me","unknown":1,` +
	`"config":{"Env":["A=1"],"Cmd":["run"],"Labels":{"k":"v"},"ExposedPorts":{"80/tcp":{}},"Unknown":true},"rootfs":{"type":"layers"}}`

func image() string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"c","digest":%q,"size":%d},"layers":[`+
		`{"mediaType":"l","digest":"sha256:%064d","size":10},{"mediaType":"l","digest":"sha256:%064d","size":20},{"mediaType":"l","digest":"sha256:%064d","size":10}]}`,
		manifest.MediaTypeOCIManifest, digest.FromString(config), len(config), 1, 2, 1)
}

func index(platforms ...string) string {
	children := make([]string, len(platforms))
	for i, p := range platforms {
		os, arch, _ := strings.Cut(p, "/")
		children[i] = fmt.Sprintf(`{"mediaType":"m","digest":"sha256:%064d","size":5,"platform":{"os":%q,"architecture":%q}}`, i, os, arch)
	}
	return fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, strings.Join(children, ","))
}

func ExampleParse() {
	m, err := manifest.Parse(manifest.MediaTypeOCIManifest+"; charset=utf-8", []byte(image()))
	fmt.Println(m.IsList(), len(m.Layers), m.Config.Size, err)
	_, err = manifest.Parse("application/vnd.docker.distribution.manifest.v1+prettyjws", nil)
	fmt.Println(err)
	// Output:
	// false 3 229 <nil>
	// manifest of the media type "application/vnd.docker.distribution.manifest.v1+prettyjws": neither Docker schema 2 nor OCI, and not signed as schema 1 is
}

func ExampleImage() {
	m, _ := manifest.Parse(manifest.MediaTypeOCIManifest, []byte(image()))
	image, err := manifest.Image(m, []byte(config))
	d, _ := manifest.Metadata(image)
	fmt.Println(image.Metadata.Name == m.Digest.String(), d.ID == m.Config.Digest.String(), d.Architecture, d.Created, d.Size, d.Config.Env, err)
	// Output: true true arm64 2026-01-02T03:04:05Z 259 [A=1] <nil>
}

func ExampleConfigDigest() {
	d, ok := manifest.ConfigDigest(manifest.MediaTypeOCIManifest, image())
	fmt.Println(d == digest.FromString(config), ok)
	_, ok = manifest.ConfigDigest(manifest.MediaTypeOCIIndex, index("linux/amd64"))
	fmt.Println(ok)
	// Output:
	// true true
	// false
}

func ExampleManifest_Select() {
	m, _ := manifest.Parse(manifest.MediaTypeOCIIndex, []byte(index("linux/s390x", "linux/amd64", "linux/arm64")))
	for _, arch := range []string{"arm64", "", "riscv64"} {
		child, _ := m.Select(manifest.Platform{Architecture: arch})
		fmt.Println(child.Platform.OS + "/" + child.Platform.Architecture)
	}
	// Output:
	// linux/arm64
	// linux/amd64
	// linux/amd64
}

func ExampleListImage() {
	m, _ := manifest.Parse(manifest.MediaTypeOCIIndex, []byte(index("linux/amd64", "linux/arm64")))
	image, err := manifest.ListImage(m, 0)
	fmt.Println(len(image.DockerImageManifests), image.DockerImageManifests[1].Architecture, err)
	// Output: 2 arm64 <nil>
}

func TestSelectFallsBackToTheFirst(t *testing.T) {
	m, err := manifest.Parse(manifest.MediaTypeOCIIndex, []byte(index("windows/amd64", "linux/arm")))
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := m.Select(manifest.Platform{Architecture: "s390x", OS: "linux"}); !ok || c.Platform.OS != "windows" {
		t.Errorf("selected %+v, %v", c, ok)
	}
	empty, err := manifest.Parse(manifest.MediaTypeOCIIndex, []byte(index()))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := empty.Select(manifest.Platform{}); ok {
		t.Error("an empty list has an image")
	}
}

func TestParseRefuses(t *testing.T) {
	good := `{"digest":"` + digestOf(1) + `"}`
	for name, tc := range map[string]struct{ mediaType, text, want string }{
		"no JSON":              {manifest.MediaTypeOCIManifest, `{`, "unexpected end"},
		"no config":            {manifest.MediaTypeOCIManifest, `{}`, "no config"},
		"other type":           {manifest.MediaTypeOCIManifest, `{"mediaType":"x","config":{}}`, `says that it is "x"`},
		"docker without type":  {manifest.MediaTypeDockerManifest, `{"config":{}}`, "says"},
		"image that is index":  {manifest.MediaTypeOCIManifest, `{"config":{},"manifests":[]}`, "as an index has"},
		"index that is image":  {manifest.MediaTypeOCIIndex, `{"manifests":[],"config":{}}`, "as an image has"},
		"bad digest":           {manifest.MediaTypeOCIManifest, `{"config":{"digest":"sha256:1"}}`, "config.digest"},
		"bad child":            {manifest.MediaTypeOCIIndex, `{"manifests":[{"digest":"../../etc"}]}`, "manifests[0].digest"},
		"bad layer":            {manifest.MediaTypeOCIManifest, `{"config":` + good + `,"layers":[` + good + `,{"digest":"sha256:../x"}]}`, "layers[1].digest"},
		"layer with a newline": {manifest.MediaTypeOCIManifest, `{"config":` + good + `,"layers":[{"digest":"` + digestOf(1) + `\n"}]}`, "layers[0].digest"},
		"negative config":      {manifest.MediaTypeOCIManifest, `{"config":{"digest":"` + digestOf(1) + `","size":-1}}`, "config.size -1"},
		"negative layer":       {manifest.MediaTypeOCIManifest, `{"config":` + good + `,"layers":[{"digest":"` + digestOf(1) + `","size":-5}]}`, "layers[0].size -5"},
		"negative child":       {manifest.MediaTypeOCIIndex, `{"manifests":[{"digest":"` + digestOf(1) + `","size":-5}]}`, "manifests[0].size -5"},
		"size beyond int64":    {manifest.MediaTypeOCIManifest, `{"config":` + good + `,"layers":[{"digest":"` + digestOf(1) + `","size":9223372036854775808}]}`, "cannot unmarshal"},
		"wrong shape":          {manifest.MediaTypeOCIIndex, `{"manifests":{}}`, "cannot unmarshal"},
		"unknown content type": {"text/html", `{}`, "text/html"},
	} {
		if m, err := manifest.Parse(tc.mediaType, []byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %+v, %v, want an error with %q", name, m, err, tc.want)
		}
	}
}

// TestLayersOfSchema1AreDigests: their sizes are asked for by these names.
func TestLayersOfSchema1AreDigests(t *testing.T) {
	for _, layer := range []string{"", "sha256:1", "../../admin", digestOf(1) + "?", "md5:" + strings.Repeat("0", 32)} {
		text, _ := signedWith(digestOf(1), layer)
		m, err := manifest.Parse(manifest.MediaTypeSchema1, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if image, err := manifest.Image(m, nil); err == nil {
			t.Errorf("layer %q is taken: %v", layer, image.DockerImageLayers)
		}
	}
}

// TestSizesAddUp: what a stored image says of its layers is added up without falling below zero or running over.
func TestSizesAddUp(t *testing.T) {
	const most = math.MaxInt64
	layers := func(sizes ...int64) string {
		var list []string
		for i, size := range sizes {
			list = append(list, fmt.Sprintf(`{"mediaType":"l","digest":%q,"size":%d}`, digestOf(i), size))
		}
		return strings.Join(list, ",")
	}
	for _, tc := range []struct {
		sizes []int64
		want  int64
	}{
		{nil, 2},
		{[]int64{5, 6}, 13},
		{[]int64{5, -6}, 7},
		{[]int64{math.MinInt64, -1}, 2},
		{[]int64{most}, most},
		{[]int64{most - 2}, most},
		{[]int64{most - 3, 1}, most},
		{[]int64{most, most, most}, most},
	} {
		image, err := manifest.Complete(&imagestream.Image{
			DockerImageManifest: `{"schemaVersion":2,"config":{"digest":"sha256:c"},"layers":[` + layers(tc.sizes...) + `]}`, DockerImageConfig: "{}",
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := manifest.Metadata(image); err != nil || d.Size != tc.want {
			t.Errorf("%d are %d together, %v, want %d", tc.sizes, d.Size, err, tc.want)
		}
	}
	config := "{}"
	m, err := manifest.Parse(manifest.MediaTypeOCIManifest, []byte(`{"config":{"digest":"`+digest.FromString(config).String()+`"},"layers":[`+layers(most, most)+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	image, err := manifest.Image(m, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := manifest.Metadata(image); err != nil || d.Size != most {
		t.Errorf("an imported image has the size %d, %v", d.Size, err)
	}
	sized, err := manifest.WithLayerSizes(image, map[string]int64{digestOf(0): most, digestOf(1): -7})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := manifest.Metadata(sized); err != nil || d.Size != most {
		t.Errorf("with sizes of its layers it has the size %d, %v", d.Size, err)
	}
}

func TestImageChecksTheConfiguration(t *testing.T) {
	m, err := manifest.Parse(manifest.MediaTypeOCIManifest, []byte(image()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Image(m, []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("another configuration: %v", err)
	}
	m.Config.Digest = digest.FromString("no JSON")
	if _, err := manifest.Image(m, []byte("no JSON")); err == nil {
		t.Error("a configuration that is no JSON is fine")
	}
}

func FuzzParse(f *testing.F) {
	for _, mediaType := range manifest.MediaTypes() {
		f.Add(mediaType, []byte(image()), []byte(config))
		f.Add(mediaType, []byte(index("linux/amd64")), []byte(`{}`))
	}
	f.Fuzz(func(t *testing.T, mediaType string, raw, config []byte) {
		m, err := manifest.Parse(mediaType, raw)
		if err != nil {
			return
		}
		if !m.IsSchema1() && m.Digest != digest.FromBytes(raw) || !json.Valid(raw) {
			t.Errorf("%q was read as %+v", raw, m)
		}
		if m.IsList() {
			if c, ok := m.Select(manifest.Platform{Architecture: "arm64"}); ok && c.Digest.Validate() != nil {
				t.Errorf("selected %+v", c)
			}
			if image, err := manifest.ListImage(m, 1); err != nil || len(image.DockerImageManifests) != len(m.Children) {
				t.Errorf("image of a list: %+v, %v", image, err)
			}
			return
		}
		m.Config.Digest = digest.FromBytes(config)
		if image, err := manifest.Image(m, config); err == nil {
			if d, err := manifest.Metadata(image); err != nil || d.ID != m.Config.Digest.String() || len(image.DockerImageLayers) != len(m.Layers) {
				t.Errorf("image %+v has the metadata %+v, %v", image, d, err)
			}
		}
	})
}

func ExampleComplete() {
	stored := &imagestream.Image{DockerImageManifest: image(), DockerImageConfig: config}
	complete, err := manifest.Complete(stored, 0)
	d, _ := manifest.Metadata(complete)
	fmt.Println(len(complete.DockerImageLayers), complete.DockerImageManifestMediaType, d.Architecture, d.Size, err)
	// Output: 3 application/vnd.oci.image.manifest.v1+json arm64 259 <nil>
}

func ExampleSubManifests() {
	list, ok := manifest.SubManifests(&imagestream.Image{
		DockerImageManifestMediaType: manifest.MediaTypeOCIIndex, DockerImageManifest: index("linux/amd64", "linux/arm64"),
	})
	fmt.Println(len(list), list[1].Architecture, ok)
	// Output: 2 arm64 true
}

func ExampleDigest() {
	d, ok := manifest.Digest(manifest.MediaTypeOCIManifest, image())
	fmt.Println(d == digest.FromString(image()), ok)
	configDigest, ok := manifest.ConfigDigest(manifest.MediaTypeOCIManifest, image())
	fmt.Println(configDigest == digest.FromString(config), ok)
	_, ok = manifest.Digest(manifest.MediaTypeOCIIndex, index())
	fmt.Println(ok)
	// Output:
	// true true
	// true true
	// false
}

// FuzzComplete completes images from any texts: nothing panics, the argument stays, the answer is the same each time, and
// metadata can be read.
func FuzzComplete(f *testing.F) {
	f.Add("", image(), config)
	f.Add(manifest.MediaTypeSchema1, `{"schemaVersion":1,"fsLayers":[{"blobSum":"a"}],"history":[{"v1Compatibility":"{\"id\":\"i\",\"size\":3}"}],"signatures":[{"protected":"e30"}]}`, "")
	f.Add(manifest.MediaTypeOCIIndex, index("linux/amd64"), "")
	f.Fuzz(func(t *testing.T, mediaType, text, config string) {
		stored := &imagestream.Image{DockerImageManifestMediaType: mediaType, DockerImageManifest: text, DockerImageConfig: config}
		before := stored.Clone()
		a, errA := manifest.Complete(stored, 1)
		b, errB := manifest.Complete(stored, 1)
		if !reflect.DeepEqual(stored, before) || !reflect.DeepEqual(a, b) || (errA == nil) != (errB == nil) {
			t.Errorf("%q: %+v, %v, then %+v, %v", text, a, errA, b, errB)
		}
		if _, err := manifest.Metadata(a); err != nil {
			t.Errorf("%q: metadata: %v", text, err)
		}
		if d, ok := manifest.Digest(mediaType, text); ok && d.Validate() != nil {
			t.Errorf("%q has the digest %q", text, d)
		}
		manifest.ConfigDigest(mediaType, text)
		if list, ok := manifest.SubManifests(stored); ok && mediaType == manifest.MediaTypeOCIManifest {
			t.Errorf("%q is an image and has %v", text, list)
		}
	})
}

// signed is a manifest of schema 1 with the payload that its signature names.
func signed() (text string, payload string) { return signedWith(digestOf(2), digestOf(1)) }

// signedWith is a manifest of schema 1 with these layers, the newest first.
func signedWith(layers ...string) (text string, payload string) {
	var sums, history []string
	for i, layer := range layers {
		sums = append(sums, fmt.Sprintf(`{"blobSum":%q}`, layer))
		history = append(history, fmt.Sprintf(`{"v1Compatibility":"{\"id\":\"i%d\"}"}`, i))
	}
	payload = fmt.Sprintf(`{"schemaVersion":1,"fsLayers":[%s],"history":[%s]`, strings.Join(sums, ","), strings.Join(history, ",")) + "\n}"
	head := payload[:len(payload)-2]
	protected := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"formatLength":%d,"formatTail":"%s"}`, len(head), base64.RawURLEncoding.EncodeToString([]byte("\n}")))))
	return head + `,"signatures":[{"protected":"` + protected + `"}]}`, payload
}

func ExampleVerify() {
	text, payload := signed()
	fmt.Println(manifest.Verify(manifest.MediaTypeSchema1, []byte(text), digest.FromString(payload)))
	fmt.Println(manifest.Verify(manifest.MediaTypeOCIManifest, []byte(image()), digest.FromString(image())))
	fmt.Println(manifest.Verify(manifest.MediaTypeOCIManifest, []byte("{}"), digest.FromString(image())))
	fmt.Println(manifest.Verify(manifest.MediaTypeOCIManifest, []byte("{}"), "sha256:1"))
	// Output:
	// <nil>
	// <nil>
	// the registry sent sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
	// digest "sha256:1": invalid checksum digest length
}

func ExampleWithLayerSizes() {
	text, payload := signed()
	m, err := manifest.Parse("application/json", []byte(text))
	fmt.Println(m.IsSchema1(), m.Digest == digest.FromString(payload), err)
	unsized, _ := manifest.Image(m, nil)
	sized, err := manifest.WithLayerSizes(unsized, map[string]int64{digestOf(1): 10, digestOf(2): 5})
	d, _ := manifest.Metadata(sized)
	fmt.Println(sized.DockerImageLayers[0].Name == digestOf(1), sized.DockerImageLayers[0].LayerSize, d.ID, d.Size, err)
	// Output:
	// true true <nil>
	// true 10 i0 15 <nil>
}
