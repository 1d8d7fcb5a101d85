package servertest

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Fault is something that goes wrong between a server and its clients.
type Fault struct {
	op    string
	n     int // counts down to 0
	what  action
	delay time.Duration
}

type action int

const (
	dropRequest action = iota + 1
	dropReply
	delayReply
)

// DropRequest closes the connection when the nth request of kind op, counted from now on, arrives. It is not carried
// out. op is the protocol's name of an operation: create, create2, delete, setData, multi, ping …; "create" stands for
// every kind of create, "read" for every kind of read.
func DropRequest(op string, n int) Fault { return Fault{op: op, n: n, what: dropRequest} }

// DropReply carries out the nth request of kind op, counted from now on, and closes the connection instead of
// answering it.
func DropReply(op string, n int) Fault { return Fault{op: op, n: n, what: dropReply} }

// DelayReply answers the nth request of kind op, counted from now on, and everything behind it on the same
// connection, after d.
func DelayReply(op string, n int, d time.Duration) Fault {
	return Fault{op: op, n: n, what: delayReply, delay: d}
}

// Counters count what went over the connections of clients.
type Counters struct {
	Requests map[string]int // by operation
	Events   int            // watch events sent
}

// Total returns the number of requests, pings aside.
func (c Counters) Total() int {
	n := 0
	for op, k := range c.Requests {
		if op != wire.OpPing.String() {
			n += k
		}
	}
	return n
}

// Inject lets faults happen; each happens once. undo takes back those that have not happened yet.
func (s *Server) Inject(faults ...Fault) (undo func()) {
	var mine []*Fault
	for _, f := range faults {
		if f.n < 1 || !knownKind(f.op) {
			s.fail("fault on request %d of kind %q: there is no such request", f.n, f.op)
		}
		mine = append(mine, &f)
	}
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	s.wire.faults = append(s.wire.faults, mine...)
	return func() {
		s.wire.mu.Lock()
		defer s.wire.mu.Unlock()
		s.wire.faults = slices.DeleteFunc(s.wire.faults, func(f *Fault) bool { return slices.Contains(mine, f) })
	}
}

// Count returns what went over the connections of clients since the server was made.
func (s *Server) Count() Counters {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	c := s.wire.counters
	c.Requests = maps.Clone(c.Requests)
	return c
}

// Cut breaks all connections of clients. They may come back at once.
func (s *Server) Cut() { s.wire.cut() }

// Freeze makes the server deaf and mute towards its clients, without breaking a connection, until Thaw. New
// connections are accepted, and hear nothing.
func (s *Server) Freeze() { s.wire.freeze() }

// Thaw ends a Freeze: everything that was sent meanwhile goes through.
func (s *Server) Thaw() { s.wire.thaw() }

var kinds = map[string][]wire.Op{
	"create": {wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL},
	"read":   {wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2, wire.OpGetACL},
}

func isKind(kind string, op wire.Op) bool {
	return kind == op.String() || slices.Contains(kinds[kind], op)
}

func knownKind(kind string) bool {
	if kinds[kind] != nil {
		return true
	}
	for op := wire.OpCloseSession; op <= wire.OpWhoAmI; op++ {
		if op.String() == kind {
			return true
		}
	}
	return false
}

// tap sees what goes over the connections of one server's clients.
type tap struct {
	mu       sync.Mutex // guards the fields below
	faults   []*Fault
	counters Counters
	conns    map[*tapConn]struct{}
	frozen   chan struct{} // closed by thaw; nil when not frozen
}

func newTap() *tap {
	return &tap{counters: Counters{Requests: make(map[string]int)}, conns: make(map[*tapConn]struct{})}
}

func (t *tap) listen(ln net.Listener) net.Listener { return &tapListener{Listener: ln, tap: t} }

func (t *tap) cut() {
	t.mu.Lock()
	conns := slices.Collect(maps.Keys(t.conns))
	t.mu.Unlock()
	for _, c := range conns {
		c.Conn.Close()
	}
}

func (t *tap) freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frozen == nil {
		t.frozen = make(chan struct{})
	}
}

func (t *tap) thaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frozen != nil {
		close(t.frozen)
		t.frozen = nil
	}
}

// wait returns when the tap is not frozen, or the connection is closed.
func (t *tap) wait(c *tapConn) {
	t.mu.Lock()
	frozen := t.frozen
	t.mu.Unlock()
	if frozen != nil {
		select {
		case <-frozen:
		case <-c.closed:
		}
	}
}

