package pullspec_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

func ExampleParse() {
	r, err := pullspec.Parse("quay.io/org/team/app:v1")
	fmt.Println(r.Registry, r.Namespace, r.Name, r.Tag, err)
	_, err = pullspec.Parse("quay.io/org/App")
	fmt.Println(err)
	// Output:
	// quay.io org team/app v1 <nil>
	// "quay.io/org/App": a repository is lower-case letters and digits, joined by one of . _ __ or dashes, in parts joined by /, with the registry's host in front if it is not Docker Hub
}

func ExampleReason() {
	_, _, err := pullspec.ParseTag("nodejs")
	fmt.Printf("--stream nodejs: %s\n", pullspec.Reason(err))
	// Output: --stream nodejs: the name of an image stream tag is <image stream>:<tag>, with one colon and no @
}

func ExampleReference_DockerClientDefaults() {
	r, _ := pullspec.Parse("nodejs")
	fmt.Println(r.Exact(), r.DockerClientDefaults().Exact(), r.DockerClientDefaults().DaemonMinimal().Exact())
	// Output: nodejs docker.io/library/nodejs:latest docker.io/nodejs
}

func ExampleReference_RegistryHostPort() {
	r, _ := pullspec.Parse("docker.io/library/nodejs")
	fmt.Println(r.RegistryHostPort(false))
	// Output: registry-1.docker.io 443
}

func ExampleSplitTag() {
	fmt.Println(pullspec.SplitTag("nodejs:20"))
	fmt.Println(pullspec.SplitTag("nodejs"))
	// Output:
	// nodejs 20 true
	// nodejs latest false
}

func ExampleParseTag() {
	_, _, err := pullspec.ParseTag("nodejs")
	fmt.Println(err)
	// Output: "nodejs": the name of an image stream tag is <image stream>:<tag>, with one colon and no @
}

func ExampleJoinTag() {
	fmt.Println(pullspec.JoinTag("nodejs", "20"), pullspec.JoinTag("nodejs", ""), pullspec.JoinImage("nodejs", "1f"))
	// Output: nodejs:20 nodejs:latest nodejs@1f
}

func ExampleParseImage() {
	fmt.Println(pullspec.ParseImage("nodejs@sha256:1f"))
	fmt.Println(pullspec.SplitImage("nodejs"))
	_, _, err := pullspec.ParseImage("nodejs:20")
	fmt.Println(err)
	// Output:
	// nodejs sha256:1f <nil>
	// nodejs  false
	// "nodejs:20": the name of an image stream image is <image stream>@<image>, with one @
}

func ExampleIsTag() {
	fmt.Println(pullspec.IsTag("v1.2"), pullspec.IsTag("-v1"), pullspec.IsPathSegment("-v1"), pullspec.IsPathSegment("a/b"))
	fmt.Println(pullspec.IsDigest("sha256:1f"), pullspec.IsValid("quay.io/org/app@sha256:1f"))
	// Output:
	// true false true false
	// false false
}

func ExampleMatchImageID() {
	const image = "sha256:1f00000000000000000000000000000000000000000000000000000000000000"
	fmt.Println(pullspec.MatchImageID(image, "1f"), pullspec.MatchImageID(image, "sha256:1f"), pullspec.MatchImageID(image, "1F"))
	// Output: true true false
}

func ExamplePrioritizeTags() {
	fmt.Println(pullspec.PrioritizeTags([]string{"edge", "v1.10.0", "1.9", "latest", "v2.0", "1.10.0-rc.1"}))
	// Output: [latest v2.0 1.9 v1.10.0 1.10.0-rc.1 edge]
}

func ExampleIsStreamName() {
	fmt.Println(pullspec.IsStreamName("node.js_20"), pullspec.IsStreamName("node--js"))
	// Output: true false
}

