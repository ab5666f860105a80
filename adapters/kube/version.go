package kube

import (
	"strconv"
	"sync/atomic"
)

// isVersion reports whether a cluster can have given a resource version.
func isVersion(version string) bool {
	n, err := strconv.ParseUint(version, 10, 64)
	return err == nil && n > 0 && version[0] != '0'
}

// isOlder reports whether a version comes before another one.
func isOlder(version, other string) bool {
	return len(version) < len(other) || len(version) == len(other) && version < other
}

// newest is the version at which a store has seen its cluster last: that of a list, or a newer one that came since. A
// cluster that is restored from a backup goes back.
type newest struct{ version atomic.Pointer[string] }

// see tells that the cluster has reached a version.
func (n *newest) see(version string) {
	for {
		old := n.version.Load()
		if old != nil && !isOlder(*old, version) || n.version.CompareAndSwap(old, &version) {
			return
		}
	}
}

// is tells the version of a list that has just begun.
func (n *newest) is(version string) { n.version.Store(&version) }

// reaches reports whether the cluster was seen at a version or beyond it.
func (n *newest) reaches(version string) bool {
	old := n.version.Load()
	return old != nil && !isOlder(*old, version)
}
