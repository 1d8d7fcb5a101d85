package recipes

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// Snapshot is the state of a cache at one moment. It never changes and may be kept. The zero Snapshot is empty.
type Snapshot struct {
	root    string
	version int // counts the snapshots of a cache
	nodes   map[string]client.Node
}

// Root returns the node the cache is made for, and whether it exists.
func (s Snapshot) Root() (client.Node, bool) { return s.Node(s.root) }

// Node returns the node at path, and whether it exists. Its data are shared: do not change them.
func (s Snapshot) Node(path string) (client.Node, bool) {
	n, ok := s.nodes[zpath.Join("/", path)]
	return n, ok
}

// Children returns the nodes right below path, in the order of their names.
func (s Snapshot) Children(path string) []client.Node {
	parent := zpath.Join("/", path)
	var below []client.Node
	for p, n := range s.nodes {
		if up, name := zpath.Split(p); up == parent && name != "" {
			below = append(below, n)
		}
	}
	slices.SortFunc(below, func(a, b client.Node) int { return strings.Compare(a.Path, b.Path) })
	return below
}

// All ranges over the nodes in the order of their paths.
func (s Snapshot) All() iter.Seq[client.Node] {
	return func(yield func(client.Node) bool) {
		for _, p := range slices.Sorted(maps.Keys(s.nodes)) {
			if !yield(s.nodes[p]) {
				return
			}
		}
	}
}

// Len is the number of nodes.
func (s Snapshot) Len() int { return len(s.nodes) }
