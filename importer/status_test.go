package importer_test

import (
	"errors"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// TestStatusOfFailures is the table of op import.run.
func TestStatusOfFailures(t *testing.T) {
	type failure = importer.RegistryError
	for _, tc := range []struct {
		name string
		err  error
		want imagestream.StatusReason
	}{
		{"manifest unknown", &failure{Operation: importer.OperationManifest, StatusCode: 404,
			Codes: []string{"MANIFEST_UNKNOWN"}}, "NotFound"},
		{"with another status", &failure{Operation: importer.OperationManifest, StatusCode: 400,
			Codes: []string{"MANIFEST_UNKNOWN"}}, "NotFound"},
		{"from a broken server", &failure{Operation: importer.OperationManifest, StatusCode: 500,
			Codes: []string{"MANIFEST_UNKNOWN"}}, "InternalError"},
		{"404 without a code", &failure{Operation: importer.OperationManifest, StatusCode: 404}, "InternalError"},
		{"repository unknown", &failure{Operation: importer.OperationManifest, StatusCode: 404,
			Codes: []string{"NAME_UNKNOWN"}}, "InternalError"},
		{"unauthorized", &failure{Operation: importer.OperationManifest, StatusCode: 403,
			Codes: []string{"UNAUTHORIZED"}}, "Unauthorized"},
		{"401 in plain text", &failure{Operation: importer.OperationManifest, StatusCode: 401, Text: "go away"},
			"Unauthorized"},
		{"401 with details", &failure{Operation: importer.OperationBlob, StatusCode: 401, Details: "x"},
			"Unauthorized"},
		{"401 with another code", &failure{Operation: importer.OperationManifest, StatusCode: 401,
			Codes: []string{"ODD"}}, "InternalError"},
		{"basic challenge", &failure{Operation: importer.OperationManifest, StatusCode: 401, Challenge: "basic"},
			"Unauthorized"},
		{"wrong password", &failure{Operation: importer.OperationToken, StatusCode: 401, WrongPassword: true},
			"Unauthorized"},
		{"token server in other words", &failure{Operation: importer.OperationToken, StatusCode: 401,
			Codes: []string{"UNAUTHORIZED"}}, "InternalError"},
		{"denied", &failure{Operation: importer.OperationManifest, StatusCode: 403, Codes: []string{"DENIED"}},
			"InternalError"},
		{"too many requests", &failure{Operation: importer.OperationManifest, StatusCode: 429}, "InternalError"},
		{"missing configuration", &failure{Operation: importer.OperationBlob, StatusCode: 404,
			Codes: []string{"BLOB_UNKNOWN"}}, "InternalError"},
		{"no tags", &failure{Operation: importer.OperationTags, StatusCode: 404, Codes: []string{"NAME_UNKNOWN"}},
			"NotFound"},
		{"ping", &failure{Operation: importer.OperationPing, StatusCode: 401}, "InternalError"},
		{"something else", errors.New("x"), "InternalError"},
	} {
		s := importer.StatusOf(tc.err)
		if s.Reason != tc.want || s.Code != tc.want.Code() || s.Status != imagestream.StatusFailure ||
			s.Message != tc.err.Error() {
			t.Errorf("%s: %+v, want %s", tc.name, s, tc.want)
		}
	}
}
