package importer_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/importer"
)

func ExampleRegistryError_Answered_secrets() {
	e := &importer.RegistryError{Operation: importer.OperationManifest, Repository: "quay.io/org/app", Reference: "v1"}
	body := `{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password:\n bob with hunter2"}]}`
	e.Answered(http.StatusUnauthorized, http.Header{"Www-Authenticate": {"Basic realm=x"}}, []byte(body), time.Time{},
		"hunter2")
	fmt.Println(e)
	fmt.Println(e.Class, e.Challenge, e.WrongPassword)
	// Output:
	// manifest of quay.io/org/app:v1: unauthorized: HTTP 401: UNAUTHORIZED: incorrect username or password: bob with ***
	// unauthorized basic true
}

// TestAnswersAreBounded gives every text of an answer far too long, with what a terminal obeys in it.
func TestAnswersAreBounded(t *testing.T) {
	evil := "\x1b[2J\u202e\r\n" + strings.Repeat("x", 60<<10)
	type entry struct{ Code, Message string }
	var many []entry
	for range 1000 {
		many = append(many, entry{evil[:600], evil[:600]})
	}
	quote := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, body := range map[string][]byte{
		"a code":     quote(map[string]any{"errors": []entry{{evil, evil}}}),
		"many codes": quote(map[string]any{"errors": many}),
		"details":    quote(map[string]any{"details": evil}),
		"plain":      []byte(evil),
	} {
		e := &importer.RegistryError{Operation: importer.OperationManifest, Repository: "quay.io/org/app"}
		e.Answered(http.StatusUnauthorized, http.Header{"Www-Authenticate": {evil}}, body, time.Time{})
		for what, sizes := range map[string][2]int{
			"codes": {len(e.Codes), 16}, "text": {len(e.Text), 1 << 10}, "details": {len(e.Details), 1 << 10},
			"challenge": {len(e.Challenge), 64}, "error": {len(e.Error()), 3 << 10},
		} {
			if sizes[0] > sizes[1] {
				t.Errorf("%s: %s of %d, want at most %d", name, what, sizes[0], sizes[1])
			}
		}
		for _, code := range e.Codes {
			if len(code) > 64 {
				t.Errorf("%s: a code of %d bytes", name, len(code))
			}
		}
		if strings.ContainsAny(e.Error(), "\x1b\u202e\r\n") || e.Challenge != "" {
			t.Errorf("%s: %q", name, e.Error())
		}
	}
}

// TestAnswersTellNoSecrets echoes what was sent in every text of an answer.
func TestAnswersTellNoSecrets(t *testing.T) {
	const password = "hunter2"
	basic := base64.StdEncoding.EncodeToString([]byte("bob:" + password))
	for _, echo := range []string{password, "Authorization: Basic " + basic, strings.Repeat("x", 1018) + password,
		"a\x00" + password} {
		for _, format := range []string{`{"errors":[{"code":%q,"message":%q}]}`, `{"details":%q}`, "%s", `{"details":%q`} {
			e := &importer.RegistryError{Operation: importer.OperationToken, Repository: "quay.io/org/app"}
			quoted, err := json.Marshal(echo)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.NewReplacer("%q", string(quoted), "%s", echo).Replace(format)
			e.Answered(http.StatusForbidden, http.Header{}, []byte(body), time.Time{}, password, "bob:"+password)
			text := fmt.Sprintf("%+v %#v", e, *e)
			if strings.Contains(text, password[:4]) || strings.Contains(text, basic[:8]) {
				t.Errorf("%.60q as %s: %s", echo, format, text)
			}
		}
	}
}

// TestKnownCodesStay finds the class of an answer although the password is a code.
func TestKnownCodesStay(t *testing.T) {
	e := &importer.RegistryError{Operation: importer.OperationManifest, Repository: "quay.io/org/app"}
	body := []byte(`{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
	e.Answered(http.StatusBadRequest, http.Header{}, body, time.Time{}, "MANIFEST_UNKNOWN", "KNOWN")
	if e.Class != importer.ClassNotFound || importer.StatusOf(e).Reason != "NotFound" {
		t.Errorf("%v: class %s, reason %s", e, e.Class, importer.StatusOf(e).Reason)
	}
}

// TestWrongPassword is told by the field alone, which is set where the answer is read.
func TestWrongPassword(t *testing.T) {
	for _, tc := range []struct {
		op   importer.Operation
		text string
		want bool
	}{
		{importer.OperationToken, "incorrect username or password", true},
		{importer.OperationToken, "wrong username or password", false}, // the real system looks for other words there
		{importer.OperationManifest, "wrong username or password", true},
		{importer.OperationManifest, strings.Repeat("x", 2000) + "username or password", true},
		{importer.OperationManifest, "no", false},
	} {
		e := &importer.RegistryError{Operation: tc.op, Repository: "quay.io/org/app"}
		e.Answered(http.StatusUnauthorized, http.Header{}, []byte(tc.text), time.Time{})
		if e.WrongPassword != tc.want {
			t.Errorf("%s, %.40q: %v", tc.op, tc.text, e.WrongPassword)
		}
	}
}
