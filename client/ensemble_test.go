package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// ensemble is a model of an ensemble, for random walks: what its servers know, in one place, without sockets and in
// virtual time. It answers as servers do, and notes what no client may do.
type ensemble struct {
	t *testing.T

	mu         sync.Mutex // guards the rest, and what it leads to
	zxid       int64
	nodes      map[string]*modelNode // by path
	changed    map[string]int64      // zxid of the last change of a node's data or existence
	applied    map[string]int        // how often each write was carried out, by its data
	sessions   map[int64]*modelSession
	conns      map[*modelConn]bool
	orphans    []modelRequest // wait for the leader, on connections that have gone
	refusing   bool           // nobody listens
	leaderless bool           // servers answer reads, and nothing else
	readOnly   bool           // servers grant read-only connections
	delay      time.Duration  // between a request and its answer
	connects   int
}

type modelNode struct {
	data         string
	mzxid, pzxid int64
}

// modelSession is what the ensemble's authority knows.
type modelSession struct {
	id     int64
	heard  time.Time // when a connect, ping or write of it came to the authority
	closed bool
	forced bool // by an operator, before its time
	local  bool // begun on a read-only server, the only one to know it
	over   bool // the client knows that it has ended
}

type modelRequest struct {
	c   *modelConn
	req request
}

type modelConn struct {
	e        *ensemble
	nc       net.Conn
	s        *modelSession
	readOnly bool
	out      chan modelFrame
	pending  int // frames not written yet
	gone     chan struct{}
	waiting  []modelRequest // for the leader, and what came behind them
	pings    []modelRequest
	watches  map[string]bool // kind and path
}

type modelFrame struct {
	due  time.Time
	data []byte
}

func newEnsemble(t *testing.T) *ensemble {
	e := &ensemble{
		t: t, zxid: 1, nodes: make(map[string]*modelNode), changed: make(map[string]int64), applied: make(map[string]int),
		sessions: make(map[int64]*modelSession), conns: make(map[*modelConn]bool),
	}
	for i := range modelNodes {
		e.nodes[modelPath(i)] = &modelNode{data: modelPath(i) + "=", mzxid: 1, pzxid: 1}
	}
	return e
}

const modelNodes = 4

func modelPath(i int) string { return fmt.Sprint("/n", i) }

func (e *ensemble) dial(context.Context, string, string) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connects++
	if e.refusing {
		return nil, errors.New("refused")
	}
	ours, theirs := net.Pipe()
	c := &modelConn{e: e, nc: ours, out: make(chan modelFrame, 10_000), gone: make(chan struct{}), watches: make(map[string]bool)}
	e.conns[c] = true
	go c.write()
	go c.read()
	return theirs, nil
}

// write sends what is due.
func (c *modelConn) write() {
	for {
		select {
		case f := <-c.out:
			if wait := time.Until(f.due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-c.gone:
					return
				}
			}
			c.nc.Write(f.data) // if the client has hung up, read notices
			c.e.mu.Lock()
			c.pending--
			c.e.mu.Unlock()
		case <-c.gone:
			return
		}
	}
}

func (c *modelConn) send(b []byte) {
	c.pending++
	c.out <- modelFrame{time.Now().Add(c.e.delay), wire.EndFrame(b, 0)}
}

func (c *modelConn) read() {
	defer c.cut()
	br := bufio.NewReader(c.nc)
	if word, err := br.Peek(4); err != nil {
		return
	} else if string(word) == "isro" {
		c.isro()
		return
	}
	if !c.hello(br) {
		return
	}
	for {
		frame, err := wire.ReadFrame(br, nil, 0)
		if err != nil {
			return
		}
		req := request{body: wire.NewReader(frame)}
		req.Decode(req.body)
		c.e.mu.Lock()
		c.receive(modelRequest{c, req})
		c.e.mu.Unlock()
	}
}

func (c *modelConn) isro() {
	c.e.mu.Lock()
	answer := "rw"
	if c.e.readOnly || c.e.leaderless {
		answer = "ro"
	}
	c.e.mu.Unlock()
	io.WriteString(c.nc, answer)
}

