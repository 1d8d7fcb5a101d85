package watch

import (
	"strings"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// Kind is what a watch waits for. Kinds stack: one watcher may have all of them on one path.
type Kind uint8

// The kinds.
const (
	Data       Kind = 1 << iota // one event: the node is created, its data changes, or it is deleted
	Child                       // one event: a child comes or goes, or the node is deleted
	Persistent                  // all that Data and Child wait for, until removed
	Recursive                   // creation, change and deletion of the node and all below it, until removed
)

const all = Data | Child | Persistent | Recursive

// Table holds the watches of watchers of type W, which the server takes for connections. All methods may be called at
// once.
type Table[W comparable] struct {
	mu        sync.Mutex // guards everything below
	paths     map[string]*crowd[W]
	watchers  map[W]map[string]struct{} // the paths each one watches
	kinds     [4]int                    // how many watches there are of each kind
	delivered map[W]struct{}            // during Fire: who has got the event; empty otherwise
}

// New returns an empty table.
func New[W comparable]() *Table[W] {
	return &Table[W]{
		paths: make(map[string]*crowd[W]), watchers: make(map[W]map[string]struct{}), delivered: make(map[W]struct{}),
	}
}

// Add adds a watch. One that is there already stays. It refuses to let w watch more than limit paths.
func (t *Table[W]) Add(w W, path string, k Kind, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.paths[path].get(w)
	if was == 0 && len(t.watchers[w]) >= limit {
		return false
	}
	t.set(w, path, was|k)
	return true
}

// set makes the watches of w on path be exactly those of kinds.
func (t *Table[W]) set(w W, path string, kinds Kind) {
	at := t.paths[path]
	was := at.get(w)
	t.count(was, -1)
	t.count(kinds, +1)
	switch {
	case kinds == was:
	case kinds == 0:
		if at.set(w, 0); at.empty() {
			delete(t.paths, path)
		}
		if of := t.watchers[w]; len(of) == 1 {
			delete(t.watchers, w)
		} else {
			delete(of, path)
		}
	case was == 0:
		if at == nil {
			at = new(crowd[W])
			t.paths[path] = at
		}
		of := t.watchers[w]
		if of == nil {
			of = make(map[string]struct{})
			t.watchers[w] = of
		}
		at.set(w, kinds)
		of[path] = struct{}{}
	default:
		at.set(w, kinds)
	}
}

func (t *Table[W]) count(kinds Kind, by int) {
	for i := range t.kinds {
		if kinds&(1<<i) != 0 {
			t.kinds[i] += by
		}
	}
}

// kindsOf returns the kinds that a watcher type of checkWatches and removeWatches is about (§6.5).
func kindsOf(typ wire.WatcherType) Kind {
	switch typ {
	case wire.WatcherChildren:
		return Child
	case wire.WatcherData:
		return Data
	case wire.WatcherAny:
		return all
	case wire.WatcherPersistent:
		return Persistent
	case wire.WatcherRecursive:
		return Recursive
	}
	return 0
}

// Check tells whether w has a watch of that type at exactly this path.
func (t *Table[W]) Check(w W, path string, typ wire.WatcherType) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paths[path].get(w)&kindsOf(typ) != 0
}

// Remove removes the watches of that type that w has at exactly this path, and tells whether there were any.
func (t *Table[W]) Remove(w W, path string, typ wire.WatcherType) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	has, k := t.paths[path].get(w), kindsOf(typ)
	if has&k == 0 {
		return false
	}
	t.set(w, path, has&^k)
	return true
}

// Drop removes all watches of w.
func (t *Table[W]) Drop(w W) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path := range t.watchers[w] {
		t.set(w, path, 0)
	}
}

// Fire hands an event to everyone who waits for it, once to each, and removes the one-shot watches it met. deliver is
// called under the table's lock and must not call back.
func (t *Table[W]) Fire(typ wire.EventType, path string, deliver func(w W, typ wire.EventType, path string)) {
	waiting := waitingFor(typ)
	t.mu.Lock()
	defer t.mu.Unlock()
	above := waiting&Recursive != 0 && t.kinds[3] > 0 // else nobody can be met twice
	for w, has := range t.paths[path].all() {
		if has&waiting == 0 {
			continue
		}
		deliver(w, typ, path)
		if above {
			t.delivered[w] = struct{}{}
		}
		if once := waiting & (Data | Child); has&once != 0 {
			t.set(w, path, has&^once)
		}
	}
	if above {
		t.fireAbove(typ, path, deliver)
		t.forget()
	}
}

// forget empties delivered. A map never shrinks, and clearing one takes time in proportion to its greatest size.
func (t *Table[W]) forget() {
	if len(t.delivered) > 1000 {
		t.delivered = make(map[W]struct{})
	}
	clear(t.delivered)
}

// waitingFor returns the kinds that wait for an event at their own path. A deletion is one event for data and child
// watches together, whoever has both.
func waitingFor(typ wire.EventType) Kind {
	switch typ {
	case wire.EventCreated, wire.EventDataChanged:
		return Data | Persistent | Recursive
	case wire.EventDeleted:
		return all
	case wire.EventChildrenChanged:
		return Child | Persistent
	}
	return 0
}

// fireAbove delivers to the recursive watches of the path's ancestors.
func (t *Table[W]) fireAbove(typ wire.EventType, path string, deliver func(w W, typ wire.EventType, path string)) {
	for p := path; len(p) > 1; {
		p = p[:max(1, strings.LastIndexByte(p, '/'))]
		for w, has := range t.paths[p].all() {
			if _, done := t.delivered[w]; !done && has&Recursive != 0 {
				deliver(w, typ, path)
				t.delivered[w] = struct{}{}
			}
		}
	}
}
