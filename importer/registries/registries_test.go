package registries_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/importer/registries"
)

var config = registries.Configuration{
	IDMS: []registries.Rule{{Source: "quay.io/org",
		Mirrors: []string{"mirror.example.com/quay", "backup.example.com/quay"}}},
	ITMS:               []registries.Rule{{Source: "quay.io", Mirrors: []string{"mirror.example.com/tags"}}},
	InsecureRegistries: []string{"registry.local:5000"},
	BlockedRegistries:  []string{"docker.io"},
	AllowedRegistries:  []imagestream.RegistryLocation{{DomainName: "quay.io"}},
}

func ExampleRegistries_Sources() {
	r := registries.New(config)
	fmt.Println(r.Sources("quay.io/org/app", true))
	fmt.Println(r.Sources("quay.io/other/app", false))
	bad := registries.New(registries.Configuration{ITMS: []registries.Rule{{Source: "quay.io/org/app",
		Mirrors: []string{"mirror.example.com"}}}})
	fmt.Println(bad.Sources("quay.io/org/app", false))
	// Output:
	// [mirror.example.com/quay/app backup.example.com/quay/app quay.io/org/app] <nil>
	// [mirror.example.com/tags/other/app quay.io/other/app] <nil>
	// [quay.io/org/app] mirror mirror.example.com of quay.io/org/app gives "mirror.example.com", which is not a valid repository: repository name must be canonical
}

func ExampleRegistries_IsBlocked() {
	r := registries.New(config)
	hub, _ := pullspec.Parse("nodejs:20")
	quay, _ := pullspec.Parse("quay.io/org/app")
	fmt.Println(r.IsBlocked(hub), r.IsBlocked(quay))
	// Output: true false
}

func ExampleRegistries_IsInsecure() {
	r := registries.New(config)
	fmt.Println(r.IsInsecure("registry.local:5000"), r.IsInsecure("quay.io"))
	// Output: true false
}

func ExampleRegistries_Allowlist() {
	list := registries.New(config).Allowlist("registry.svc:5000")
	fmt.Println(list.AllowsOver("quay.io/org/app", false),
		list.AllowsOver("ghcr.io/org/app", false), list.AllowsOver("registry.svc:5000/shop/app", false))
	// Output: true false true
}

func ExampleNew() {
	// Lists of mirrors for one source are merged in an order that keeps that of each.
	r := registries.New(registries.Configuration{
		IDMS: []registries.Rule{{Source: "quay.io", Mirrors: []string{"c.example.com/q", "a.example.com/q"}}},
		ICSP: []registries.Rule{{Source: "quay.io", Mirrors: []string{"a.example.com/q", "b.example.com/q"}}},
	})
	fmt.Println(r.Sources("quay.io/x", true))
	// Output: [c.example.com/q/x a.example.com/q/x b.example.com/q/x quay.io/x] <nil>
}

// TestMergedOrder keeps the order of every list where no ring forbids it, and loses no mirror.
func TestMergedOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a.io/x", "b.io/x", "c.io/x", "d.io/x", "e.io/x"}
		order := rapid.Permutation(names).Draw(t, "order")
		var rules []registries.Rule
		all := map[string]bool{}
		for range rapid.IntRange(1, 4).Draw(t, "lists") {
			var list []string
			for _, name := range order {
				if rapid.Bool().Draw(t, "in") {
					list = append(list, name)
					all[name] = true
				}
			}
			if len(list) > 0 {
				rules = append(rules, registries.Rule{Source: "quay.io", Mirrors: list})
			}
		}
		got, err := registries.New(registries.Configuration{ITMS: rules}).Sources("quay.io/app", false)
		if err != nil || len(got) != len(all)+1 || got[len(got)-1] != "quay.io/app" {
			t.Fatalf("%v, %v of %v", got, err, rules)
		}
		for _, rule := range rules {
			for i := 1; i < len(rule.Mirrors); i++ {
				if slices.Index(got, rule.Mirrors[i-1]+"/app") > slices.Index(got, rule.Mirrors[i]+"/app") {
					t.Fatalf("%v is not the order of %v", got, rule.Mirrors)
				}
			}
		}
	})
}