// hello answers the connect request, and reports whether a session is attached.
func (c *modelConn) hello(br *bufio.Reader) bool {
	frame, err := wire.ReadFrame(br, nil, 0)
	if err != nil {
		return false
	}
	var req wire.ConnectRequest
	req.Decode(wire.NewReader(frame))
	e := c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leaderless {
		return false
	}
	resp := wire.ConnectResponse{Password: make([]byte, 16), HasReadOnly: true, ReadOnly: e.readOnly}
	s := e.sessions[req.SessionID]
	switch {
	case req.LastZxidSeen > e.zxid:
		e.t.Errorf("the client has seen zxid %#x, the ensemble is at %#x", req.LastZxidSeen, e.zxid)
		return false
	case req.SessionID == 0:
		s = &modelSession{id: int64(len(e.sessions) + 1), heard: time.Now(), local: e.readOnly}
		e.sessions[s.id] = s
	case s == nil || s.closed || s.local && !e.readOnly || time.Now().After(s.expiry()) && !e.readOnly:
		c.nc.Write(wire.EndFrame(resp.Append(wire.BeginFrame(nil)), 0))
		return false
	case !e.readOnly:
		s.heard = time.Now()
	}
	for other := range e.conns {
		if other.s == s && other != c {
			go other.cut() // the session has moved
		}
	}
	c.s, c.readOnly = s, e.readOnly
	resp.Timeout, resp.SessionID, resp.Password = int32(timeout.Milliseconds()), s.id, password
	c.send(resp.Append(wire.BeginFrame(nil)))
	return true
}

func (s *modelSession) expiry() time.Time { return s.heard.Add(timeout) }

// cut ends a connection. What it has asked the leader for may still be carried out.
func (c *modelConn) cut() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if !c.e.conns[c] {
		return
	}
	delete(c.e.conns, c)
	c.e.orphans = append(c.e.orphans, c.waiting...)
	c.waiting, c.pings = nil, nil
	close(c.gone)
	c.nc.Close()
}

// receive takes a request: it is carried out now, or waits for the leader. The caller holds mu, as in all below.
func (c *modelConn) receive(r modelRequest) {
	if c.s.over && r.req.Op != wire.OpCloseSession {
		c.e.t.Errorf("session %d has ended for the client, and sends %v", c.s.id, r.req.Op)
	}
	away := c.e.leaderless && needsLeader(r.req.Op)
	switch {
	case r.req.Op == wire.OpPing && away:
		c.pings = append(c.pings, r)
	case away || len(c.waiting) > 0 && r.req.Op != wire.OpPing:
		c.waiting = append(c.waiting, r)
	default:
		c.e.carryOut(r)
	}
}

func needsLeader(op wire.Op) bool {
	return op == wire.OpPing || op == wire.OpSetData || op == wire.OpSync || op == wire.OpCloseSession
}

// leader brings the leader back: what has waited for it is carried out.
func (e *ensemble) leader() {
	e.leaderless = false
	orphans := e.orphans
	e.orphans = nil
	for _, r := range orphans {
		e.carryOut(r)
	}
	for c := range e.conns {
		due := append(c.pings, c.waiting...)
		c.pings, c.waiting = nil, nil
		for _, r := range due {
			e.carryOut(r)
		}
	}
}

// carryOut carries a request out and answers it.
func (e *ensemble) carryOut(r modelRequest) {
	c, s := r.c, r.c.s
	if s.closed || time.Now().After(s.expiry()) && !c.readOnly {
		go c.cut() // without a word
		return
	}
	code, body := e.execute(r)
	if needsLeader(r.req.Op) && !c.readOnly && e.conns[c] {
		s.heard = time.Now()
	}
	b := wire.ReplyHeader{Xid: r.req.Xid, Zxid: e.zxid, Err: code}.Append(wire.BeginFrame(nil))
	if body != nil {
		b = body.Append(b)
	}
	c.send(b)
}

func (e *ensemble) execute(r modelRequest) (wire.Code, appender) {
	c := r.c
	switch r.req.Op {
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren2:
		return c.look(r.req)
	case wire.OpSetData:
		var m wire.SetDataRequest
		m.Decode(r.req.body)
		if c.readOnly {
			return wire.ErrNotReadOnly, nil
		}
		if e.nodes[m.Path] == nil {
			return wire.ErrNoNode, nil
		}
		e.applied[string(m.Data)]++
		e.set(m.Path, string(m.Data))
		return 0, e.nodes[m.Path].stat()
	case wire.OpSync:
		if c.readOnly {
			return wire.ErrNotReadOnly, nil
		}
		return 0, &wire.PathRecord{Path: r.req.path()}
	case wire.OpAddWatch:
		var m wire.AddWatchRequest
		m.Decode(r.req.body)
		c.watches["recursive "+m.Path] = true
	case wire.OpRemoveWatches:
		var m wire.RemoveWatchesRequest
		m.Decode(r.req.body)
		kind := map[wire.WatcherType]string{wire.WatcherData: "data ", wire.WatcherChildren: "child ", wire.WatcherRecursive: "recursive "}[m.Type]
		if !c.watches[kind+m.Path] {
			return wire.ErrNoWatcher, nil
		}
		delete(c.watches, kind+m.Path)
	case wire.OpSetWatches, wire.OpSetWatches2:
		c.setWatches(r.req)
	case wire.OpCloseSession:
		c.s.closed = true
	case wire.OpPing:
	default:
		e.t.Errorf("%v came", r.req.Op)
	}
	return 0, nil
}

