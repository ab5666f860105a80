package imagestream_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/imagestreams/imagestreams/imagestream"
)

// FuzzUpdate decodes two streams and lets each transition make one of the other: nothing panics, no argument changes, what comes out can be
// encoded and decoded again, and storing it again changes nothing.
func FuzzUpdate(f *testing.F) {
	f.Add(`{"metadata":{"namespace":"n","name":"s","resourceVersion":"1","generation":3},"spec":{"tags":[{"name":"a","from":{"kind":"DockerImage","name":"q.io/a:1"},"generation":2}]},`+
		`"status":{"tags":[{"tag":"a","items":[{"created":"2024-01-01T00:00:00Z","dockerImageReference":"q.io/a@sha256:1","image":"sha256:1","generation":2}]}]}}`,
		`{"metadata":{"namespace":"n","name":"s","resourceVersion":"1"},"spec":{"tags":[{"name":"a","from":{"kind":"ImageStreamTag","name":"s:b"}},{"name":"b","from":{"kind":"ImageStreamImage","name":"s@1"},"reference":true}]}}`)
	f.Add(`{"metadata":{"namespace":"n","name":"s","annotations":{"imagestreams.github.io/pins":"{\"a\":{\"event\":{\"dockerImageReference\":\"q.io/a\"},\"until\":\"2024-01-01T00:00:00Z\"}}"}}}`,
		`{"metadata":{"namespace":"n","name":"s"},"status":{"dockerImageRepository":"r.io/a:b","tags":[{"tag":"a","conditions":[{"type":"ImportSuccess","status":"False"}]},{"tag":"a","items":[{}]}]}}`)
	f.Fuzz(func(t *testing.T, oldText, nextText string) {
		var old, next imagestream.ImageStream
		if json.Unmarshal([]byte(oldText), &old) != nil || json.Unmarshal([]byte(nextText), &next) != nil {
			return
		}
		env := imagestream.Env{Now: now, Settings: imagestream.Settings{InternalRegistry: "r.io", AllowedRegistries: []imagestream.RegistryLocation{{DomainName: "q.io"}}}}
		_ = (&old).CheckUpdate(&next)
		for name, prepare := range map[string]func() (*imagestream.ImageStream, imagestream.ErrorList){
			"create": func() (*imagestream.ImageStream, imagestream.ErrorList) { return imagestream.PrepareCreate(&next, env) },
			"internal": func() (*imagestream.ImageStream, imagestream.ErrorList) {
				return imagestream.PrepareCreateInternal(&next, env)
			},
			"update": func() (*imagestream.ImageStream, imagestream.ErrorList) {
				return imagestream.PrepareUpdate(&old, &next, env)
			},
			"status": func() (*imagestream.ImageStream, imagestream.ErrorList) {
				return imagestream.PrepareStatusUpdate(&old, &next, env)
			},
			"updateInternal": func() (*imagestream.ImageStream, imagestream.ErrorList) {
				return imagestream.PrepareUpdateInternal(&old, &next, env)
			},
		} {
			oldBefore, nextBefore := old.Clone(), next.Clone()
			got, errs := prepare()
			if !old.Same(oldBefore) || !next.Same(nextBefore) {
				t.Fatalf("%s changed an argument", name)
			}
			if len(errs) > 0 {
				if got != nil || errs.Err() == nil {
					t.Fatalf("%s: a stream beside the errors %v", name, errs)
				}
				continue
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var again imagestream.ImageStream
			if err := json.Unmarshal(text, &again); err != nil || !got.Same(&again) {
				t.Fatalf("%s: %s is decoded as %+v, %v", name, text, again, err)
			}
			same, errs := imagestream.PrepareUpdate(got, got, env)
			if name != "status" && (len(errs) > 0 || !got.Same(same)) {
				t.Fatalf("%s: storing %s again gives %+v, %v", name, text, same, errs)
			}
		}
	})
}

// FuzzAllowlist compares a location with a regular expression of the same meaning.
func FuzzAllowlist(f *testing.F) {
	f.Add("*.example.com", "eu.example.com/app")
	f.Add("r?g.io:5*0", "reg.io:5000/a/b:c")
	f.Add("a*b*c", "abbbcbc")
	f.Fuzz(func(t *testing.T, location, host string) {
		if strings.Contains(location, ":") || host == "" || strings.ContainsAny(host, ":/@") || !strings.Contains(host, ".") {
			return
		}
		pattern := "^(?s:" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(location)) + ")$"
		spec := host + "/ns/app"
		list := imagestream.Settings{AllowedRegistries: []imagestream.RegistryLocation{{DomainName: location}}, InternalRegistry: ""}.Allowlist()
		matches, err := regexp.MatchString(pattern, host)
		if err != nil {
			return
		}
		got := list.AllowsOver(spec, false)
		everything := imagestream.Settings{}.Allowlist().AllowsOver(spec, false)
		if hub := strings.HasSuffix(host, "docker.io"); !hub && got != (matches && everything) {
			t.Errorf("%q allows %q: %v, and %s matches: %v", location, spec, got, pattern, matches)
		}
		if !list.WithRepositories(spec).Allows(spec) && everything {
			t.Errorf("%q is not allowed though its repository is", spec)
		}
	})
}

// plainMeta is ObjectMeta without its methods: encoding/json knows its members alone.
type plainMeta imagestream.ObjectMeta

// FuzzMetadataJSON compares the metadata's own encoding with encoding/json's, and reads it again.
func FuzzMetadataJSON(f *testing.F) {
	f.Add(`{"name":"app","creationTimestamp":"2024-01-01T00:00:00Z","ownerReferences":[{"controller":true}],"finalizers":["a","b"]}`, "key", "a \"b\" <&>\u2028\n\t\b\f\x01\x7fä\xff")
	f.Add(`{"deletionTimestamp":null,"deletionGracePeriodSeconds":0,"generation":-3,"managedFields":[{"manager":"m","time":"2024-01-01T00:00:00Z","fieldsV1":{"f:a": {}}}]}`, "\\", "")
	f.Add(`{"labels":{},"annotations":{"z":"","a":"b"},"selfLink":"/x","managedFields":[{"fieldsV1":null}],"ownerReferences":[{}]}`, "a/b", "{}")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		var m imagestream.ObjectMeta
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		m.Unknown = nil
		m.GenerateName = value
		m.Labels = map[string]string{key: value, value: key, "": "", "z": "z"}
		want, wantErr := json.Marshal(plainMeta(m))
		got, err := json.Marshal(m)
		if (err == nil) != (wantErr == nil) || string(got) != string(want) {
			t.Fatalf("%s, %v\nwant %s, %v", got, err, want, wantErr)
		}
		if err != nil {
			return
		}
		var again imagestream.ObjectMeta
		if err := json.Unmarshal(got, &again); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if third, err := json.Marshal(again); err != nil || utf8.ValidString(key+value) && string(third) != string(got) {
			t.Fatalf("%s is read as %s, %v", got, third, err)
		}
		m.Unknown = map[string]json.RawMessage{key: nil, "b": json.RawMessage(`{"a": [1]}`)}
		if whole, err := json.Marshal(m); err != nil || !json.Valid(whole) {
			t.Fatalf("%s, %v", whole, err)
		}
	})
}
