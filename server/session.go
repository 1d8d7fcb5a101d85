package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// sessionID writes a session's number as all tools read it: those of servers from 128 on are negative.
func sessionID(id int64) string { return fmt.Sprintf("0x%x", uint64(id)) }

// A sessionCounter makes session ids: the server's number in the top byte, then the time of its start in milliseconds,
// then a counter, as ZooKeeper does. Should one be in use all the same, the tree refuses it and the next is tried.
type sessionCounter struct{ last atomic.Int64 }

func (n *sessionCounter) start(id uint64, now time.Time) {
	n.last.Store(int64(id<<56 | uint64(now.UnixMilli())<<24>>8))
}

func (n *sessionCounter) next() int64 { return n.last.Add(1) }

// open takes the first frame: a four-letter word, or the connect request. It tells whether a session is attached and
// answered.
func (c *conn) open() bool {
	if c.nc.SetReadDeadline(time.Now().Add(c.srv.cfg.Limits.Handshake)) != nil {
		return false
	}
	err := c.startTLS()
	if err != nil {
		c.srv.log.Debug("connection refused", "remote", c.remote, "cause", err)
		c.countLate(err)
		return false
	}
	head, err := c.br.Peek(4)
	if err != nil {
		c.countLate(err)
		return false
	}
	if word := string(head); isFourLetterWord(word) {
		c.fourLetterWord(word)
		return false
	}
	frame, err := c.readFrame(min(maxConnect, c.srv.cfg.MaxFrame))
	if err != nil {
		c.countLate(err)
		return false
	}
	var req wire.ConnectRequest
	var r wire.Reader
	r.Reset(frame)
	if req.Decode(&r); r.Err() != nil {
		return false
	}
	if err := c.attach(&req); err != nil {
		c.srv.log.Debug("connect refused", "remote", c.remote, "session", sessionID(req.SessionID), "cause", err)
		return false
	}
	return c.nc.SetReadDeadline(time.Time{}) == nil
}

// countLate counts a handshake that took too long.
func (c *conn) countLate(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		c.srv.stats.late.Add(1)
	}
}

var (
	errZxidAhead   = errors.New("the client has seen a later zxid than this server")
	errExpired     = errors.New("the session is gone, or the password is wrong")
	errNotServing  = errors.New("no leader is known")
	errConnStopped = errors.New("the connection has ended")
)

// attach gives the connection its session, a new one or the one it asks for, and answers. Where the protocol wants a
// close without a reply it returns an error only.
func (c *conn) attach(req *wire.ConnectRequest) error {
	timeout := min(max(time.Duration(req.Timeout)*time.Millisecond, c.srv.cfg.MinSessionTimeout), c.srv.cfg.MaxSessionTimeout)
	c.allowsReadOnly.Store(req.ReadOnly)
	if c.srv.readOnly.Load() {
		return c.attachReadOnly(req, timeout)
	}
	x := tree.Txn{Op: tree.OpAttach, Session: req.SessionID, Timeout: int32(timeout.Milliseconds()), Password: req.Password}
	var res tree.Result
	for {
		if req.SessionID == 0 {
			x.Op, x.Session, x.Password = wire.OpCreateSession, c.srv.sessions.next(), make([]byte, wire.PasswordLen)
			rand.Read(x.Password) // never fails
		}
		var err error
		if res, err = c.handshake(&x); err != nil {
			return err
		}
		if x.Op == tree.OpAttach || res.Err == wire.OK {
			break
		}
	}
	// The result lies behind everything committed before: a client that is still ahead comes from another history.
	if req.LastZxidSeen > res.Zxid {
		if x.Op == wire.OpCreateSession {
			c.srv.proposeAlone(&tree.Txn{Op: wire.OpCloseSession, Session: x.Session, Epoch: res.Epoch})
		}
		return errZxidAhead
	}
	resp := wire.ConnectResponse{HasReadOnly: req.HasReadOnly, Password: make([]byte, wire.PasswordLen)}
	var err error
	if res.Err == wire.OK {
		resp.Timeout, resp.SessionID, resp.Password = res.Timeout, x.Session, x.Password
	} else {
		err = errExpired
	}
	c.mu.Lock()
	c.out = wire.EndFrame(resp.Append(wire.BeginFrame(c.out)), 0)
	c.mu.Unlock()
	return errors.Join(err, c.flush())
}

