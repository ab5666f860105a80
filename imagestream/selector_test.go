package imagestream_test

import (
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
)

func TestSelectors(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "", "build": "12", "example.com/owner": "me"}
	for selector, want := range map[string]bool{
		"": true, " ": true, "app": true, "app=web": true, "app==web": true, "app = web": true, "app=": false, "tier=": true,
		"app!=web": false, "app != api": true, "none!=x": true, "!none": true, "! app": false, "none": false,
		"app in (web,api)": true, "app in(web)": true, "app notin (web)": false, "none notin (x)": true, "tier in ()": true, "tier in (,x)": true,
		"build>11": true, "build>12": false, "build<13": true, "app>1": false, "none<5": false,
		"example.com/owner=me,app": true, "app,none": false,
	} {
		s, err := imagestream.ParseSelector(selector)
		if err != nil || s.Matches(labels) != want {
			t.Errorf("%q matches %v, %v, want %v", selector, s.Matches(labels), err, want)
		}
	}
	for _, bad := range []string{",", "a,", "=x", "a=b=c", "a=-b", "in (x)", "a in x", "a in (x", "a in (x y)", "a>b", "a>", "a/b/c", "-a", "a ~ b", "!", "!a=b", "a=b c"} {
		if s, err := imagestream.ParseSelector(bad); err == nil {
			t.Errorf("%q was read as %q", bad, s)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"a=b,c!=d", "e in (f,g),h notin ()", "!i,j>1,k<2", "l"} {
		f.Add(s, "a", "b")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		s, err := imagestream.ParseSelector(text)
		if err != nil {
			return
		}
		again, err := imagestream.ParseSelector(s.String())
		if err != nil || again.String() != s.String() || again.IsEmpty() != s.IsEmpty() {
			t.Fatalf("%q is printed as %q and read again as %q, %v", text, s, again, err)
		}
		for _, labels := range []map[string]string{nil, {key: value}, {key: "5"}} {
			if s.Matches(labels) != again.Matches(labels) {
				t.Errorf("%q and %q differ on %v", text, again, labels)
			}
		}
	})
}
