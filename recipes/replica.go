package recipes

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// readsAtOnce bounds the reads a cache sends in one go: enough to fill a round trip, and no flood after a reconnect.
const readsAtOnce = 256

// replica is a part of the tree as far as it has been read. It belongs to one goroutine.
type replica struct {
	root    string
	depth   int
	nodes   map[string]client.Node
	changed bool                // since the last endWalk
	walk    map[string]struct{} // what a comparison of everything has come by so far; nil when there is none
}

// level is how far a path lies below the root.
func (r *replica) level(path string) int {
	if path == r.root {
		return 0
	}
	return strings.Count(strings.TrimPrefix(path, strings.TrimSuffix(r.root, "/")), "/")
}

// beginWalk begins a comparison of everything: every node is listed once more, whether it looks new or not.
func (r *replica) beginWalk() { r.walk = make(map[string]struct{}) }

// endWalk drops what a comparison of everything did not come by, and tells whether anything has changed since the
// last call.
func (r *replica) endWalk() (changed bool) {
	if r.walk != nil {
		for path := range r.nodes {
			if _, ok := r.walk[path]; !ok {
				r.drop(path)
			}
		}
	}
	changed, r.walk, r.changed = r.changed, nil, false
	return changed
}

// read reads the nodes at paths, and returns the paths that are to be read in turn.
func (r *replica) read(ctx context.Context, s *client.Session, paths []string) (more []string, err error) {
	for chunk := range slices.Chunk(paths, readsAtOnce) {
		below, err := r.readSome(ctx, s, chunk)
		if err != nil {
			return nil, err
		}
		more = append(more, below...)
	}
	return more, nil
}

func (r *replica) readSome(ctx context.Context, s *client.Session, paths []string) (more []string, err error) {
	nodes, lists := make([]*client.Future[client.Reading], len(paths)), make(map[string]*client.Future[client.Listing])
	b := s.Batch()
	for i, path := range paths {
		nodes[i] = b.Get(path)
	}
	if err := b.Do(ctx); err != nil {
		return nil, err
	}
	b = s.Batch()
	for i, path := range paths {
		reading, err := nodes[i].Get()
		switch {
		case r.hidden(path, err):
			r.drop(path)
			continue
		case err != nil:
			return nil, err
		case r.level(path) < r.depth && r.unlisted(reading.Node):
			lists[path] = b.Children(path)
		}
		r.store(reading.Node)
	}
	if len(lists) == 0 {
		return nil, nil
	}
	if err := b.Do(ctx); err != nil {
		return nil, err
	}
	for path, list := range lists {
		listing, err := list.Get()
		switch {
		case r.hidden(path, err):
			r.drop(path)
		case err != nil:
			return nil, err
		}
		for _, name := range listing.Names {
			more = append(more, zpath.Join(path, name))
		}
	}
	return more, nil
}

// hidden holds for an error that means: there is nothing for us to see.
func (r *replica) hidden(path string, err error) bool {
	return errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrNoAuth) && path != r.root
}

// unlisted holds for a node whose children nobody will name to us: events tell only of those that come and go from now
// on. The comparison is by zxid: a node deleted and made anew may have the versions of the old one.
func (r *replica) unlisted(n client.Node) bool {
	if known, ok := r.nodes[n.Path]; !ok || known.Stat.Czxid != n.Stat.Czxid {
		return true
	}
	if r.walk == nil {
		return false
	}
	_, listed := r.walk[n.Path]
	return !listed
}

func (r *replica) store(n client.Node) {
	if r.walk != nil {
		r.walk[n.Path] = struct{}{}
	}
	known, ok := r.nodes[n.Path]
	if !ok || known.Stat.Czxid != n.Stat.Czxid || known.Stat.Mzxid != n.Stat.Mzxid {
		r.nodes[n.Path], r.changed = n, true
	}
}

func (r *replica) drop(path string) {
	delete(r.walk, path)
	if _, ok := r.nodes[path]; ok {
		delete(r.nodes, path)
		r.changed = true
	}
}

// marks is the set of paths that are to be read. One goroutine takes, any may mark.
type marks struct {
	wake chan struct{} // room for one: there is something to take

	mu    sync.Mutex // guards the rest
	paths map[string]struct{}
	all   bool // everything is to be compared
	root  string
}

// newMarks returns marks that say: everything.
func newMarks(root string) *marks {
	m := &marks{wake: make(chan struct{}, 1), paths: make(map[string]struct{}), root: root}
	m.markAll()
	return m
}

// mark adds paths, and tells whether there is anything to take now.
func (m *marks) mark(paths []string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range paths {
		m.paths[p] = struct{}{}
	}
	if len(m.paths) == 0 {
		return false
	}
	m.nudge()
	return true
}

func (m *marks) markAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = true
	m.paths[m.root] = struct{}{}
	m.nudge()
}

func (m *marks) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take waits until there are marks, and takes them all.
func (m *marks) take(ctx context.Context) (paths []string, all bool, err error) {
	for {
		select {
		case <-m.wake:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		m.mu.Lock()
		for p := range m.paths {
			paths = append(paths, p)
		}
		all, m.all = m.all, false
		clear(m.paths)
		m.mu.Unlock()
		if len(paths) > 0 {
			return paths, all, nil
		}
	}
}