// handshake proposes the transaction that makes or re-attaches a session, and waits for its result.
func (c *conn) handshake(x *tree.Txn) (tree.Result, error) {
	s := &slot{conn: c, op: x.Op, start: time.Now()}
	if err := c.srv.propose(s, x); err != nil {
		return tree.Result{}, err
	}
	limit := time.NewTimer(c.srv.cfg.Limits.Handshake)
	defer limit.Stop()
	election := time.NewTimer(0)
	defer election.Stop()
	for {
		changed := c.srv.replica.Changed()
		if c.srv.hasLeader() {
			election.Stop()
		} else {
			election.Reset(4 * c.srv.cfg.ElectionTimeout) // one may be about to be elected; else the client tries another server
		}
		select {
		case <-changed:
		case <-c.wake:
			c.mu.Lock()
			done := s.applied
			c.mu.Unlock()
			if done {
				return s.result, nil
			}
		case <-c.done:
			return tree.Result{}, errConnStopped
		case <-election.C:
			return tree.Result{}, errNotServing
		case <-limit.C:
			return tree.Result{}, errNotServing
		}
	}
}

// A toucher tells the leader which sessions were heard here, and answers pings: a ping is answered only when the
// leader has noted the session as heard, and a majority has confirmed afterwards that it leads. So no leader, present
// or later, ends the session before its timeout has passed since the ping was sent.
//
// One message is under way at a time; the next takes along what has come meanwhile.
type toucher struct {
	srv  *Server
	wake chan struct{} // of capacity 1

	mu    sync.Mutex // guards pings and heard
	pings []*slot
	heard []*conn // sent something else than a ping since the leader was last told
}

const (
	// touchInterval is how often the leader is told of sessions that were heard but did not ping.
	touchInterval = 100 * time.Millisecond
	// touchPause lies between two reports, so that those of many idle sessions go together.
	touchPause = 10 * time.Millisecond
)

// hear notes that a session sent something.
func (t *toucher) hear(c *conn) {
	if c.heard.Load() || c.heard.Swap(true) {
		return
	}
	t.mu.Lock()
	t.heard = append(t.heard, c)
	t.mu.Unlock()
}

func (t *toucher) ping(s *slot) {
	t.mu.Lock()
	t.pings = append(t.pings, s)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (t *toucher) run(ctx context.Context) error {
	tick := time.NewTicker(touchInterval)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	var waiting []*slot // pings not confirmed yet
	for {
		wake := t.wake
		if len(waiting) > 0 {
			wake = nil // the last attempt failed: not again before the next tick
		}
		ticked := false
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-tick.C:
			ticked = true
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil
		}
		waiting = t.touch(ctx, t.collect(waiting, ticked))
		pause.Reset(touchPause)
	}
}

// collect adds to the slots the pings that have come, and, if asked to, one for each session that sent something else.
func (t *toucher) collect(slots []*slot, heard bool) []*slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	slots = append(slots, t.pings...)
	clear(t.pings)
	t.pings = t.pings[:0]
	if heard {
		for _, c := range t.heard {
			c.heard.Store(false) // what comes from here on is told the next time
			slots = append(slots, &slot{conn: c})
		}
		clear(t.heard)
		t.heard = t.heard[:0]
	}
	return slots
}

// touch reports the sessions of the slots, answers the pings among them, and returns the pings that were not confirmed.
func (t *toucher) touch(ctx context.Context, slots []*slot) (left []*slot) {
	if len(slots) == 0 {
		return nil
	}
	req := make([]byte, 0, 8*len(slots))
	for _, s := range slots {
		req = binary.BigEndian.AppendUint64(req, uint64(s.conn.session))
	}
	ctx, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	resp, err := t.srv.replica.Call(ctx, req)
	if err != nil || len(resp) != len(slots) {
		t.srv.log.Debug("sessions could not be reported to the leader", "sessions", len(slots), "error", err)
		resp = make([]byte, len(slots))
	}
	for i, s := range slots {
		switch {
		case s.op != wire.OpPing:
		case resp[i] == 0 && !s.conn.ended():
			left = append(left, s)
		default:
			s.confirm()
			s.conn.flushOrSignal()
		}
	}
	return left
}

// touchTimeout is how long the answer to one report is waited for before it is made again.
const touchTimeout = time.Second

// handle is the leader's side: it notes the sessions as heard, and answers one byte for each, 1 if it did.
func (l *lead) handle(_ uint64, req []byte) ([]byte, error) {
	if len(req)%8 != 0 {
		return nil, io.ErrUnexpectedEOF
	}
	resp := make([]byte, len(req)/8)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracker == nil {
		return resp, nil
	}
	now := l.now()
	for i := range resp {
		if l.tracker.Touch(int64(binary.BigEndian.Uint64(req[8*i:])), now) {
			resp[i] = 1
		}
	}
	return resp, nil
}

// ended tells that the session has no need of its leader any more: the connection is closed, or the client has ended the
// session itself, by a request behind its pings. The answer to that waits for those to the pings.
func (c *conn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.ran {
		if c.queue.at(i).last {
			return true
		}
	}
	return c.closed
}
