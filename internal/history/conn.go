package history

import (
	"slices"
	"strings"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// Conn is one connection of a client, as its server saw it: the frames it read and those it wrote, in order. It may be
// used by two goroutines, one for each direction.
type Conn struct {
	Name string // for what is wrong

	mu       sync.Mutex // guards the fields below
	connect  wire.ConnectRequest
	session  int64
	requests []request
	sent     []frame
	got, out int // frames so far
	broken   error
}

// request is what matters of a request for the checks.
type request struct {
	xid   int32
	op    wire.Op
	path  string
	watch bool
	mode  wire.WatchMode
	typ   wire.WatcherType
	set   *wire.SetWatchesRequest
}

// frame is an event or an answer.
type frame struct {
	event bool
	typ   wire.EventType
	path  string
	xid   int32
	zxid  int64
	err   wire.Code
}

// Received notes a frame that the server has read, without its length.
func (c *Conn) Received(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := wire.NewReader(slices.Clone(b))
	if c.got++; c.got == 1 {
		c.connect.Decode(r)
		return
	}
	var h wire.RequestHeader
	h.Decode(r)
	q := request{xid: h.Xid, op: h.Op}
	switch h.Op {
	case wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2:
		var m wire.PathWatchRequest
		m.Decode(r)
		q.path, q.watch = m.Path, m.Watch
	case wire.OpAddWatch:
		var m wire.AddWatchRequest
		m.Decode(r)
		q.path, q.mode = m.Path, m.Mode
	case wire.OpRemoveWatches:
		var m wire.RemoveWatchesRequest
		m.Decode(r)
		q.path, q.typ = m.Path, m.Type
	case wire.OpSetWatches, wire.OpSetWatches2:
		q.set = new(wire.SetWatchesRequest)
		q.set.Decode(r, h.Op)
	}
	if c.broken == nil {
		c.broken = r.Err()
	}
	c.requests = append(c.requests, q)
}

// Sent notes a frame that the server has written, without its length.
func (c *Conn) Sent(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := wire.NewReader(slices.Clone(b))
	if c.out++; c.out == 1 {
		var m wire.ConnectResponse
		m.Decode(r)
		c.session = m.SessionID
		return
	}
	var h wire.ReplyHeader
	h.Decode(r)
	f := frame{xid: h.Xid, zxid: h.Zxid, err: h.Err}
	if h.Xid == wire.XidNotification {
		var e wire.WatcherEvent
		e.Decode(r)
		f.event, f.typ, f.path = true, e.Type, e.Path
	}
	if c.broken == nil {
		c.broken = r.Err()
	}
	c.sent = append(c.sent, f)
}

// Session returns the session that was attached, 0 if none was.
func (c *Conn) Session() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Answers returns how many requests were answered.
func (c *Conn) Answers() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.sent {
		if !f.event {
			n++
		}
	}
	return n
}

// Events returns how many events of watches were sent.
func (c *Conn) Events() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.sent {
		if f.event {
			n++
		}
	}
	return n
}

// Check compares the connection with the log. Answers come in the order of the requests; zxids never go back, nor behind
// what the client had seen; and the events are exactly those of the watches that were set, each once, in the log's order,
// and before any answer from which its change could be known.
func (c *Conn) Check(t *Timeline) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &connCheck{Conn: c, t: t, watches: make(map[string]watchKind)}
	if c.broken != nil {
		k.add("a frame cannot be decoded: %w", c.broken)
	}
	k.zxid = c.connect.LastZxidSeen
	next := 0
	for _, f := range c.sent {
		if f.event {
			k.event(f)
			continue
		}
		if next == len(c.requests) {
			k.add("an answer to xid %d, and all were answered", f.xid)
			break
		}
		q := c.requests[next]
		next++
		if q.xid != f.xid {
			k.add("an answer to xid %d where %d (%v) was due", f.xid, q.xid, q.op)
			break
		}
		k.answer(q, f)
	}
	return k.err()
}

// watchKind is what a watch waits for; they add up.
type watchKind uint8

const (
	dataWatch watchKind = 1 << iota
	childWatch
	persistentWatch
	recursiveWatch
	anyWatch = dataWatch | childWatch | persistentWatch | recursiveWatch
)

// waits returns the kinds that wait for an event at their own path.
func waits(typ wire.EventType) watchKind {
	switch typ {
	case wire.EventCreated, wire.EventDataChanged:
		return dataWatch | persistentWatch | recursiveWatch
	case wire.EventDeleted:
		return anyWatch
	case wire.EventChildrenChanged:
		return childWatch | persistentWatch
	}
	return 0
}

// connCheck goes along a connection.
type connCheck struct {
	*Conn
	faults
	t       *Timeline
	zxid    int64 // the newest the client can know
	next    int   // the first change not looked at
	begun   bool  // next is meant
	watches map[string]watchKind
	caught  []frame // events without a zxid, which belong to the setWatches that is answered next
}

func (k *connCheck) add(format string, args ...any) {
	k.faults.add("%s, session %#x: "+format, append([]any{k.Name, uint64(k.session)}, args...)...)
}