// samples are pull specs of every shape, right and wrong.
var samples = []string{
	"app", "app:v1", "org/app", "quay.io/org/app:v1", "localhost/app", "localhost:5000/a/b/c:t", "r.io:5000", "r.io",
	"quay.io/org/app@sha256:" + strings.Repeat("1f", 32), "r.io/a:t@sha512:" + strings.Repeat("0A", 64), "Foo/bar", "foo/Bar", "a__b/c",
	"a___b", "a.-b", "", ":", "@", "/", "a/", "/a", "a:", "a@sha256:12", "[::1]:5000/a", "a..b/c", "-a/b", "a-/b", "a-.b/c", "A-/b", "r_x.io/a",
	strings.Repeat("a", 255), strings.Repeat("a", 256), "a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 129), "é", "a\n",
	"a@sha256:" + strings.Repeat("1f", 32) + "@", "a:b:c", "r.io:/a", "r.io:5x/a",
}

func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(checkParse)
}

func TestParseSamples(t *testing.T) {
	for _, s := range samples {
		checkParse(t, s)
	}
}

// checkParse asserts what holds for every text: what is read is printed again as it was, and
// distribution/reference agrees, but for IPv6 hosts, which the API does not read, and for bare hosts.
func checkParse(t *testing.T, s string) {
	r, err := pullspec.Parse(s)
	if pullspec.IsValid(s) != (err == nil) {
		t.Errorf("IsValid(%q) differs from Parse", s)
	}
	named, refErr := reference.Parse(s)
	if err != nil {
		var parseErr *pullspec.ParseError
		if !errors.As(err, &parseErr) || parseErr.Text != s || parseErr.Reason == "" {
			t.Errorf("Parse(%q) error is %#v", s, err)
		}
		if refErr == nil && !strings.HasPrefix(s, "[") {
			t.Errorf("Parse(%q): %v, and distribution/reference reads %v", s, err, named)
		}
		return
	}
	if refErr != nil && strings.ToLower(s) == s && r.Name != "" {
		t.Errorf("Parse(%q) = %+v, and distribution/reference says %v", s, r, refErr)
	}
	if r.Name == "" {
		if r.Registry != s {
			t.Errorf("Parse(%q) = %+v: a bare registry is the whole text", s, r)
		}
		return
	}
	again, err := pullspec.Parse(r.Exact())
	want := r
	if r.ID != "" {
		want.Tag = ""
	}
	if err != nil || again != want {
		t.Errorf("Parse(%q) = %+v, printed %q, read again %+v, %v", s, r, r.Exact(), again, err)
	}
	if d := r.DockerClientDefaults(); d != d.DockerClientDefaults() || !r.Equal(d) {
		t.Errorf("Parse(%q): defaults are not stable: %+v", s, d)
	}
	if m := r.MostSpecific(); m.Tag != "" && m.ID != "" {
		t.Errorf("Parse(%q).MostSpecific() = %+v", s, m)
	}
}

func FuzzPrioritizeTags(f *testing.F) {
	f.Add("latest v1.0 1.0 1.0.0 1.0-rc 01.2 1.2.3+b x")
	f.Fuzz(func(t *testing.T, s string) {
		tags := strings.Split(s, " ")
		before := slices.Clone(tags)
		got := pullspec.PrioritizeTags(tags)
		if !slices.Equal(tags, before) {
			t.Error("the argument was changed")
		}
		if again := pullspec.PrioritizeTags(got); !slices.Equal(got, again) {
			t.Errorf("order %q is not stable: %q", got, again)
		}
		slices.Sort(before)
		sorted := slices.Clone(got)
		slices.Sort(sorted)
		if !slices.Equal(sorted, before) {
			t.Errorf("%q lost or gained tags: %q", before, got)
		}
		if i := slices.Index(got, "latest"); i > 0 && got[i-1] != "latest" {
			t.Errorf("latest is not first in %q", got)
		}
	})
}

