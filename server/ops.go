package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// An operation is a row of the table of operations: it decodes a request and says how it is carried out. Either it is
// a write, or it is a read.
type operation struct {
	// write decodes into a transaction to be proposed.
	write func(r *wire.Reader, x *tree.Txn)
	// read decodes what run will be called with when the request's turn has come.
	read func(r *wire.Reader) any
	run  readFunc
}

// operations has a row for every operation that a client may ask for, but for ping, auth and closeSession, which
// concern the connection.
var operations = map[wire.Op]operation{
	wire.OpCreate:          {write: decodeCreate},
	wire.OpCreate2:         {write: decodeCreate},
	wire.OpCreateContainer: {write: decodeCreate},
	wire.OpCreateTTL:       {write: decodeCreate},
	wire.OpDelete:          {write: func(r *wire.Reader, x *tree.Txn) { x.One.Check.Decode(r) }},
	wire.OpSetData:         {write: func(r *wire.Reader, x *tree.Txn) { x.One.Set.Decode(r) }},
	wire.OpSetACL:          {write: func(r *wire.Reader, x *tree.Txn) { x.ACL.Decode(r) }},
	wire.OpMulti:           {write: func(r *wire.Reader, x *tree.Txn) { x.Multi = r.MultiOps(wire.OpMulti) }},
	// Sync goes through the log, so that no server that has been cut off can answer it (better than the original).
	wire.OpSync: {write: func(r *wire.Reader, x *tree.Txn) { x.One.Check.Path = r.String() }},

	wire.OpExists:               {read: decodePathWatch, run: runExists},
	wire.OpGetData:              {read: decodePathWatch, run: runGetData},
	wire.OpGetChildren:          {read: decodePathWatch, run: runGetChildren},
	wire.OpGetChildren2:         {read: decodePathWatch, run: runGetChildren2},
	wire.OpGetACL:               {read: decodePath, run: runGetACL},
	wire.OpGetAllChildrenNumber: {read: decodePath, run: runGetAllChildrenNumber},
	wire.OpGetEphemerals:        {read: decodeInto[wire.GetEphemeralsRequest], run: runGetEphemerals},
	wire.OpMultiRead:            {read: func(r *wire.Reader) any { return r.MultiOps(wire.OpMultiRead) }, run: runMultiRead},
	wire.OpSetWatches:           {read: decodeSetWatches(wire.OpSetWatches), run: runSetWatches},
	wire.OpSetWatches2:          {read: decodeSetWatches(wire.OpSetWatches2), run: runSetWatches},
	wire.OpAddWatch:             {read: decodeInto[wire.AddWatchRequest], run: runAddWatch},
	wire.OpCheckWatches:         {read: decodeInto[wire.RemoveWatchesRequest], run: runCheckWatches},
	wire.OpRemoveWatches:        {read: decodeInto[wire.RemoveWatchesRequest], run: runRemoveWatches},
	wire.OpWhoAmI:               {read: decodeNothing, run: runWhoAmI},
	wire.OpSASL:                 {read: decodeNothing, run: runSASL},
}

// request takes one request from the client. An error means that no further one is to be taken. The frame is the caller's
// again afterwards: what is kept of a request was copied, and a write has been encoded.
func (c *conn) request(frame []byte) error {
	if len(frame) < 8 {
		c.close()
		return fmt.Errorf("request of %d bytes is shorter than its header", len(frame))
	}
	r := &c.reader
	r.Reset(frame)
	var h wire.RequestHeader
	h.Decode(r)
	s := &slot{conn: c, xid: h.Xid, op: h.Op, start: time.Now()}
	if c.readOnly {
		if done, err := c.requestReadOnly(s); done {
			return err
		}
	}
	switch h.Op {
	case wire.OpPing: // tells the leader itself
		s.xid, s.held, s.read = wire.XidPing, true, pong
		c.read(s)
		c.srv.toucher.ping(s)
		return nil
	case wire.OpAuth:
		return c.auth(s, r)
	case wire.OpCloseSession:
		s.last = true
		c.propose(s, &tree.Txn{Op: wire.OpCloseSession})
		return errLastRequest
	}
	if !c.readOnly {
		c.srv.toucher.hear(c)
	}
	if h.Op == wire.OpReconfig {
		c.reconfig(s, r)
		return nil
	}
	op, ok := operations[h.Op]
	switch {
	case !ok:
		s.last, s.read = true, refuseUnknown
		c.read(s)
		return fmt.Errorf("%w: %v (type %d) is no operation for clients", errLastRequest, h.Op, int32(h.Op))
	case op.write != nil:
		x := txns.Get().(*tree.Txn)
		defer txns.Put(x)
		*x = tree.Txn{Op: h.Op}
		if op.write(r, x); r.Err() != nil {
			s.read = refuse(wire.ErrMarshalling)
			c.read(s)
			return nil
		}
		if h.Op == wire.OpSync {
			s.req = x.One.Check.Path // what it echoes
		}
		c.propose(s, x)
	default:
		s.req, s.read = op.read(r), op.run
		if r.Err() != nil {
			s.read = refuse(wire.ErrMarshalling)
		}
		c.read(s)
	}
	return nil
}

