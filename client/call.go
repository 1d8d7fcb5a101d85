package client

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// request is any request: a union, op says which fields count.
type request struct {
	op      wire.Op
	path    string // with the chroot
	data    []byte
	acl     []wire.ACL
	version int32
	flags   int32
	ttl     int64
	watch   bool
	mode    wire.WatchMode
	watcher wire.WatcherType
	ops     []wire.MultiOp
	change  *wire.ReconfigRequest
}

// appendTo appends the request behind its header.
func (r *request) appendTo(b []byte, xid int32) []byte {
	b = wire.RequestHeader{Xid: xid, Op: r.op}.Append(b)
	switch r.op {
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		m := wire.CreateRequest{Path: r.path, Data: r.data, ACL: r.acl, Flags: r.flags, TTL: r.ttl}
		return m.Append(b, r.op)
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren2:
		m := wire.PathWatchRequest{Path: r.path, Watch: r.watch}
		return m.Append(b)
	case wire.OpSetData:
		m := wire.SetDataRequest{Path: r.path, Data: r.data, Version: r.version}
		return m.Append(b)
	case wire.OpDelete:
		m := wire.PathVersionRequest{Path: r.path, Version: r.version}
		return m.Append(b)
	case wire.OpSync, wire.OpGetACL, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber:
		m := wire.PathRecord{Path: r.path}
		return m.Append(b)
	case wire.OpSetACL:
		m := wire.SetACLRequest{Path: r.path, ACL: r.acl, Version: r.version}
		return m.Append(b)
	case wire.OpMulti, wire.OpMultiRead:
		return wire.AppendMulti(b, r.ops)
	case wire.OpReconfig:
		return r.change.Append(b)
	case wire.OpAddWatch:
		m := wire.AddWatchRequest{Path: r.path, Mode: r.mode}
		return m.Append(b)
	case wire.OpRemoveWatches:
		m := wire.RemoveWatchesRequest{Path: r.path, Type: r.watcher}
		return m.Append(b)
	}
	return b // closeSession, whoAmI: the header is all
}

// changes tells whether the request may change something, so that doing it twice differs from doing it once.
func (r *request) changes() bool {
	switch r.op {
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpSetData, wire.OpDelete, wire.OpSetACL,
		wire.OpMulti, wire.OpReconfig, wire.OpCloseSession:
		return true
	}
	return false
}

// reply is any reply: a union like request.
type reply struct {
	code    Code
	path    string // with the chroot
	data    []byte // the caller's own
	stat    wire.Stat
	names   []string
	acl     []wire.ACL
	ids     []wire.ID
	count   int32
	results []wire.MultiResult
}

// decode reads the body of a successful reply. What it keeps does not point into the reader's bytes.
func (p *reply) decode(r *wire.Reader, q *request) error {
	switch q.op {
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		if name := r.Buffer(); string(name) == q.path { // not sequential: saves a copy
			p.path = q.path
		} else {
			p.path = string(name)
		}
		p.stat.Decode(r)
	case wire.OpGetData, wire.OpReconfig:
		p.data = bytes.Clone(r.Buffer())
		p.stat.Decode(r)
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		p.stat.Decode(r)
	case wire.OpGetChildren2:
		p.names = r.Strings()
		p.stat.Decode(r)
	case wire.OpGetACL:
		p.acl = r.ACLs()
		p.stat.Decode(r)
	case wire.OpMulti:
		p.results = r.MultiResults()
	case wire.OpMultiRead:
		p.results = r.MultiResults()
		for i := range p.results {
			p.results[i].Data = bytes.Clone(p.results[i].Data)
		}
	case wire.OpGetEphemerals:
		p.names = r.Strings()
	case wire.OpGetAllChildrenNumber:
		p.count = r.Int32()
	case wire.OpWhoAmI:
		p.ids = r.IDs()
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: reply to %v: %w", ErrProtocol, q.op, err)
	}
	return nil
}

// outcome says how a call left its connection.
type outcome uint8

const (
	answered outcome = iota + 1
	unsent           // it never left this process
	lost             // it was sent, and the connection ended before the answer came
)

// A call is one request under way. Two own it: the one who waits, and, from enqueue on, the connection; the last to let
// go puts it back. The connection writes rep and out, and then gives a token to done, unless the waiter has given up.
type call struct {
	req request
	reg *registration // the watch to be registered with the answer, or nil

	xid    int32
	sentAt time.Duration
	rep    reply
	out    outcome
	state  atomic.Int32 // callWaiting ...
	owners atomic.Int32
	done   chan struct{} // of one

	err   error // the waiter's: why there is no answer
	maybe bool  // the waiter's: it may have been carried out all the same

	ctx   context.Context // the waiter's, for the hook; both only if there is one
	began time.Time
}

const (
	callWaiting int32 = iota
	callDone
	callAbandoned
)

func newCall() *call { return &call{done: make(chan struct{}, 1)} }

// finish hands the call over to the waiter. If nobody waits, it returns false, and the caller does what is left to do.
func (k *call) finish(out outcome) bool {
	k.out = out
	if !k.state.CompareAndSwap(callWaiting, callDone) {
		return false
	}
	k.done <- struct{}{}
	return true
}

// abandon ends the waiting, and reports false if the call was finished before.
func (k *call) abandon() bool {
	if k.state.CompareAndSwap(callWaiting, callAbandoned) {
		return true
	}
	<-k.done
	return false
}
