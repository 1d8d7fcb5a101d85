package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Session is one session of the ensemble, pinned: it ends, and never becomes another one. It may be used by many
// goroutines. While it is suspended its requests wait, within their contexts, for the connection to return.
//
// A Session obtained from a Sub client has that client's namespace.
type Session struct {
	s *session
	c *Client
}

// ID is the ensemble's number for the session: the EphemeralOwner of its ephemerals.
func (s *Session) ID() int64 { return s.s.id }

// Client returns the client the session was obtained from.
func (s *Session) Client() *Client { return s.c }

// Context ends with the session. Its cause is ErrSessionExpired (a server said so), ErrSessionDeadline (the whole
// timeout passed unheard) or ErrClosed. After an expiry, the ephemerals are gone; after the other two, they go at the
// latest when the ensemble's timeout ends.
func (s *Session) Context() context.Context { return s.s.ctx }

// Timeout is the session timeout as the server granted it at the last connect.
func (s *Session) Timeout() time.Duration { return time.Duration(s.s.timeout.Load()) }

// Ticket returns what re-attaches the session from elsewhere. This client goes on using it until it is closed, which
// ends the session: hand over by ending the process without Close.
func (s *Session) Ticket() Ticket {
	return Ticket{SessionID: s.s.id, Password: append([]byte(nil), s.s.password...), LastZxid: s.s.zxid.Load()}
}

// session is what all views of one session share.
type session struct {
	core     *core
	id       int64
	password []byte
	ctx      context.Context // ends with the session
	cancel   context.CancelCauseFunc
	timeout  atomic.Int64 // granted, nanoseconds
	proven   atomic.Int64 // on the core's clock: when the latest request was sent whose answer proves we are alive
	zxid     atomic.Int64 // newest state seen
	conn     atomic.Pointer[conn]
	watches  watchTable
	deletes  deleteList
	workers  sync.WaitGroup // goroutines of the session
	gone     atomic.Bool    // a server said that it has ended
	local    atomic.Bool    // begun on a read-only server, and known there alone

	mu       sync.Mutex      // guards the rest
	attached chan struct{}   // closed while there is a conn, and for good when the session has ended
	lost     error           // why the last connection ended
	lease    context.Context // nil: the next one to ask gets a new one
	unlease  context.CancelCauseFunc
	ended    bool
}

// newSession returns a session that the server answered to a request sent at the given time.
func newSession(c *core, resp *wire.ConnectResponse, zxid int64, sentAt time.Duration) *session {
	s := &session{core: c, id: resp.SessionID, password: append([]byte(nil), resp.Password...), attached: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.timeout.Store(int64(time.Duration(resp.Timeout) * time.Millisecond))
	s.proven.Store(int64(sentAt))
	s.zxid.Store(zxid)
	s.watches.init(s)
	s.workers.Go(s.keepTime)
	return s
}

// see notes the zxid of a reply.
func (s *session) see(zxid int64) {
	if zxid > s.zxid.Load() { // only the reader writes
		s.zxid.Store(zxid)
	}
}

// attach makes a connection that is ready for requests the session's.
func (s *session) attach(c *conn) {
	s.mu.Lock()
	if !s.ended {
		s.conn.Store(c)
		close(s.attached)
	}
	s.mu.Unlock()
	s.watches.attached()
}

// detach takes the connection away, before its calls are given back: their waiters shall not find it again.
func (s *session) detach(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = cause
	if s.conn.Swap(nil) != nil && !s.ended {
		s.attached = make(chan struct{})
	}
}

// end ends the session: nobody finds its connection any more, and its watches end. What is in flight on the connection
// is still answered, or given back by the owner when it stops the connection.
func (s *session) end(cause error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	if s.conn.Swap(nil) == nil {
		close(s.attached)
	}
	s.mu.Unlock()
	s.cancel(cause)
	s.watches.end(cause)
	s.core.sessionEnded(s, cause)
}

// connection returns the present connection, and waits for one while the session is suspended.
func (s *session) connection(ctx context.Context) (*conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, contextError(ctx)
		}
		if c := s.conn.Load(); c != nil {
			return c, nil
		}
		s.mu.Lock()
		attached, why := s.attached, s.lost
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			return nil, context.Cause(s.ctx)
		}
		select {
		case <-attached:
		case <-s.ctx.Done():
		case <-ctx.Done():
			if why == nil {
				return nil, contextError(ctx)
			}
			return nil, fmt.Errorf("%w (%w)", contextError(ctx), why)
		}
	}
}

