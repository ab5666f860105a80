package fill_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/imagestreams/imagestreams/internal/fill"
)

type inner struct {
	Name string
	Next *inner
}

type outer struct {
	Flag   bool
	Number int32
	Raw    []byte
	List   []inner
	Map    map[string]inner
	Ptr    *int64
}

func TestValueLeavesNothingZero(t *testing.T) {
	var v outer
	fill.Value(&v)
	if !v.Flag || v.Number == 0 || len(v.Raw) == 0 || len(v.List) != 2 || len(v.Map) != 2 || v.Ptr == nil || *v.Ptr == 0 {
		t.Errorf("something is zero: %+v", v)
	}
	if v.List[0].Next == nil || v.List[0].Name == v.List[1].Name {
		t.Errorf("members are not filled, or alike: %+v", v.List)
	}
}

func TestOverwriteReachesSharedMemory(t *testing.T) {
	var v outer
	fill.Value(&v)
	shallow := v
	fill.Overwrite(&shallow)
	if v.List[0].Name[len(v.List[0].Name)-1] != '!' || len(v.Map) != 3 || v.Raw[0] == '"' {
		t.Errorf("a shallow copy was overwritten and the original does not show it: %+v", v)
	}
}

func TestEachChangesOneLeafAtATime(t *testing.T) {
	var v, before outer
	fill.Value(&v)
	fill.Value(&before)
	var paths []string
	fill.Each(&v, func(path string) {
		if reflect.DeepEqual(v, before) {
			t.Errorf("%s: nothing changed", path)
		}
		paths = append(paths, path)
	})
	if !reflect.DeepEqual(v, before) {
		t.Error("a leaf was not put back")
	}
	for _, want := range []string{".Flag", ".Ptr", ".Ptr=nil", ".List[1].Name", ".List[0].Next=nil"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s was not visited: %q", want, paths)
		}
	}
}
