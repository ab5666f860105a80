package imagestream

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// MarshalJSON writes the members of m, the unknown ones last, in name order. It writes what encoding/json would write
// of the members, into one buffer.
func (m ObjectMeta) MarshalJSON() ([]byte, error) {
	w := objectWriter{b: make([]byte, 0, m.sizeHint())}
	w.open()
	w.text("name", m.Name)
	w.text("generateName", m.GenerateName)
	w.text("namespace", m.Namespace)
	w.text("selfLink", m.SelfLink)
	w.text("uid", m.UID)
	w.text("resourceVersion", m.ResourceVersion)
	if m.Generation != 0 {
		w.number("generation", m.Generation)
	}
	if !m.CreationTimestamp.IsZero() {
		w.time("creationTimestamp", m.CreationTimestamp)
	}
	if m.DeletionTimestamp != nil {
		w.time("deletionTimestamp", *m.DeletionTimestamp)
	}
	if m.DeletionGracePeriodSeconds != nil {
		w.number("deletionGracePeriodSeconds", *m.DeletionGracePeriodSeconds)
	}
	w.texts("labels", m.Labels)
	w.texts("annotations", m.Annotations)
	w.owners(m.OwnerReferences)
	if len(m.Finalizers) > 0 {
		w.list("finalizers", len(m.Finalizers), func(i int) { w.b = appendText(w.b, m.Finalizers[i]) })
	}
	w.managers(m.ManagedFields)
	for _, name := range slices.Sorted(maps.Keys(m.Unknown)) {
		w.member(name)
		w.raw(m.Unknown[name])
	}
	w.close()
	return w.b, w.err
}

// sizeHint is about how many bytes m takes as JSON.
func (m *ObjectMeta) sizeHint() int {
	const perMember, perEntry = 32, 160
	n := 15*perMember + len(
		m.Name,
	) + len(
		m.Namespace,
	) + len(
		m.UID,
	) + len(
		m.ResourceVersion,
	) + len(
		m.OwnerReferences,
	)*perEntry
	for _, texts := range [...]map[string]string{m.Labels, m.Annotations} {
		for key, value := range texts {
			n += len(key) + len(value) + len(value)/8 + len(`"":"",`)
		}
	}
	for i := range m.ManagedFields {
		n += perEntry + len(m.ManagedFields[i].FieldsV1)
	}
	return n
}

// objectWriter writes JSON objects. It remembers the first error.
type objectWriter struct {
	b     []byte
	comma bool
	err   error
}

func (w *objectWriter) open()  { w.b, w.comma = append(w.b, '{'), false }
func (w *objectWriter) close() { w.b, w.comma = append(w.b, '}'), true }

func (w *objectWriter) member(name string) {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
	w.b = append(appendText(w.b, name), ':')
}

// text writes a member that is left out if it is empty.
func (w *objectWriter) text(name, value string) {
	if value != "" {
		w.member(name)
		w.b = appendText(w.b, value)
	}
}

func (w *objectWriter) number(name string, n int64) {
	w.member(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *objectWriter) flag(name string, value *bool) {
	if value != nil {
		w.member(name)
		w.b = strconv.AppendBool(w.b, *value)
	}
}

func (w *objectWriter) time(name string, t Time) {
	w.member(name)
	text, err := t.MarshalJSON()
	if err != nil && w.err == nil {
		w.err = err
	}
	w.b = append(w.b, text...)
}

// raw writes JSON as it came, null if there is none. Who encodes m checks it.
func (w *objectWriter) raw(text []byte) {
	if len(text) == 0 {
		text = []byte("null")
	}
	w.b = append(w.b, text...)
}

func (w *objectWriter) texts(name string, texts map[string]string) {
	if len(texts) == 0 {
		return
	}
	w.member(name)
	keys := slices.AppendSeq(make([]string, 0, len(texts)), maps.Keys(texts))
	slices.Sort(keys)
	w.open()
	for _, key := range keys {
		w.member(key)
		w.b = appendText(w.b, texts[key])
	}
	w.close()
}

func (w *objectWriter) list(name string, n int, element func(i int)) {
	w.member(name)
	w.b = append(w.b, '[')
	for i := range n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		element(i)
	}
	w.b = append(w.b, ']')
}

func (w *objectWriter) owners(owners []OwnerReference) {
	if len(owners) == 0 {
		return
	}
	w.list("ownerReferences", len(owners), func(i int) {
		o := &owners[i]
		w.open()
		for _, member := range [...]struct{ name, value string }{{"apiVersion", o.APIVersion}, {"kind", o.Kind}, {"name", o.Name}, {"uid", o.UID}} {
			w.member(member.name)
			w.b = appendText(w.b, member.value)
		}
		w.flag("controller", o.Controller)
		w.flag("blockOwnerDeletion", o.BlockOwnerDeletion)
		w.close()
	})
}

func (w *objectWriter) managers(entries []ManagedFieldsEntry) {
	if len(entries) == 0 {
		return
	}
	w.list("managedFields", len(entries), func(i int) {
		e := &entries[i]
		w.open()
		w.text("manager", e.Manager)
		w.text("operation", e.Operation)
		w.text("apiVersion", e.APIVersion)
		if e.Time != nil {
			w.time("time", *e.Time)
		}
		w.text("fieldsType", e.FieldsType)
		if len(e.FieldsV1) > 0 {
			w.member("fieldsV1")
			w.raw(e.FieldsV1)
		}
		w.text("subresource", e.Subresource)
		w.close()
	})
}

// appendText appends s as a JSON string, escaped as encoding/json escapes it.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := len(b)
	b = append(b, '"')
	plain := 0 // the beginning of what is not appended yet
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
			continue
		}
		if c >= utf8.RuneSelf {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // encoding/json encodes every string
			}
			return append(b[:start], text...)
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[plain:]...), '"')
}
