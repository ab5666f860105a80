package storetest

import "testing"

func TestCheckChain(t *testing.T) {
	for name, tc := range map[string]struct {
		swaps []swap
		ok    bool
	}{
		"none":        {nil, true},
		"in order":    {[]swap{{"2", "3"}, {"1", "2"}}, true},
		"lost update": {[]swap{{"1", "2"}, {"1", "3"}}, false},
		"from a gap":  {[]swap{{"1", "2"}, {"7", "8"}}, false},
	} {
		if problem := checkChain("1", tc.swaps); (problem == "") != tc.ok {
			t.Errorf("%s: %q", name, problem)
		}
	}
}
