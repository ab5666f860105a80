package yaml

import (
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v3"
)

// broken panics as a parser might.
type broken struct{}

func (broken) Read([]byte) (int, error) { panic("index out of range") }

func TestParserThatBreaksDown(t *testing.T) {
	if err := decode(broken{}, func(*goyaml.Node) {}); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("%v", err)
	}
}
