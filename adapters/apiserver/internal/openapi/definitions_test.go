package openapi

import (
	"reflect"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// TestGenerated compares the definitions with the Go types: the file is of these types, and of no older ones. Run go
// generate here after a change of openshift/api's version.
func TestGenerated(t *testing.T) {
	all := Definitions(func(name string) spec.Ref { return spec.MustCreateRef("#/" + name) })
	seen := map[reflect.Type]bool{}
	for _, object := range []any{
		imagev1.Image{}, imagev1.ImageList{}, imagev1.ImageSignature{}, imagev1.ImageStream{}, imagev1.ImageStreamList{},
		imagev1.ImageStreamLayers{}, imagev1.ImageStreamTag{}, imagev1.ImageStreamTagList{}, imagev1.ImageTag{},
		imagev1.ImageTagList{}, imagev1.ImageStreamImage{}, imagev1.ImageStreamMapping{}, imagev1.ImageStreamImport{},
		imagev1.SecretList{},
	} {
		var check func(of reflect.Type)
		check = func(of reflect.Type) {
			for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
				of = of.Elem()
			}
			named, ok := reflect.Zero(of).Interface().(interface{ OpenAPIModelName() string })
			if seen[of] || !ok || of.Kind() != reflect.Struct || !strings.Contains(of.PkgPath(), "openshift") {
				return
			}
			seen[of] = true
			definition, ok := all[named.OpenAPIModelName()]
			if !ok {
				t.Errorf("%s has no definition", of)
				return
			}
			fields := map[string]bool{}
			collect(of, fields, check)
			for name := range fields {
				if _, ok := definition.Schema.Properties[name]; !ok {
					t.Errorf("the definition of %s does not have %s", of, name)
				}
			}
			for name := range definition.Schema.Properties {
				if !fields[name] {
					t.Errorf("the definition of %s has %s", of, name)
				}
			}
		}
		check(reflect.TypeOf(object))
	}
	if len(seen) < 30 {
		t.Errorf("%d types were compared", len(seen))
	}
	for name, definition := range all {
		for _, dependency := range definition.Dependencies {
			if _, ok := all[dependency]; !ok {
				t.Errorf("%s refers to %s, which has no definition", name, dependency)
			}
		}
	}
}

// collect adds the names of a type's fields in JSON, and calls visit with their types.
func collect(of reflect.Type, names map[string]bool, visit func(reflect.Type)) {
	for i := range of.NumField() {
		field := of.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && (field.Anonymous || options == "inline"):
			collect(field.Type, names, visit)
		default:
			names[name] = true
			visit(field.Type)
		}
	}
}