func (n *modelNode) stat() *wire.Stat { return &wire.Stat{Mzxid: n.mzxid, Pzxid: n.pzxid} }

func (c *modelConn) look(req request) (wire.Code, appender) {
	var m wire.PathWatchRequest
	m.Decode(req.body)
	n := c.e.nodes[m.Path]
	if m.Watch && (n != nil || req.Op == wire.OpExists) {
		kind := "data "
		if req.Op == wire.OpGetChildren2 {
			kind = "child "
		}
		c.watches[kind+m.Path] = true
	}
	switch {
	case n == nil:
		return wire.ErrNoNode, nil
	case req.Op == wire.OpGetData:
		return 0, &wire.GetDataResponse{Data: []byte(n.data), Stat: *n.stat()}
	case req.Op == wire.OpExists:
		return 0, n.stat()
	}
	return 0, &wire.ChildrenResponse{Stat: *n.stat()}
}

func (c *modelConn) setWatches(req request) {
	var m wire.SetWatchesRequest
	m.Decode(req.body, req.Op)
	again := func(kind string, paths []string, now func(n *modelNode) (wire.EventType, bool)) {
		for _, path := range paths {
			if ev, fire := now(c.e.nodes[path]); fire {
				c.notify(ev, path)
			} else {
				c.watches[kind+path] = true
			}
		}
	}
	again("data ", m.Data, func(n *modelNode) (wire.EventType, bool) {
		if n == nil {
			return wire.EventDeleted, true
		}
		return wire.EventDataChanged, n.mzxid > m.RelativeZxid
	})
	again("data ", m.Exist, func(n *modelNode) (wire.EventType, bool) { return wire.EventCreated, n != nil })
	again("child ", m.Child, func(n *modelNode) (wire.EventType, bool) {
		if n == nil {
			return wire.EventDeleted, true
		}
		return wire.EventChildrenChanged, n.pzxid > m.RelativeZxid
	})
	again("recursive ", m.Recursive, func(*modelNode) (wire.EventType, bool) { return 0, false })
}

func (c *modelConn) notify(typ wire.EventType, path string) {
	b := wire.ReplyHeader{Xid: wire.XidNotification, Zxid: c.e.zxid}.Append(wire.BeginFrame(nil))
	m := wire.WatcherEvent{Type: typ, State: wire.StateSyncConnected, Path: path}
	c.send(m.Append(b))
}

// fire tells all connections of an event.
func (e *ensemble) fire(typ wire.EventType, path string, kinds ...string) {
	for c := range e.conns {
		told := c.watches["recursive /"] && typ != wire.EventChildrenChanged
		for _, kind := range kinds {
			told = told || c.watches[kind+path]
			delete(c.watches, kind+path)
		}
		if told {
			c.notify(typ, path)
		}
	}
}

// set changes a node, and makes it if it is not there.
func (e *ensemble) set(path, data string) {
	e.zxid++
	e.changed[path] = e.zxid
	n := e.nodes[path]
	if n == nil {
		e.nodes[path] = &modelNode{data: data, mzxid: e.zxid, pzxid: e.zxid}
		e.fire(wire.EventCreated, path, "data ")
		return
	}
	n.data, n.mzxid = data, e.zxid
	e.fire(wire.EventDataChanged, path, "data ")
}

func (e *ensemble) remove(path string) {
	if e.nodes[path] == nil {
		return
	}
	e.zxid++
	e.changed[path] = e.zxid
	delete(e.nodes, path)
	e.fire(wire.EventDeleted, path, "data ", "child ")
}

// addChild changes the list of children.
func (e *ensemble) addChild(path string) {
	if n := e.nodes[path]; n != nil {
		e.zxid++
		n.pzxid = e.zxid
		e.fire(wire.EventChildrenChanged, path, "child ")
	}
}

// mark is what a watch of the kind would tell apart: it is another one after each change.
func (e *ensemble) mark(kind, path string) int64 {
	n := e.nodes[path]
	switch {
	case n == nil:
		return 0
	case kind == "child ":
		return n.pzxid
	}
	return n.mzxid
}

// calm returns the connection of a session if all that was asked on it is answered and told.
func (e *ensemble) calm(id int64) *modelConn {
	for c := range e.conns {
		if c.s != nil && c.s.id == id && c.pending == 0 && len(c.waiting) == 0 && !c.s.closed && e.delay == 0 {
			return c
		}
	}
	return nil
}
