package podspec

import (
	"strconv"
	"strings"
)

// The lists of a pod spec in which the containers stand that a trigger can address.
const (
	Containers     = "containers"
	InitContainers = "initContainers"
)

// ContainerPath is a field path within a pod spec, taken apart: containers[0].image has the list containers, the
// selector 0 and the rest image.
type ContainerPath struct{ List, Selector, Rest string }

// ParseContainerPath takes a path apart. The selector ends at the first bracket, and one dot after it may be missing.
func ParseContainerPath(path string) (p ContainerPath, ok bool) {
	name, after, ok := strings.Cut(path, "[")
	if !ok || name != Containers && name != InitContainers {
		return ContainerPath{}, false
	}
	selector, rest, ok := strings.Cut(after, "]")
	return ContainerPath{name, selector, strings.TrimPrefix(rest, ".")}, ok
}

// NamePath returns the field path of the image of a container, by its name.
func NamePath(base, list, name string) string {
	return base + "." + list + namePrefix + name + nameSuffix
}

const (
	selectorPrefix = `?(@.name=="`
	selectorSuffix = `")`
	namePrefix     = "[" + selectorPrefix
	nameSuffix     = selectorSuffix + "].image"
)

// Find returns the list and the place of the container that the path addresses in a pod spec. What is no object is no
// container. A number counts in
// the list that the path names; a name is looked for in both lists, init containers first, as the real system does.
func (p ContainerPath) Find(spec map[string]any) (list string, index int, ok bool) {
	if n, err := strconv.Atoi(p.Selector); err == nil {
		return p.List, n, Container(spec, p.List, n) != nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(p.Selector, selectorPrefix), selectorSuffix)
	if name == p.Selector {
		return "", 0, false
	}
	for _, list := range [...]string{InitContainers, Containers} {
		if index, ok := ContainerNamed(spec, list, name); ok {
			return list, index, true
		}
	}
	return "", 0, false
}

// ContainerNamed returns the place of the first container of that name in a list.
func ContainerNamed(spec map[string]any, list, name string) (index int, ok bool) {
	containers, _ := spec[list].([]any)
	for i, c := range containers {
		container, ok := c.(map[string]any)
		if have, _ := container["name"].(string); ok && have == name {
			return i, true
		}
	}
	return 0, false
}

// Container returns a container of a pod spec; nil if it is not there.
func Container(spec map[string]any, list string, index int) map[string]any {
	containers, _ := spec[list].([]any)
	if index < 0 || index >= len(containers) {
		return nil
	}
	container, _ := containers[index].(map[string]any)
	return container
}
