package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// While no leader is known a server with Config.ReadOnlyMode serves clients that allow it from what it has. Such a
// connection has a session that no other server hears of: a new one gets a number that no real session has, a real one
// goes on in name only. When a leader is back the connection is closed without a word, and the client goes to look for
// its real session, which may have ended meanwhile.

// readOnlyAfter is how many election time-outs the server waits for a leader before it serves without.
const readOnlyAfter = 4

// followQuorum switches the mode until ctx ends. A server that has not followed a leader since its start serves nothing:
// it does not know how much of its log is committed, and has not applied it.
func (s *Server) followQuorum(ctx context.Context) error {
	followed := false
	var lost time.Time // when the leader was missed
	for ctx.Err() == nil {
		changed := s.replica.Changed()
		wait := time.Hour // for a change
		switch {
		case s.hasLeader():
			lost = time.Time{}
			s.leaveReadOnly()
			if !followed {
				followed = s.inStep(ctx)
				wait = s.cfg.ElectionTimeout
			}
		case len(s.Members()) == 0: // it was removed: what it has gets older for ever
			s.leaveReadOnly()
		case followed && lost.IsZero():
			lost = time.Now()
			fallthrough
		case followed && !s.readOnly.Load():
			wait = time.Until(lost.Add(readOnlyAfter * s.cfg.ElectionTimeout))
			if wait <= 0 {
				s.enterReadOnly()
				continue
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// inStep tells whether this server has everything that was committed.
func (s *Server) inStep(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ElectionTimeout)
	defer cancel()
	return s.replica.Sync(ctx) == nil
}

// enterReadOnly closes the connections of clients that allow the mode; they come back and get it.
func (s *Server) enterReadOnly() {
	s.log.Warn("no leader: serving reads to clients that allow it")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readOnly.Store(true)
	for c := range s.conns {
		if c.allowsReadOnly.Load() {
			c.close()
		}
	}
}

func (s *Server) leaveReadOnly() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.readOnly.Swap(false) {
		return
	}
	s.log.Info("a leader is back: read-only mode ends")
	for c := range s.conns {
		if c.readOnly {
			c.close()
		}
	}
}

// serves tells whether the server serves anybody.
func (s *Server) serves() bool { return s.hasLeader() || s.readOnly.Load() }

// claimReadOnly makes the connection one of the read-only mode, unless that is over.
func (c *conn) claimReadOnly() bool {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.readOnly = c.srv.readOnly.Load()
	return c.readOnly
}

// attachReadOnly gives the connection a session of the read-only mode, and answers.
func (c *conn) attachReadOnly(req *wire.ConnectRequest, timeout time.Duration) error {
	if !req.ReadOnly || !c.claimReadOnly() {
		return errNotServing
	}
	id, password, err := c.localSession(req)
	if err != nil {
		return err
	}
	resp := wire.ConnectResponse{HasReadOnly: true, ReadOnly: true, Password: make([]byte, wire.PasswordLen)}
	if id == 0 {
		err = errExpired
	} else {
		resp.Timeout, resp.SessionID, resp.Password = int32(timeout.Milliseconds()), id, password
		c.srv.state.mu.Lock()
		c.session, c.timeout = id, timeout
		c.srv.state.mu.Unlock()
	}
	c.mu.Lock()
	c.out = wire.EndFrame(resp.Append(wire.BeginFrame(c.out)), 0)
	c.mu.Unlock()
	if e := c.flush(); e != nil {
		return e
	}
	return err
}

// localSession returns the session to go on with, 0 if the one asked for has another password. Of a session that is not
// known here nothing can be said: it may have been made since.
func (c *conn) localSession(req *wire.ConnectRequest) (int64, []byte, error) {
	st := &c.srv.state
	st.mu.RLock()
	defer st.mu.RUnlock()
	if req.LastZxidSeen > st.tree.Zxid() {
		return 0, nil, errZxidAhead
	}
	if req.SessionID == 0 {
		b := make([]byte, 8+wire.PasswordLen)
		rand.Read(b) // never fails
		return int64(binary.BigEndian.Uint64(b)>>8 | 1), b[8:], nil
	}
	if isLocal(req.SessionID) { // of this mode, perhaps of another server: there is nothing to protect
		password := make([]byte, wire.PasswordLen)
		copy(password, req.Password)
		return req.SessionID, password, nil
	}
	sess, ok := st.tree.Session(req.SessionID)
	switch {
	case !ok:
		return 0, nil, errNotServing
	case subtle.ConstantTimeCompare(sess.Password, req.Password) != 1:
		return 0, nil, nil
	}
	return sess.ID, sess.Password, nil
}

// isLocal holds for sessions of the read-only mode: the top byte of real ones is the number of a server.
func isLocal(id int64) bool { return uint64(id)>>56 == 0 }

// requestReadOnly deals with what the read-only mode does differently; done tells whether that was all.
func (c *conn) requestReadOnly(s *slot) (done bool, err error) {
	switch s.op {
	case wire.OpPing: // there is no leader to be told
		s.xid, s.read = wire.XidPing, pong
	case wire.OpCloseSession: // a real session is ended by nobody now
		s.last, s.read, err = true, pong, errLastRequest
	default:
		if operations[s.op].write == nil && s.op != wire.OpReconfig {
			return false, nil
		}
		s.read = refuse(wire.ErrNotReadOnly)
	}
	c.read(s)
	return true, err
}

// awaitNext gives a client of the read-only mode its timeout to send the next request: there is no leader to miss it.
func (c *conn) awaitNext() error {
	if !c.readOnly {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil // the deadline of the past, which close has set, must stay
	}
	return c.nc.SetReadDeadline(time.Now().Add(c.timeout))
}