func TestPriorityIsTotal(t *testing.T) {
	tag := rapid.OneOf(
		rapid.StringMatching(`v?[0-9]{1,2}\.[0-9]{1,2}(\.[0-9]{1,2})?(-[a-z0-9.]{1,4})?`),
		rapid.SampledFrom([]string{"latest", "edge", "v", "1", ""}),
	)
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfDistinct(tag, rapid.ID[string]).Draw(t, "tags")
		shuffled := rapid.Permutation(tags).Draw(t, "shuffled")
		if a, b := pullspec.PrioritizeTags(tags), pullspec.PrioritizeTags(shuffled); !slices.Equal(a, b) {
			t.Fatalf("%q sorted as %q, and in another order as %q", tags, a, b)
		}
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	const spec = "registry.access.redhat.com:443/ubi9/nodejs/minimal:20@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"
	name := "nodejs:20"
	if n := testing.AllocsPerRun(100, func() {
		r, err := pullspec.Parse(spec)
		if err != nil || r.IsDockerHub() || !pullspec.MatchImageID(r.ID, "1f1f") {
			t.Fatal(r, err)
		}
		r.DockerClientDefaults().DaemonMinimal()
		pullspec.SplitTag(name)
		_, _, _ = pullspec.ParseTag(name)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, tc := range []struct{ name, spec string }{
		{"short", "nodejs:20"},
		{"tag", "quay.io/org/app:v1.2.3"},
		{"digest", "registry.access.redhat.com/ubi9/nodejs-20@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"},
	} {
		b.Run("pullspec/"+tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pullspec.Parse(tc.spec); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("distribution-reference/"+tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := reference.ParseNormalizedNamed(tc.spec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPrioritizeTags(b *testing.B) {
	for _, n := range []int{10, 1000} {
		tags := make([]string, n)
		for i := range tags {
			tags[i] = fmt.Sprintf("v%d.%d.%d", i%7, i%11, i)
		}
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pullspec.PrioritizeTags(tags)
			}
		})
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"app:v1", "app", ":", "app:", ":v1", "a:b:c", "app@sha256:1f", "a@b@c", "@", "a.b_c-d", "a--b", "A", "", "..", "a/b%"} {
		f.Add(s)
	}
	name := regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)
	tag := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digest := regexp.MustCompile(`^(sha256:[0-9a-fA-F]{64}|sha384:[0-9a-fA-F]{96}|sha512:[0-9a-fA-F]{128})$`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := pullspec.IsStreamName(s), name.MatchString(s) && !strings.HasSuffix(s, "\n"); got != want {
			t.Errorf("IsStreamName(%q) = %v, want %v", s, got, want)
		}
		if got, want := pullspec.IsTag(s), tag.MatchString(s) && !strings.HasSuffix(s, "\n"); got != want {
			t.Errorf("IsTag(%q) = %v, want %v", s, got, want)
		}
		if got, want := pullspec.IsDigest(s), digest.MatchString(s) && !strings.HasSuffix(s, "\n"); got != want {
			t.Errorf("IsDigest(%q) = %v, want %v", s, got, want)
		}
		if stream, tag, err := pullspec.ParseTag(s); err == nil {
			if split, splitTag, ok := pullspec.SplitTag(s); pullspec.JoinTag(stream, tag) != s || split != stream || splitTag != tag || !ok {
				t.Errorf("ParseTag(%q) = %q, %q; SplitTag gives %q, %q, %v", s, stream, tag, split, splitTag, ok)
			}
		}
		if stream, id, err := pullspec.ParseImage(s); err == nil {
			if split, splitID, ok := pullspec.SplitImage(s); pullspec.JoinImage(stream, id) != s || split != stream || splitID != id || !ok {
				t.Errorf("ParseImage(%q) = %q, %q; SplitImage gives %q, %q, %v", s, stream, id, split, splitID, ok)
			}
		}
		if !pullspec.MatchImageID(s, s) || !pullspec.MatchImageID(s, "") {
			t.Errorf("%q does not match itself, or the empty id", s)
		}
	})
}
