package client

import (
	"slices"
	"strings"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// watchTable holds the watches of a session, by what the server knows them as.
type watchTable struct {
	s *session

	mu      sync.Mutex // guards the rest; held while removals are queued, so that they keep their place among requests
	entries map[watchKey]*watchEntry
	later   []watchKey      // to be taken off the server once there is a connection
	stale   map[string]bool // nodes on which the server keeps a watch that nobody needs
	open    int             // members
	ended   error
}

// watchEntry is the reference count of one watch of the server.
type watchEntry struct {
	members []member
	coming  int  // registrations on their way
	armed   bool // the server of the present connection has it
}

func (t *watchTable) init(s *session) {
	t.s = s
	t.entries, t.stale = make(map[watchKey]*watchEntry), make(map[string]bool)
}

// announce counts a registration that is about to be sent. Exactly one resolve follows.
func (t *watchTable) announce(key watchKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return // and so does resolve
	}
	e := t.entries[key]
	if e == nil {
		e = new(watchEntry)
		t.entries[key] = e
	}
	e.coming++
}

// resolve ends a registration: the server has set the watch, or has not.
func (t *watchTable) resolve(reg *registration, armed bool) {
	t.mu.Lock()
	ended := t.ended
	if ended == nil {
		e := t.entries[reg.key]
		e.coming--
		if armed {
			e.armed = true
			e.members = append(e.members, reg.member)
			t.open++
		}
		t.tidy(reg.key, e)
	}
	t.mu.Unlock()
	if ended != nil && armed {
		reg.member.fail(ended)
	}
}

// leave takes out a member that was closed.
func (t *watchTable) leave(key watchKey, m member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if e == nil {
		return
	}
	if i := slices.Index(e.members, m); i >= 0 {
		e.members = slices.Delete(e.members, i, i+1)
		t.open--
		t.tidy(key, e)
	}
}

// tidy drops an entry that nobody needs, and takes its watch off the server. The caller holds mu.
func (t *watchTable) tidy(key watchKey, e *watchEntry) {
	if len(e.members) > 0 || e.coming > 0 {
		return
	}
	delete(t.entries, key)
	switch {
	case t.stale[key.path] && !t.needed(key.path):
		delete(t.stale, key.path)
		if c := t.s.conn.Load(); c != nil {
			t.send(c, key, wire.WatcherAny)
		}
	case e.armed:
		t.remove(key)
	}
}

// needed tells whether anybody waits for a node. The caller holds mu.
func (t *watchTable) needed(path string) bool {
	for kind := dataWatch; kind <= recursiveWatch; kind++ {
		if t.entries[watchKey{kind, path}] != nil {
			return true
		}
	}
	return false
}

// remove queues the removal of a watch from the server. The caller holds mu.
func (t *watchTable) remove(key watchKey) {
	c := t.s.conn.Load()
	if c == nil {
		t.later = append(t.later, key)
		return
	}
	if t.shared(key) { // old servers would remove both; until the other one goes, too, its events find nobody
		t.stale[key.path] = true
		return
	}
	t.send(c, key, key.kind.serverType())
}

// removed looks at the answer to a removal. Servers before 3.9 know no types for lasting watches, and say so.
func (t *watchTable) removed(q *request, code Code) {
	if code != ErrMarshalling || q.watcher != wire.WatcherPersistent && q.watcher != wire.WatcherRecursive {
		return // ErrNoWatcher: its event was on the way
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.needed(q.path) {
		t.stale[q.path] = true
	} else if c := t.s.conn.Load(); c != nil {
		t.send(c, watchKey{path: q.path}, wire.WatcherAny)
	}
}

// shared tells whether a watch of another life time stands on the same node. ZooKeeper before 3.9 keeps only one mode
// for a node, and a removal ends it, whatever it says. The caller holds mu.
func (t *watchTable) shared(key watchKey) bool {
	for kind := dataWatch; kind <= recursiveWatch; kind++ {
		if kind == key.kind || kind < persistentWatch && key.kind < persistentWatch {
			continue
		}
		if t.entries[watchKey{kind, key.path}] != nil {
			return true
		}
	}
	return false
}

// send queues a removal whose answer nobody waits for. If the connection ends first, the watch has ended with it.
func (t *watchTable) send(c *conn, key watchKey, typ wire.WatcherType) {
	k := t.s.call(wire.OpRemoveWatches, key.path)
	k.req.watcher = typ
	k.state.Store(callAbandoned)
	if _, err := c.enqueue(k); err != nil {
		t.s.core.log.Error("removing a watch", "path", key.path, "error", err)
	}
	t.s.release(k)
}

// attached sends the removals that have come up while there was no connection. The session has one now.
func (t *watchTable) attached() {
	t.mu.Lock()
	defer t.mu.Unlock()
	later := t.later
	t.later = nil
	for _, key := range later {
		if e := t.entries[key]; e != nil {
			e.armed = true // somebody is about to set it again
		} else {
			t.remove(key)
		}
	}
}

// detached notes that the server's watches have gone with the connection.
func (t *watchTable) detached() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.later = nil
	clear(t.stale)
	for _, e := range t.entries {
		e.armed = false
	}
}

