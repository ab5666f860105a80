package openapi

import (
	"maps"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Definitions returns the definitions of all types that the server speaks.
func Definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := GetOpenAPIDefinitions(func(name string) spec.Ref { return ref(modelName(name)) })
	for _, definition := range all {
		for i, name := range definition.Dependencies {
			definition.Dependencies[i] = modelName(name)
		}
	}
	maps.Copy(all, coreDefinitions(ref))
	return all
}

// modelName returns the name of a model. The generator gives types of packages that it did not read those of Go.
func modelName(name string) string {
	if strings.HasPrefix(name, "k8s.io/") {
		return util.ToRESTFriendlyName(name)
	}
	return name
}

// coreDefinitions returns those of core/v1, whose package is five times as large as the rest.
func coreDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	meta := metav1.ObjectMeta{}.OpenAPIModelName()
	whole := func(description string, fields map[string]spec.Schema, refs ...string) common.OpenAPIDefinition {
		fields["kind"] = text("Kind is a string value representing the REST resource this object represents.")
		fields["apiVersion"] = text("APIVersion defines the versioned schema of this representation of an object.")
		return object(description, fields, refs...)
	}
	return map[string]common.OpenAPIDefinition{
		v1.ObjectReference{}.OpenAPIModelName(): atomic(object(
			"ObjectReference contains enough information to let you inspect or modify the referred object.",
			map[string]spec.Schema{
				"kind":            text("Kind of the referent."),
				"namespace":       text("Namespace of the referent."),
				"name":            text("Name of the referent."),
				"uid":             text("UID of the referent."),
				"apiVersion":      text("API version of the referent."),
				"resourceVersion": text("Specific resourceVersion to which this reference is made, if any."),
				"fieldPath":       text("Field of the referent that is meant, if it is not the whole object."),
			},
		)),
		v1.LocalObjectReference{}.OpenAPIModelName(): atomic(object(
			"LocalObjectReference contains enough information to let you locate the referenced object inside the same namespace.",
			map[string]spec.Schema{"name": text("Name of the referent.")},
		)),
		v1.Secret{}.OpenAPIModelName(): whole(
			"Secret holds secret data of a certain type.",
			map[string]spec.Schema{
				"metadata":   reference(ref, meta, "Standard object's metadata."),
				"immutable":  {SchemaProps: spec.SchemaProps{Type: []string{"boolean"}, Description: "Whether the data can be updated."}},
				"data":       mapOf(spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"string"}, Format: "byte"}}, "Data contains the secret data."),
				"stringData": mapOf(text(""), "StringData allows specifying non-binary secret data in string form."),
				"type":       text("Used to facilitate programmatic handling of secret data."),
			}, meta,
		),
		v1.SecretList{}.OpenAPIModelName(): whole(
			"SecretList is a list of Secret.",
			map[string]spec.Schema{
				"metadata": reference(ref, metav1.ListMeta{}.OpenAPIModelName(), "Standard list metadata."),
				"items":    listOf(reference(ref, v1.Secret{}.OpenAPIModelName(), ""), "Items is a list of secret objects."),
			}, metav1.ListMeta{}.OpenAPIModelName(), v1.Secret{}.OpenAPIModelName(),
		),
		v1.Namespace{}.OpenAPIModelName(): whole(
			"Namespace provides a scope for Names.",
			map[string]spec.Schema{
				"metadata": reference(ref, meta, "Standard object's metadata."),
				"spec":     reference(ref, v1.NamespaceSpec{}.OpenAPIModelName(), "Spec defines the behavior of the Namespace."),
				"status":   reference(ref, v1.NamespaceStatus{}.OpenAPIModelName(), "Status describes the current status of a Namespace."),
			}, meta, v1.NamespaceSpec{}.OpenAPIModelName(), v1.NamespaceStatus{}.OpenAPIModelName(),
		),
		v1.NamespaceSpec{}.OpenAPIModelName(): object(
			"NamespaceSpec describes the attributes on a Namespace.",
			map[string]spec.Schema{"finalizers": listOf(text(""), "What must be empty before the namespace is removed.")},
		),
		v1.NamespaceStatus{}.OpenAPIModelName(): object(
			"NamespaceStatus is information about the current status of a Namespace.",
			map[string]spec.Schema{"phase": text("Phase is the current lifecycle phase of the namespace.")},
		),
		v1.NamespaceList{}.OpenAPIModelName(): whole(
			"NamespaceList is a list of Namespaces.",
			map[string]spec.Schema{
				"metadata": reference(ref, metav1.ListMeta{}.OpenAPIModelName(), "Standard list metadata."),
				"items":    listOf(reference(ref, v1.Namespace{}.OpenAPIModelName(), ""), "Items is the list of Namespaces."),
			}, metav1.ListMeta{}.OpenAPIModelName(), v1.Namespace{}.OpenAPIModelName(),
		),
	}
}

func text(description string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"string"}, Description: description}}
}

func reference(ref common.ReferenceCallback, name, description string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{
		Description: description, Default: map[string]any{}, Ref: ref(name),
	}}
}

func listOf(item spec.Schema, description string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{
		Type: []string{"array"}, Description: description, Items: &spec.SchemaOrArray{Schema: &item},
	}}
}

func mapOf(value spec.Schema, description string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{
		Type: []string{"object"}, Description: description,
		AdditionalProperties: &spec.SchemaOrBool{Allows: true, Schema: &value},
	}}
}

func object(description string, fields map[string]spec.Schema, refs ...string) common.OpenAPIDefinition {
	return common.OpenAPIDefinition{
		Schema: spec.Schema{SchemaProps: spec.SchemaProps{
			Type: []string{"object"}, Description: description, Properties: fields,
		}},
		Dependencies: refs,
	}
}

// atomic returns a definition of what one manager owns as a whole.
func atomic(definition common.OpenAPIDefinition) common.OpenAPIDefinition {
	definition.Schema.AddExtension("x-kubernetes-map-type", "atomic")
	return definition
}
