package importer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/registries"
)

func ExampleFailure() {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	done, err := w.importer.Import(context.Background(), importOf("", "v1", "v2"))
	if err != nil {
		fmt.Println(err)
	}
	err = importer.Failure(done)
	fmt.Println(err)
	var tag *importer.TagError
	fmt.Println(errors.Is(err, importer.ErrFailed), errors.As(err, &tag), tag.Tag, tag.Class == importer.ClassNotFound)
	// Output:
	// not imported: tag v2: manifest of quay.io/org/app:v2: not found: HTTP 404: MANIFEST_UNKNOWN
	// true true v2 true
}

func ExampleFailures() {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v0")
	w.registry.SetFaults(fakes.Fault{Ref: "v2", Status: 429, Code: "TOOMANYREQUESTS",
		Header: http.Header{"Retry-After": {"600"}}})
	done, err := w.importer.Import(context.Background(), importOf("", "v1", "v2"))
	for _, e := range importer.Failures(done) {
		fmt.Println(e.Tag, e.Class, e.RetryAfter)
	}
	fmt.Println(err)
	// Output:
	// v1 not found 0s
	// v2 too many requests 10m0s
	// <nil>
}

// TestFailuresKeepTheirCauses carries an answer over JSON, as HTTP does: each tag still has its class and its cause.
func TestFailuresKeepTheirCauses(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "good")
	w.registry.SetFaults(
		fakes.Fault{Ref: "busy", Status: 429, Body: "slow down",
			Header: http.Header{"Retry-After": {"90"}}}, fakes.Fault{Ref: "down", Refuse: true},
		fakes.Fault{Ref: "secret", Status: 403, Code: "DENIED"}, fakes.Fault{Ref: "bad", Status: 200, Body: "?"},
	)
	done, err := w.importer.Import(t.Context(), importOf("", "good", "busy", "down", "secret", "gone", "bad"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(done)
	if err != nil {
		t.Fatal(err)
	}
	var sent imagestream.ImageStreamImport
	if err := json.Unmarshal(text, &sent); err != nil {
		t.Fatal(err)
	}
	classes := map[string]importer.Class{}
	for _, e := range importer.Failures(&sent) {
		classes[e.Tag] = e.Class
		var cause *importer.RegistryError
		if !errors.As(e, &cause) || cause.Class != e.Class || cause.Repository != "quay.io/org/app" ||
			cause.Reference != e.Tag || cause.Error() != e.Message {
			t.Errorf("%s: cause %+v of %q", e.Tag, cause, e.Message)
		}
		if e.Tag == "busy" && (cause.RetryAfter != 90*time.Second || cause.StatusCode != 429 ||
			e.RetryAfter != 90*time.Second) {
			t.Errorf("%+v", cause)
		}
		if e.Tag == "secret" && (len(cause.Codes) != 1 || cause.Codes[0] != "DENIED") {
			t.Errorf("%+v", cause)
		}
	}
	want := map[string]importer.Class{
		"busy": importer.ClassTooManyRequests, "down": importer.ClassUnavailable, "secret": importer.ClassForbidden,
		"gone": importer.ClassNotFound,
		"bad":  importer.ClassInvalid,
	}
	if diff := cmp.Diff(want, classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
}

// TestFailuresOfMirrorsKeepTheirCauses has a mirror that is down and a repository without the tag: the status hides
// what kind of failure it is, the error does not.
func TestFailuresOfMirrorsKeepTheirCauses(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	w.importer.Registries = registries.New(registries.Configuration{ITMS: []registries.Rule{{Source: "quay.io/org",
		Mirrors: []string{"mirror.example.com/x"}}}})
	done, err := w.importer.Import(t.Context(), importOf("", "v2"))
	if err != nil {
		t.Fatal(err)
	}
	var cause *importer.RegistryError
	err = importer.Failure(done)
	if !errors.As(err, &cause) || cause.Class != importer.ClassNotFound ||
		done.Status.Images[0].Status.Reason != imagestream.ReasonInternalError {
		t.Errorf("%v: %+v", err, cause)
	}
}

// TestFailuresOfARepository are those of its tags, or that of the list.
func TestFailuresOfARepository(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1", "v2")
	imp := importOf("")
	from := imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app"}
	imp.Spec.Repository = &imagestream.RepositoryImportSpec{From: from}
	for _, tc := range []struct {
		fault fakes.Fault
		want  string
	}{
		{fakes.Fault{Kind: "manifest", Ref: "v1", Status: 503, Body: "out of order"}, "v1 unavailable"},
		{fakes.Fault{Kind: "tags", Status: 404, Code: "NAME_UNKNOWN"}, " not found"},
	} {
		w.registry.SetFaults(tc.fault)
		done, err := w.importer.Import(t.Context(), imp)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range importer.Failures(done) {
			got += e.Tag + " " + string(e.Class)
		}
		if got != tc.want {
			t.Errorf("%+v gives %q, want %q", tc.fault, got, tc.want)
		}
	}
}
