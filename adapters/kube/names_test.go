package kube

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	digest := strings.Repeat("0af9", 16)
	for _, tc := range []struct{ separators, name, kube string }{
		{streamSeparators, "app", "app"},
		{streamSeparators, "node.js_20", "node.js--20"},
		{streamSeparators, "a-b_c.d", "a-b--c.d"},
		{imageSeparators, "sha256:" + digest, "sha256-" + digest},
		{imageSeparators, "sha256-x:1_2+3.4", "sha256--x-1---2----3.4"},
		{streamSeparators, strings.Repeat("a", 253), strings.Repeat("a", 253)},
		// What cannot be stored.
		{streamSeparators, "", ""}, {streamSeparators, "App", ""}, {streamSeparators, "a--b", ""},
		{streamSeparators, "a_", ""}, {streamSeparators, ".a", ""}, {streamSeparators, "a:b", ""},
		{streamSeparators, "a/b", ""}, {streamSeparators, "ä", ""},
		{streamSeparators, strings.Repeat("a", 254), ""}, {streamSeparators, "a_" + strings.Repeat("a", 251), ""},
		{imageSeparators, "sha256:ABC", ""}, {imageSeparators, "sha256:", ""}, {imageSeparators, "a@b", ""},
	} {
		got, ok := toKube(tc.name, tc.separators)
		if ok != (tc.kube != "") || ok && got != tc.kube {
			t.Errorf("toKube(%q, %q) = %q, %t, want %q", tc.name, tc.separators, got, ok, tc.kube)
		}
		if back, ok := fromKube(got, tc.separators); ok && back != tc.name {
			t.Errorf("fromKube(%q, %q) = %q, want %q", got, tc.separators, back, tc.name)
		}
	}
	for _, kube := range []string{"", "a---b", "-a", "a-", "a.-b", "A"} {
		if name, ok := fromKube(kube, streamSeparators); ok {
			t.Errorf("fromKube(%q) = %q", kube, name)
		}
	}
}

// subdomain is what Kubernetes takes for the name of a custom resource.
var subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// TestNamesAreTheirOwn holds that two names never meet in the cluster, and that each comes back.
func TestNamesAreTheirOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		separators := rapid.SampledFrom([]string{streamSeparators, imageSeparators}).Draw(t, "separators")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("a0.-_:+A")), 0, 12, -1)
		name, kube := text.Draw(t, "name"), text.Draw(t, "kube")
		if there, ok := toKube(name, separators); ok {
			if back, ok := fromKube(there, separators); !ok || back != name || !subdomain.MatchString(there) {
				t.Fatalf("%q is %q there, and that is %q, %t", name, there, back, ok)
			}
		}
		if here, ok := fromKube(kube, separators); ok {
			if there, ok := toKube(here, separators); !ok || there != kube {
				t.Fatalf("%q is %q here, and that is %q there, %t", kube, here, there, ok)
			}
		}
	})
}
