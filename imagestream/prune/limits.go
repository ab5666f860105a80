package prune

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/imagestreams/imagestreams/internal/podspec"
)

const imageLimit = "openshift.io/Image"

// limitsOf returns the size limits for images in each namespace. See conformance case prune-v0030.
func limitsOf(objects []map[string]any) (map[string][]*big.Rat, error) {
	limits := map[string][]*big.Rat{}
	for _, object := range objects {
		if group, kind := podspec.GroupKind(object); group != "" || kind != "LimitRange" {
			continue
		}
		metadata := podspec.Walk(object, []string{"metadata"})
		entries, _ := podspec.Walk(object, []string{"spec"})["limits"].([]any)
		for i, e := range entries {
			entry, _ := e.(map[string]any)
			storage, ok := podspec.Walk(entry, []string{"max"})["storage"]
			if text(entry, "type") != imageLimit || !ok {
				continue
			}
			limit, ok := parseQuantity(fmt.Sprint(storage))
			if !ok {
				return nil, fmt.Errorf("LimitRange %s/%s: spec.limits[%d].max.storage %q is not a quantity such as 500Mi",
					text(metadata, "namespace"), text(metadata, "name"), i, fmt.Sprint(storage))
			}
			namespace := text(metadata, "namespace")
			limits[namespace] = append(limits[namespace], limit)
		}
	}
	return limits, nil
}

var quantity = regexp.MustCompile(
	`^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]?))$`)

// parseQuantity reads a Kubernetes quantity: a decimal number with an exponent, or a decimal or binary suffix.
func parseQuantity(s string) (*big.Rat, bool) {
	m := quantity.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	n, ok := new(big.Rat).SetString(strings.TrimSuffix(m[1], "."))
	if !ok {
		return nil, false
	}
	switch exponent, suffix := m[2], m[3]; {
	case exponent != "":
		e, err := strconv.Atoi(exponent[1:])
		if err != nil {
			return nil, false
		}
		n.Mul(n, power(10, e))
	case strings.HasSuffix(suffix, "i"):
		n.Mul(n, power(1024, 1+strings.Index("KMGTPE", suffix[:1])))
	case suffix != "":
		n.Mul(n, power(1000, strings.Index("num kMGTPE", suffix)-3))
	}
	return n, true
}

// power returns base to the power of e.
func power(base int64, e int) *big.Rat {
	abs := e
	if e < 0 {
		abs = -e
	}
	p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(abs)), nil))
	if e < 0 {
		p.Inv(p)
	}
	return p
}

// exceeds reports whether an image of that size exceeds a limit of the namespace.
func (c *cluster) exceeds(namespace string, i *image) bool {
	if !i.hasMetadata {
		return false
	}
	for _, limit := range c.limits[namespace] {
		if limit.Cmp(new(big.Rat).SetInt64(i.size)) < 0 {
			return true
		}
	}
	return false
}
