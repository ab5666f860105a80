package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
)

func keys(list *imagestream.ImageStreamList) []string {
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Key().String())
	}
	return out
}

func testList(t *testing.T, s imagestream.Store) {
	for _, key := range []imagestream.Key{{Namespace: "b", Name: "x"}, {Namespace: "a", Name: "z"}, {Namespace: "a", Name: "y"}, {Namespace: "a-b", Name: "x"}} {
		mustCreate(t, s, stream(key.Namespace, key.Name))
	}
	onlyX, err := imagestream.ParseSelector("app=x")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		opts imagestream.ListOptions
		want []string
	}{
		{imagestream.ListOptions{}, []string{"a/y", "a/z", "a-b/x", "b/x"}},
		{imagestream.ListOptions{Namespace: "a"}, []string{"a/y", "a/z"}},
		{imagestream.ListOptions{Namespace: "none"}, nil},
		{imagestream.ListOptions{Labels: onlyX}, []string{"a-b/x", "b/x"}},
		{imagestream.ListOptions{Namespace: "a", Labels: onlyX}, nil},
	} {
		list, err := s.ListImageStreams(t.Context(), tc.opts)
		if err != nil || !slices.Equal(keys(list), tc.want) {
			t.Errorf("list %+v = %v, %v, want %v", tc.opts, keys(list), err, tc.want)
		} else if list.Metadata.ResourceVersion == "" || list.Metadata.Continue != "" {
			t.Errorf("list %+v has the metadata %+v", tc.opts, list.Metadata)
		}
	}
}

func testPages(t *testing.T, s imagestream.Store) {
	var want []string
	for i := range 7 {
		want = append(want, mustCreate(t, s, stream("ns", fmt.Sprintf("s%d", i))).Key().String())
	}
	opts := imagestream.ListOptions{Limit: 3}
	page, err := s.ListImageStreams(t.Context(), opts)
	if err != nil || len(page.Items) != 3 || page.Metadata.Continue == "" {
		t.Fatalf("first page %v, %v", keys(page), err)
	}
	version := page.Metadata.ResourceVersion
	// What is written between pages does not show.
	mustCreate(t, s, stream("ns", "s6a"))
	if err := s.DeleteImageStream(
		t.Context(),
		imagestream.Key{Namespace: "ns", Name: "s5"},
		imagestream.Preconditions{},
	); err != nil {
		t.Fatal(err)
	}
	got := keys(page)
	for opts.Continue = page.Metadata.Continue; opts.Continue != ""; opts.Continue = page.Metadata.Continue {
		if page, err = s.ListImageStreams(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		if page.Metadata.ResourceVersion != version {
			t.Errorf("a page has the version %s, the first one %s", page.Metadata.ResourceVersion, version)
		}
		got = append(got, keys(page)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages have %v, want %v", got, want)
	}
	var all []string
	for s, err := range imagestream.All(t.Context(), s.ListImageStreams, imagestream.ListOptions{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.Key().String())
	}
	if len(all) != 7 {
		t.Errorf("AllImageStreams gives %v", all)
	}
	_, err = s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 3, Continue: "no such token"})
	wantClass(t, "a token that never was", err, imagestream.ErrGone)
}