// contextError returns why ctx has ended: its error, and its cause if there is another one.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// run carries out the calls, sent in one go, and waits for their answers, or until ctx ends. What was provably not
// sent, and what changes nothing, goes out again on the session's next connection. Every call ends with an answer in
// rep, or with err set.
func (s *session) run(ctx context.Context, calls ...*call) {
	for _, k := range calls {
		if k.reg != nil {
			s.watches.announce(k.reg.key)
		}
		if s.core.cfg.Hooks.Request != nil {
			k.ctx = ctx
		}
	}
	for len(calls) > 0 {
		c, err := s.connection(ctx)
		if err == nil {
			var taken, lead bool
			if taken, lead, err = c.send(calls); !taken {
				continue // it ended just now; the session is without a connection for a moment
			}
			if lead {
				c.read(calls[len(calls)-1])
			}
		}
		if err != nil {
			for _, k := range calls {
				s.giveUp(k, err, false)
			}
			return
		}
		calls = s.await(ctx, calls)
	}
}

// await waits for the calls, and returns those to be sent once more.
func (s *session) await(ctx context.Context, calls []*call) (again []*call) {
	over := false
	for _, k := range calls {
		select {
		case <-k.done:
		case <-ctx.Done():
			over = true
			if k.abandon() {
				k.err, k.maybe = contextError(ctx), k.req.changes()
			}
		}
	}
	return s.settle(calls, over)
}

// settle looks at calls that have all been given back or abandoned. Those without an answer are to be sent again if
// they may, and if no write of the same flight is lost: what came behind it was meant to come behind it.
func (s *session) settle(calls []*call, over bool) (again []*call) {
	open := 0
	for _, k := range calls {
		if k.err == nil && k.out != answered {
			open++
			over = over || k.out == lost && k.req.changes()
		}
	}
	if open == 0 {
		return nil
	}
	cause := s.lossCause()
	for _, k := range calls {
		switch {
		case k.err != nil || k.out == answered:
		case over:
			s.giveUp(k, cause, k.out == lost && k.req.changes())
		default:
			k.state.Store(callWaiting)
			again = append(again, k)
		}
	}
	return again
}

// lossCause tells why the last connection ended.
func (s *session) lossCause() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func (s *session) giveUp(k *call, err error, maybe bool) {
	k.err, k.maybe = err, maybe
	if k.reg != nil {
		s.watches.resolve(k.reg, false)
	}
}

// finish gives a call back to its waiter. A watch is registered here, before any later event is looked at.
func (s *session) finish(k *call, out outcome) {
	reg := k.reg
	armed := false
	if reg != nil && out == answered {
		armed = reg.armedBy(k.rep.code)
		s.watches.resolve(reg, armed)
	}
	if out == answered && k.req.op == wire.OpRemoveWatches {
		s.watches.removed(&k.req, k.rep.code)
	}
	if !k.finish(out) && reg != nil { // nobody waits any more
		if out != answered {
			s.watches.resolve(reg, false)
		} else if armed {
			reg.member.drop()
		}
	}
	s.release(k)
}

// call returns a call to fill in.
func (s *session) call(op wire.Op, path string) *call {
	k := s.core.calls.Get().(*call)
	k.req.op, k.req.path = op, path
	k.owners.Store(1)
	if s.core.cfg.Hooks.Request != nil {
		k.began = time.Now()
	}
	return k
}

// release lets go of a call.
func (s *session) release(k *call) {
	if k.owners.Add(-1) > 0 {
		return
	}
	k.req, k.rep, k.reg, k.ctx, k.out, k.err, k.maybe = request{}, reply{}, nil, nil, 0, nil, false
	k.state.Store(callWaiting)
	s.core.calls.Put(k)
}
