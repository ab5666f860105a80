package imagestream

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Selector chooses objects by their labels. The zero Selector chooses all.
type Selector struct {
	requirements []requirement
}

type requirement struct {
	key    string
	op     selectorOp
	values []string
}

type selectorOp string

const (
	opIn          selectorOp = "in"
	opNotIn       selectorOp = "notin"
	opExists      selectorOp = "exists"
	opNotExists   selectorOp = "!"
	opGreaterThan selectorOp = ">"
	opLessThan    selectorOp = "<"
)

// ParseSelector reads a Kubernetes label selector, a list of requirements that must all hold, joined by
// commas:
//
//	app=shop, tier!=db, env in (test,prod), stage notin (old), owner, !legacy, build>7
//
// A key that is missing satisfies !=, notin and !key alone.
func ParseSelector(s string) (Selector, error) {
	var sel Selector
	if strings.TrimSpace(s) == "" {
		return sel, nil
	}
	for rest := s; ; {
		end := requirementEnd(rest)
		r, problem := parseRequirement(strings.TrimSpace(rest[:end]))
		if problem != "" {
			return Selector{}, fmt.Errorf("label selector %q: %s", s, problem)
		}
		sel.requirements = append(sel.requirements, r)
		if end == len(rest) {
			return sel, nil
		}
		rest = rest[end+1:]
	}
}

// requirementEnd returns where the first comma outside parentheses stands, or the length of s.
func requirementEnd(s string) int {
	inside := false
	for i, c := range s {
		switch c {
		case '(':
			inside = true
		case ')':
			inside = false
		case ',':
			if !inside {
				return i
			}
		}
	}
	return len(s)
}

func parseRequirement(s string) (r requirement, problem string) {
	key, not := strings.CutPrefix(s, "!")
	if not {
		r = requirement{key: strings.TrimSpace(key), op: opNotExists}
		return r, checkKey(r.key)
	}
	end := strings.IndexAny(s, "=!<> \t(")
	if end < 0 {
		return requirement{key: s, op: opExists}, checkKey(s)
	}
	r.key = s[:end]
	if problem := checkKey(r.key); problem != "" {
		return r, problem
	}
	rest := strings.TrimSpace(s[end:])
	for _, set := range []selectorOp{opNotIn, opIn} {
		if list, ok := strings.CutPrefix(rest, string(set)); ok {
			return parseSet(r.key, set, strings.TrimSpace(list))
		}
	}
	for _, sign := range []struct {
		text string
		op   selectorOp
	}{{"==", opIn}, {"=", opIn}, {"!=", opNotIn}, {">", opGreaterThan}, {"<", opLessThan}} {
		value, ok := strings.CutPrefix(rest, sign.text)
		if !ok {
			continue
		}
		r.op, r.values = sign.op, []string{strings.TrimSpace(value)}
		if sign.op == opGreaterThan || sign.op == opLessThan {
			if _, err := strconv.ParseInt(r.values[0], 10, 64); err != nil {
				return r, fmt.Sprintf("%s compares with a whole number, not with %q", sign.op, r.values[0])
			}
			return r, ""
		}
		return r, checkValue(r.values[0])
	}
	return r, fmt.Sprintf("after %q comes =, ==, !=, in, notin, < or >, not %q", r.key, rest)
}

func parseSet(key string, op selectorOp, list string) (r requirement, problem string) {
	inner, ok := strings.CutPrefix(list, "(")
	if ok {
		inner, ok = strings.CutSuffix(inner, ")")
	}
	if !ok {
		return r, fmt.Sprintf("after %q comes a list like (a,b), not %q", key+" "+string(op), list)
	}
	r = requirement{key: key, op: op}
	for value := range strings.SplitSeq(inner, ",") {
		value = strings.TrimSpace(value)
		if problem := checkValue(value); problem != "" {
			return r, problem
		}
		r.values = append(r.values, value)
	}
	slices.Sort(r.values)
	r.values = slices.Compact(r.values)
	return r, ""
}