var txns = sync.Pool{New: func() any { return new(tree.Txn) }}

// propose sends a write on its way to the log. It keeps nothing of x.
func (c *conn) propose(s *slot, x *tree.Txn) {
	x.Session, x.Epoch, x.IDs, x.Features = c.session, c.epoch, *c.ids.Load(), c.srv.features
	c.enqueue(s)
	if err := c.srv.propose(s, x); err != nil {
		c.close() // the server is stopping; the outcome is unknown to the client
	}
}

// auth adds an identity to the connection. It holds for the requests behind it; the answer keeps its place in line.
func (c *conn) auth(s *slot, r *wire.Reader) error {
	var req wire.AuthRequest
	req.Decode(r)
	var id wire.ID
	var failed bool
	switch {
	case r.Err() != nil:
		failed = true
	case req.Scheme == "ip":
	case req.Scheme == "digest" && req.Auth != nil:
		id = wire.ID{Scheme: "digest", ID: tree.DigestID(req.Auth)}
	default:
		failed = true
	}
	s.read = authOK
	if failed {
		c.srv.stats.authFailed.Add(1)
		s.read, s.last = authFailed, true
		c.read(s)
		return fmt.Errorf("%w: authentication failed", errLastRequest)
	}
	if id.Scheme != "" {
		if id.ID == c.srv.cfg.SuperDigest {
			c.addID(wire.ID{Scheme: "super"})
		}
		c.addID(id)
	}
	c.read(s)
	return nil
}

func (c *conn) addID(id wire.ID) {
	old := *c.ids.Load()
	for _, have := range old {
		if have == id {
			return
		}
	}
	ids := append(old[:len(old):len(old)], id)
	c.ids.Store(&ids)
}

// appendResult appends the reply to a write.
func appendResult(b []byte, s *slot) []byte {
	res := &s.result
	b = wire.ReplyHeader{Xid: s.xid, Zxid: res.Zxid, Err: res.Err}.Append(b)
	if res.Err != wire.OK {
		return b
	}
	switch s.op {
	case wire.OpCreate:
		return wire.AppendString(b, res.Path)
	case wire.OpSync:
		return wire.AppendString(b, s.req.(string))
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return (&wire.Create2Response{Path: res.Path, Stat: res.Stat}).Append(b)
	case wire.OpSetData, wire.OpSetACL:
		return res.Stat.Append(b)
	case wire.OpMulti:
		return wire.AppendMultiResults(b, res.Multi)
	case wire.OpReconfig:
		return res.Stat.Append(wire.AppendBuffer(b, s.req.([]byte)))
	}
	return b
}

func decodeCreate(r *wire.Reader, x *tree.Txn) { x.One.Create.Decode(r, x.Op) }

func decodePathWatch(r *wire.Reader) any { return decodeInto[wire.PathWatchRequest](r) }

// decodePath reads the path alone, so that getACL shares the request type of the reads with a watch.
func decodePath(r *wire.Reader) any { return &wire.PathWatchRequest{Path: r.String()} }

func decodeNothing(*wire.Reader) any { return nil }

func decodeInto[T any, P interface {
	*T
	Decode(*wire.Reader)
}](r *wire.Reader) any {
	p := P(new(T))
	p.Decode(r)
	return p
}

func decodeSetWatches(op wire.Op) func(r *wire.Reader) any {
	return func(r *wire.Reader) any {
		m := new(wire.SetWatchesRequest)
		m.Decode(r, op)
		return m
	}
}