// dispatch delivers an event of the server. One that nobody waits for is ignored.
func (t *watchTable) dispatch(ev Event) {
	var room [4]member
	hit := room[:0]
	t.mu.Lock()
	switch ev.Type {
	case EventCreated, EventDataChanged:
		hit = t.fire(hit, watchKey{dataWatch, ev.Path})
	case EventChildrenChanged:
		hit = t.fire(hit, watchKey{childWatch, ev.Path})
	case EventDeleted:
		hit = t.fire(hit, watchKey{dataWatch, ev.Path})
		hit = t.fire(hit, watchKey{childWatch, ev.Path})
	}
	hit = t.lasting(hit, watchKey{persistentWatch, ev.Path})
	if ev.Type != EventChildrenChanged {
		for path := ev.Path; ; path = path[:max(strings.LastIndexByte(path, '/'), 0)] {
			if path == "" {
				path = "/"
			}
			hit = t.lasting(hit, watchKey{recursiveWatch, path})
			if path == "/" {
				break
			}
		}
	}
	t.mu.Unlock()
	for _, m := range hit {
		m.deliver(ev)
	}
}

// fire takes the members of a one-shot watch out. The caller holds mu.
func (t *watchTable) fire(hit []member, key watchKey) []member {
	e := t.entries[key]
	if e == nil {
		return hit
	}
	hit = append(hit, e.members...)
	t.open -= len(e.members)
	e.members, e.armed = nil, false
	t.tidy(key, e)
	return hit
}

func (t *watchTable) lasting(hit []member, key watchKey) []member {
	if e := t.entries[key]; e != nil {
		hit = append(hit, e.members...)
	}
	return hit
}

// end ends every member with the session's end.
func (t *watchTable) end(cause error) {
	t.mu.Lock()
	var all []member
	for _, e := range t.entries {
		all = append(all, e.members...)
	}
	t.entries, t.later, t.stale, t.open, t.ended = nil, nil, nil, 0, cause
	t.mu.Unlock()
	for _, m := range all {
		m.fail(cause)
	}
}

// snapshot returns the paths to set again on a new connection, and the streams among the members. What is closed from
// here on is taken off the server when the connection is attached.
func (t *watchTable) snapshot() (m wire.SetWatchesRequest, streams []*Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.entries {
		if len(e.members) == 0 {
			continue
		}
		e.armed = true
		switch key.kind {
		case dataWatch:
			absent, present := e.absence()
			if absent {
				m.Exist = append(m.Exist, key.path)
			}
			if present {
				m.Data = append(m.Data, key.path)
			}
		case childWatch:
			m.Child = append(m.Child, key.path)
		case persistentWatch:
			m.Persistent = append(m.Persistent, key.path)
		case recursiveWatch:
			m.Recursive = append(m.Recursive, key.path)
		}
		for _, mem := range e.members {
			if st, ok := mem.(*Stream); ok {
				streams = append(streams, st)
			}
		}
	}
	return m, streams
}

// absence tells whether some of the watches were set while the node was absent, and some while it was there.
func (e *watchEntry) absence() (absent, present bool) {
	for _, m := range e.members {
		if w, ok := m.(*Watch); ok && w.absent {
			absent = true
		} else {
			present = true
		}
	}
	return absent, present
}

// count returns the number of watches and streams that have not ended.
func (t *watchTable) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}
