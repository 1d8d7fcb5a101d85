package watch

import (
	"iter"
	"maps"
	"slices"
)

// Counts are the sizes of a table as ZooKeeper tells them.
type Counts struct {
	Watches                              int // data and child watches; a persistent one counts as both (zk_watch_count)
	DataWatchers, DataPaths, DataWatches int // without child watches (wchs)
}

// inData are the kinds that ZooKeeper keeps in its table of data watches, to which wchs, wchc and wchp keep.
const inData = Data | Persistent | Recursive

// Counts returns the sizes of the table. It takes time in proportion to the table.
func (t *Table[W]) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Counts{Watches: t.kinds[0] + t.kinds[1] + 2*t.kinds[2] + t.kinds[3]}
	watchers := make(map[W]struct{})
	for _, at := range t.paths {
		before := c.DataWatches
		for w, has := range at.all() {
			if has&inData != 0 {
				watchers[w] = struct{}{}
				c.DataWatches++
			}
		}
		if c.DataWatches > before {
			c.DataPaths++
		}
	}
	c.DataWatchers = len(watchers)
	return c
}

// Watches returns the number of watches as Counts does, in constant time.
func (t *Table[W]) Watches() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kinds[0] + t.kinds[1] + 2*t.kinds[2] + t.kinds[3]
}

// Len returns the number of paths that w watches.
func (t *Table[W]) Len(w W) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.watchers[w])
}

// ByPath ranges over the watched paths, sorted, with their watchers; child watches do not count (wchp). It shows the
// table as it was when the range began.
func (t *Table[W]) ByPath() iter.Seq2[string, []W] {
	return func(yield func(string, []W) bool) {
		byPath := make(map[string][]W)
		t.eachData(func(path string, w W) { byPath[path] = append(byPath[path], w) })
		for _, path := range slices.Sorted(maps.Keys(byPath)) {
			if !yield(path, byPath[path]) {
				return
			}
		}
	}
}

// ByWatcher ranges over the watchers with the paths they watch, sorted; child watches do not count (wchc). It shows the
// table as it was when the range began.
func (t *Table[W]) ByWatcher() iter.Seq2[W, []string] {
	return func(yield func(W, []string) bool) {
		byWatcher := make(map[W][]string)
		t.eachData(func(path string, w W) { byWatcher[w] = append(byWatcher[w], path) })
		for w, paths := range byWatcher {
			slices.Sort(paths)
			if !yield(w, paths) {
				return
			}
		}
	}
}

func (t *Table[W]) eachData(f func(path string, w W)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path, at := range t.paths {
		for w, has := range at.all() {
			if has&inData != 0 {
				f(path, w)
			}
		}
	}
}