func checkKey(key string) string {
	if !isLabelKey(key) {
		return fmt.Sprintf(
			"%q is no label key: [prefix/]name, where name is letters, digits, -, _ and ., at most 63, and prefix a domain name",
			key,
		)
	}
	return ""
}

func checkValue(value string) string {
	if !isLabelValue(value) {
		return fmt.Sprintf(
			"%q is no label value: letters, digits, -, _ and ., at most 63, with a letter or a digit at both ends",
			value,
		)
	}
	return ""
}

// Matches reports whether labels satisfy every requirement of s.
func (s Selector) Matches(labels map[string]string) bool {
	for _, r := range s.requirements {
		if !r.matches(labels) {
			return false
		}
	}
	return true
}

func (r requirement) matches(labels map[string]string) bool {
	value, ok := labels[r.key]
	switch r.op {
	case opExists:
		return ok
	case opNotExists:
		return !ok
	case opIn:
		return ok && slices.Contains(r.values, value)
	case opNotIn:
		return !ok || !slices.Contains(r.values, value)
	}
	have, err := strconv.ParseInt(value, 10, 64)
	if !ok || err != nil {
		return false
	}
	bound, err := strconv.ParseInt(r.values[0], 10, 64)
	if r.op == opGreaterThan {
		return err == nil && have > bound
	}
	return err == nil && have < bound
}

// IsEmpty reports whether s chooses all objects.
func (s Selector) IsEmpty() bool { return len(s.requirements) == 0 }

// String returns s in a form that [ParseSelector] reads.
func (s Selector) String() string {
	parts := make([]string, len(s.requirements))
	for i, r := range s.requirements {
		switch r.op {
		case opExists:
			parts[i] = r.key
		case opNotExists:
			parts[i] = "!" + r.key
		case opGreaterThan, opLessThan:
			parts[i] = r.key + string(r.op) + r.values[0]
		default:
			parts[i] = r.key + " " + string(r.op) + " (" + strings.Join(r.values, ",") + ")"
		}
	}
	return strings.Join(parts, ",")
}

// LabelSelector is the form of a [Selector] that stands in objects.
type LabelSelector struct {
	MatchLabels      map[string]string          `json:"matchLabels,omitempty"`
	MatchExpressions []LabelSelectorRequirement `json:"matchExpressions,omitempty"`
}

// LabelSelectorRequirement is a condition on one label. Operator is In, NotIn, Exists or DoesNotExist; the first
// two take values, the others none.
type LabelSelectorRequirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

// Selector returns the Selector that l says. An empty l chooses all objects.
func (l LabelSelector) Selector() (Selector, error) {
	var sel Selector
	add := func(key string, op selectorOp, values ...string) string {
		values = slices.Clone(values)
		slices.Sort(values)
		sel.requirements = append(sel.requirements, requirement{key, op, slices.Compact(values)})
		for _, value := range values {
			if problem := checkValue(value); problem != "" {
				return problem
			}
		}
		return checkKey(key)
	}
	for _, key := range slices.Sorted(maps.Keys(l.MatchLabels)) {
		if problem := add(key, opIn, l.MatchLabels[key]); problem != "" {
			return Selector{}, fmt.Errorf("matchLabels: %s", problem)
		}
	}
	for i, e := range l.MatchExpressions {
		op, ok := expressionOps[e.Operator]
		takesValues := op == opIn || op == opNotIn
		problem := ""
		switch {
		case !ok:
			problem = fmt.Sprintf("operator %q: want In, NotIn, Exists or DoesNotExist", e.Operator)
		case takesValues && len(e.Values) == 0:
			problem = e.Operator + " takes one value at least"
		case !takesValues && len(e.Values) > 0:
			problem = e.Operator + " takes no values"
		default:
			problem = add(e.Key, op, e.Values...)
		}
		if problem != "" {
			return Selector{}, fmt.Errorf("matchExpressions[%d]: %s", i, problem)
		}
	}
	return sel, nil
}

var expressionOps = map[string]selectorOp{"In": opIn, "NotIn": opNotIn, "Exists": opExists, "DoesNotExist": opNotExists}
