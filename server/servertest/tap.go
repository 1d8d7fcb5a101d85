package servertest

import (
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// tap sees what goes over the connections of one server's clients, and lets faults happen there.
type tap struct {
	srv    *Server
	way    way    // from the server; its gate is shut for both directions
	others []*tap // of the cluster

	mu       sync.Mutex // guards the fields below
	faults   []*Fault
	counters Counters
	conns    map[*tapConn]struct{}
	late     map[int64][][]byte // requests to be carried out when their session is back
	scripts  []*Run
}

func newTap(s *Server) *tap {
	return &tap{srv: s, counters: Counters{Requests: make(map[string]int)}, conns: make(map[*tapConn]struct{}), late: make(map[int64][][]byte)}
}

func (t *tap) listen(ln net.Listener) net.Listener { return &tapListener{Listener: ln, tap: t} }

func (t *tap) all() []*tapConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.conns))
}

func (t *tap) cut() {
	for _, c := range t.all() {
		c.Conn.Close()
	}
}

// sessions returns the sessions that are attached here, in order.
func (t *tap) sessions() []int64 {
	var ids []int64
	for _, c := range t.all() {
		if id := c.session.Load(); id != 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (t *tap) attend(r *Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scripts = append(t.scripts, r)
}

func (t *tap) leave(r *Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scripts = slices.DeleteFunc(slices.Clone(t.scripts), func(s *Run) bool { return s == r })
}

// exchange is a request, and what is to happen to it and to its reply.
type exchange struct {
	op      wire.Op
	frame   []byte
	request Fault
	reply   Fault
	moment  *Moment // that holds the request, if any
	swallow bool    // the client has no part in it
}

// request notes a request, and tells what is to happen.
func (t *tap) request(c *tapConn, op wire.Op, frame []byte) *exchange {
	e := &exchange{op: op, frame: frame}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counters.Requests[op.String()]++
	if setsWatch(op, frame) {
		t.counters.Watches++
	}
	session := c.session.Load()
	for _, f := range slices.Clone(t.faults) {
		if !isKind(f.Op, op) || f.Session != 0 && f.Session != session {
			continue
		}
		mine := &e.reply
		if f.atRequest() {
			mine = &e.request
		}
		if mine.Kind != "" {
			continue // one at a time: the others count from the next request on
		}
		if f.N--; f.N == 0 {
			*mine = *f
			t.faults = slices.DeleteFunc(t.faults, func(g *Fault) bool { return g == f })
		}
	}
	if op != wire.OpPing {
		e.moment = t.moment(Moment{Server: t.srv, Op: op.String(), Session: session})
	}
	return e
}

// moment offers a moment to the scripts. The caller holds mu.
func (t *tap) moment(m Moment) *Moment {
	for _, r := range t.scripts {
		if taken := r.offer(m); taken != nil {
			return taken
		}
	}
	return nil
}

func setsWatch(op wire.Op, frame []byte) bool {
	switch op {
	case wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2:
		return frame[len(frame)-1] == 1
	}
	return op == wire.OpAddWatch
}

// local tells whether requests of a kind concern the server and the connection they came on alone. Such a request is never
// under way through the ensemble: it ends with its connection, and cannot touch the watches of the next one.
func local(op wire.Op) bool {
	switch op {
	case wire.OpPing, wire.OpAuth, wire.OpSetWatches, wire.OpSetWatches2, wire.OpAddWatch, wire.OpRemoveWatches, wire.OpCheckWatches:
		return true
	}
	return isKind("read", op)
}

// keep puts a request aside until its session is back.
func (t *tap) keep(session int64, op wire.Op, frame []byte) {
	if local(op) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late[session] = append(t.late[session], frame)
}

// forget drops the requests put aside for a session that has attached to another server: an ensemble refuses them from
// then on, wherever they come from.
func (t *tap) forget(session int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.late, session)
}

// due returns the requests put aside that are to be carried out before one of kind op.
func (t *tap) due(session int64, op wire.Op) [][]byte {
	if local(op) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	late := t.late[session]
	delete(t.late, session)
	return late
}