// happens tells which fault, if any, is to happen to a request of kind op now, of those in actions.
func (t *tap) happens(op wire.Op, actions ...action) (Fault, bool) {
	for i, f := range t.faults {
		if !slices.Contains(actions, f.what) || !isKind(f.op, op) {
			continue
		}
		if f.n--; f.n == 0 {
			t.faults = slices.Delete(t.faults, i, i+1)
			return *f, true
		}
	}
	return Fault{}, false
}

type tapListener struct {
	net.Listener
	tap *tap
}

func (l *tapListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &tapConn{Conn: nc, tap: l.tap, closed: make(chan struct{})}
	l.tap.mu.Lock()
	l.tap.conns[c] = struct{}{}
	l.tap.mu.Unlock()
	return c, nil
}

var errFault = errors.New("servertest: the connection breaks here")

// tapConn is the server's end of a client's connection.
type tapConn struct {
	net.Conn
	tap    *tap
	once   sync.Once
	closed chan struct{}

	// Used by the reader alone: the head of the frame being read, and how much of it is still to come.
	head   []byte
	skip   int
	opened bool // the connect request has been read

	mu       sync.Mutex // guards what reader and writer share
	pending  []Fault    // what is to happen to the reply of each request, in order
	answered bool       // the connect response has been written
}

func (c *tapConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.wait(c)
	if n > 0 {
		if c.requests(p[:n]) {
			c.Conn.Close()
			return 0, errFault
		}
	}
	return n, err
}

// requests follows the frames a client sends. It tells whether the connection is to break here. What was read
// together with the dropped request goes with it, as it might on a network.
func (c *tapConn) requests(p []byte) (drop bool) {
	for len(p) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			c.skip -= n
			p = p[n:]
			continue
		}
		want := 12 // length, xid, operation
		if !c.opened {
			want = 4
		}
		n := min(want-len(c.head), len(p))
		c.head = append(c.head, p[:n]...)
		p = p[n:]
		if len(c.head) < want {
			return false
		}
		length := int(int32(binary.BigEndian.Uint32(c.head)))
		c.skip = max(0, length-(want-4))
		if c.opened && c.request(wire.Op(int32(binary.BigEndian.Uint32(c.head[8:])))) {
			return true
		}
		c.opened, c.head = true, c.head[:0]
	}
	return false
}

func (c *tapConn) request(op wire.Op) (drop bool) {
	c.tap.mu.Lock()
	c.tap.counters.Requests[op.String()]++
	_, drop = c.tap.happens(op, dropRequest)
	f, _ := c.tap.happens(op, dropReply, delayReply)
	c.tap.mu.Unlock()
	c.mu.Lock()
	c.pending = append(c.pending, f)
	c.mu.Unlock()
	return drop
}

// Write passes the frames on; the server writes whole ones.
func (c *tapConn) Write(p []byte) (int, error) {
	c.tap.wait(c)
	for start := 0; start+4 <= len(p); {
		end := start + 4 + int(binary.BigEndian.Uint32(p[start:]))
		if end > len(p) {
			break // a four-letter word's answer
		}
		f := c.reply(p[start+4 : end])
		switch f.what {
		case dropReply:
			n, err := c.Conn.Write(p[:start])
			c.Conn.Close()
			return n, errors.Join(errFault, err)
		case delayReply:
			if _, err := c.Conn.Write(p[:start]); err != nil {
				return 0, err
			}
			select {
			case <-time.After(f.delay):
			case <-c.closed:
			}
			n, err := c.Write(p[start:])
			return start + n, err
		}
		start = end
	}
	return c.Conn.Write(p)
}

// reply tells what is to happen to a frame that the server sends.
func (c *tapConn) reply(frame []byte) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.answered:
		c.answered = true
	case len(frame) >= 4 && int32(binary.BigEndian.Uint32(frame)) == wire.XidNotification:
		c.tap.mu.Lock()
		c.tap.counters.Events++
		c.tap.mu.Unlock()
	case len(c.pending) > 0:
		f := c.pending[0]
		if f.what == delayReply {
			c.pending[0].what = 0 // it is looked at again after the delay
			return f
		}
		c.pending = c.pending[1:]
		return f
	}
	return Fault{}
}

// CloseWrite tells the client that nothing follows.
func (c *tapConn) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// SetDeadline ends a freeze for this connection if the deadline is over: so the server lets go of it.
func (c *tapConn) SetDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		c.release()
	}
	return c.Conn.SetDeadline(t)
}

func (c *tapConn) release() {
	c.once.Do(func() {
		close(c.closed)
		c.tap.mu.Lock()
		delete(c.tap.conns, c)
		c.tap.mu.Unlock()
	})
}

func (c *tapConn) Close() error {
	c.release()
	return c.Conn.Close()
}