// event is right if the next change that a watch waits for is its own.
func (k *connCheck) event(f frame) {
	if f.zxid < 0 {
		k.caught = append(k.caught, f)
		return
	}
	if f.zxid <= k.zxid {
		k.add("event %v %s of %#x behind an answer of %#x", f.typ, f.path, f.zxid, k.zxid)
		return
	}
	due, ok := k.due(f.zxid)
	for ok && due.zxid < f.zxid {
		k.add("no event for %v %s of %#x", due.Type, due.Path, due.zxid)
		due, ok = k.due(f.zxid)
	}
	if !ok || due != (step{f.zxid, Change{f.typ, f.path}}) {
		k.add("event %v %s of %#x, which no watch waits for", f.typ, f.path, f.zxid)
	}
}

// due returns the next change up to zxid that a watch waits for, and uses up what it fires.
func (k *connCheck) due(zxid int64) (step, bool) {
	for k.next < len(k.t.steps) && k.t.steps[k.next].zxid <= zxid {
		s := k.t.steps[k.next]
		k.next++
		if k.begun && k.fires(s.Change) {
			return s, true
		}
	}
	return step{}, false
}

func (k *connCheck) fires(c Change) bool {
	waiting := waits(c.Type)
	fired := k.watches[c.Path]&waiting != 0
	if fired {
		k.watches[c.Path] &^= waiting & (dataWatch | childWatch)
	}
	if waiting&recursiveWatch == 0 || fired {
		return fired
	}
	for p := c.Path; len(p) > 1; {
		p = p[:max(1, strings.LastIndexByte(p, '/'))]
		if k.watches[p]&recursiveWatch != 0 {
			return true
		}
	}
	return false
}

// answer moves on to the state that an answer shows, and does what the request meant for watches.
func (k *connCheck) answer(q request, f frame) {
	if q.op == wire.OpAuth || q.op == wire.OpSASL || f.zxid <= 0 {
		return // do not tell the zxid
	}
	if f.zxid < k.zxid {
		k.add("%v answered with zxid %#x behind %#x", q.op, f.zxid, k.zxid)
		return
	}
	if !k.begun {
		k.begun, k.next = true, k.t.after(f.zxid) // there was no watch before
	}
	for due, ok := k.due(f.zxid); ok; due, ok = k.due(f.zxid) {
		k.add("%v answered with zxid %#x before the event for %v %s of %#x", q.op, f.zxid, due.Type, due.Path, due.zxid)
	}
	k.zxid = f.zxid
	if q.set != nil {
		k.setWatches(q.set, f.zxid)
		return
	}
	switch {
	case q.op == wire.OpExists && q.watch && (f.err == wire.OK || f.err == wire.ErrNoNode),
		q.op == wire.OpGetData && q.watch && f.err == wire.OK:
		k.watches[q.path] |= dataWatch
	case (q.op == wire.OpGetChildren || q.op == wire.OpGetChildren2) && q.watch && f.err == wire.OK:
		k.watches[q.path] |= childWatch
	case q.op == wire.OpAddWatch && f.err == wire.OK && q.mode == wire.WatchPersistent:
		k.watches[q.path] |= persistentWatch
	case q.op == wire.OpAddWatch && f.err == wire.OK:
		k.watches[q.path] |= recursiveWatch
	case q.op == wire.OpRemoveWatches && f.err == wire.OK:
		k.watches[q.path] &^= removed(q.typ)
	}
}

func removed(typ wire.WatcherType) watchKind {
	switch typ {
	case wire.WatcherChildren:
		return childWatch
	case wire.WatcherData:
		return dataWatch
	case wire.WatcherPersistent:
		return persistentWatch
	case wire.WatcherRecursive:
		return recursiveWatch
	}
	return anyWatch
}

// setWatches compares what was told at once with what had changed while there was no connection.
func (k *connCheck) setWatches(q *wire.SetWatchesRequest, zxid int64) {
	var want []frame
	tell := func(typ wire.EventType, path string) { want = append(want, frame{event: true, typ: typ, path: path}) }
	for _, p := range q.Data {
		switch n := k.t.at(p, zxid); {
		case !n.exists:
			tell(wire.EventDeleted, p)
		case n.mzxid > q.RelativeZxid:
			tell(wire.EventDataChanged, p)
		default:
			k.watches[p] |= dataWatch
		}
	}
	for _, p := range q.Exist {
		if k.t.at(p, zxid).exists {
			tell(wire.EventCreated, p)
		} else {
			k.watches[p] |= dataWatch
		}
	}
	for _, p := range q.Child {
		switch n := k.t.at(p, zxid); {
		case !n.exists:
			tell(wire.EventDeleted, p)
		case n.pzxid > q.RelativeZxid:
			tell(wire.EventChildrenChanged, p)
		default:
			k.watches[p] |= childWatch
		}
	}
	for _, p := range q.Persistent {
		k.watches[p] |= persistentWatch
	}
	for _, p := range q.Recursive {
		k.watches[p] |= recursiveWatch
	}
	same := func(a, b frame) bool { return a.typ == b.typ && a.path == b.path }
	if !slices.EqualFunc(want, k.caught, same) {
		k.add("watches set again at %#x, as of %#x: told %v, due were %v", zxid, q.RelativeZxid, k.caught, want)
	}
	k.caught = nil
}
