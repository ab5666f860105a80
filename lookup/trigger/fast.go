package trigger

import "strings"

// parseFast reads a list of triggers as oc and the documentation write it, many times faster than encoding/json:
// members by their exact names, strings without other escapes than \" and \\. It gives up on anything else, right or
// wrong.
func parseFast(text string) ([]Trigger, bool) {
	s := scanner{text: text}
	if !s.take('[') {
		return nil, false
	}
	if s.take(']') {
		return []Trigger{}, s.end()
	}
	triggers := make([]Trigger, 0, 1+strings.Count(text, "},{"))
	for {
		triggers = append(triggers, Trigger{})
		if !s.trigger(&triggers[len(triggers)-1]) {
			return nil, false
		}
		if !s.take(',') {
			return triggers, s.take(']') && s.end()
		}
	}
}

// scanner reads JSON.
type scanner struct {
	text string
	at   int
}

// take skips white space and c, and reports whether c was there.
func (s *scanner) take(c byte) bool {
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// end reports whether only white space is left.
func (s *scanner) end() bool {
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
	return s.at == len(s.text)
}

// trigger reads an object into t.
func (s *scanner) trigger(t *Trigger) bool {
	return s.object(func(name string) bool {
		switch name {
		case "from":
			return s.object(func(name string) bool { return s.from(&t.From, name) })
		case "fieldPath":
			return s.string(&t.FieldPath)
		case "paused":
			return s.bool(&t.Paused)
		}
		return false
	})
}

// from reads the value of a member of a from.
func (s *scanner) from(f *From, name string) bool {
	switch name {
	case "kind":
		return s.string(&f.Kind)
	case "name":
		return s.string(&f.Name)
	case "namespace":
		return s.string(&f.Namespace)
	case "apiVersion":
		return s.string(&f.APIVersion)
	}
	return false
}

// object reads an object, whose members' values value reads.
func (s *scanner) object(value func(name string) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		var name string
		if !s.string(&name) || !s.take(':') || !value(name) {
			return false
		}
		if !s.take(',') {
			return s.take('}')
		}
	}
}

// string reads a string.
func (s *scanner) string(into *string) bool {
	if !s.take('"') {
		return false
	}
	start, escaped := s.at, false
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			*into = s.text[start:s.at]
			if escaped {
				*into = unescape(*into)
			}
			s.at++
			return true
		case c == '\\':
			s.at++
			escaped = true
			if s.at >= len(s.text) || s.text[s.at] != '"' && s.text[s.at] != '\\' {
				return false
			}
		case c < ' ' || c > '~':
			return false
		}
	}
	return false
}

// unescape drops the backslashes that stand before quotes and backslashes.
func unescape(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// bool reads true or false.
func (s *scanner) bool(into *bool) bool {
	for _, value := range [...]string{"true", "false"} {
		if s.take(value[0]) {
			ok := strings.HasPrefix(s.text[s.at:], value[1:])
			s.at += len(value) - 1
			*into = value == "true"
			return ok
		}
	}
	return false
}
