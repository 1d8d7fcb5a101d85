package memdisk

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

const sector = 512

// node is a file, or a folder if names is not nil. All of it is guarded by Disk.mu.
type node struct {
	name    string  // of a file, the one it got last
	live    []byte  // as a process reads it
	durable []byte  // as it was synced last
	writes  []write // since then

	names   map[string]*node
	synced  map[string]*node
	changes []change // of names since they were synced
}

// write is a write that was not synced.
type write struct {
	off  int64
	data []byte
}

// change gives name to node (if that is not nil), and takes gone (if it is not empty) from whatever had it: both or neither.
type change struct {
	name string
	node *node
	gone string
}

func newDir() *node {
	return &node{names: make(map[string]*node), synced: make(map[string]*node)}
}

func (c change) apply(to map[string]*node) {
	if c.gone != "" {
		delete(to, c.gone)
	}
	if c.node != nil {
		to[c.name] = c.node
	}
}

func (n *node) change(c change) {
	c.apply(n.names)
	n.changes = append(n.changes, c)
}

func (n *node) syncNames() {
	n.synced, n.changes = maps.Clone(n.names), nil
}

// put writes into b, which grows as needed.
func put(b []byte, off int64, data []byte) []byte {
	if end := off + int64(len(data)); end > int64(len(b)) {
		b = slices.Grow(b, int(end)-len(b))
		b = b[:end]
	}
	copy(b[off:], data)
	return b
}

func (n *node) write(off int64, data []byte) {
	n.live = put(n.live, off, data)
	n.writes = append(n.writes, write{off, slices.Clone(data)})
}

func (n *node) sync() {
	for _, w := range n.writes {
		n.durable = put(n.durable, w.off, w.data)
	}
	n.writes = nil
}

// lose keeps of the writes that were not synced what chance decides, and takes them for synced.
func (n *node) lose(rnd *rand.Rand) {
	if rnd != nil && len(n.writes) > 0 {
		n.keep(rnd)
	}
	n.writes = nil
}

// keep decides, for each sector written to, which of the writes to it were the last to reach the disk.
func (n *node) keep(rnd *rand.Rand) {
	style := rnd.IntN(4) // all, none, or any; sectors are kept rarely or often
	if style == 0 {
		n.sync()
	}
	if style <= 1 {
		return
	}
	reached := make(map[int64]int)
	for i, w := range n.writes {
		for s := w.off / sector; s*sector < w.off+int64(len(w.data)); s++ {
			if rnd.IntN(4) < style {
				reached[s] = i + 1
			}
		}
	}
	for i, w := range n.writes {
		for at := w.off; at < w.off+int64(len(w.data)); {
			end := min((at/sector+1)*sector, w.off+int64(len(w.data)))
			if i < reached[at/sector] {
				n.durable = put(n.durable, at, w.data[at-w.off:end-w.off])
			}
			at = end
		}
	}
}

// crash leaves what is durable, here and below.
func (n *node) crash(rnd *rand.Rand) {
	if n.names == nil {
		n.lose(rnd)
		n.live = slices.Clone(n.durable)
		return
	}
	if rnd != nil {
		often := 1 + rnd.IntN(4)
		for _, c := range n.changes {
			if rnd.IntN(4) < often {
				c.apply(n.synced)
			}
		}
	}
	n.names, n.changes = maps.Clone(n.synced), nil
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].name = name
		n.names[name].crash(rnd)
	}
}

func (n *node) clone(seen map[*node]*node) *node {
	if n == nil || seen[n] != nil {
		return seen[n]
	}
	c := &node{name: n.name, live: slices.Clone(n.live), durable: slices.Clone(n.durable), writes: slices.Clone(n.writes)}
	seen[n] = c
	if n.names == nil {
		return c
	}
	c.names, c.synced = make(map[string]*node), make(map[string]*node)
	for name, k := range n.names {
		c.names[name] = k.clone(seen)
	}
	for name, k := range n.synced {
		c.synced[name] = k.clone(seen)
	}
	for _, k := range n.changes {
		c.changes = append(c.changes, change{k.name, k.node.clone(seen), k.gone})
	}
	return c
}

func (n *node) walk(at string, f func(string, *node)) {
	if n.names == nil {
		f(at, n)
		return
	}
	for name, k := range n.names {
		k.walk(path.Join(at, name), f)
	}
}

func (n *node) sum() (bytes int64) {
	n.walk("", func(_ string, k *node) { bytes += int64(len(k.live)) })
	return bytes
}

// parts are the names on the way to a file.
func parts(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(clean(name), "/") {
			if part != "" && !yield(part) {
				return
			}
		}
	}
}
