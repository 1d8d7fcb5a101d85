package tree

import (
	"crypto/subtle"
	"slices"

	"github.com/docent-io/docent/internal/wire"
)

// Session is a client's session.
type Session struct {
	ID       int64
	Timeout  int32 // ms
	Epoch    int32 // counts the connections that held it, from 1
	Used     int64 // zxid of its last transaction
	Password []byte
}

type session struct {
	Session
	ephemerals map[uint32]struct{} // numbers of its nodes
}

func (s *session) add(number uint32) {
	if s.ephemerals == nil {
		s.ephemerals = make(map[uint32]struct{})
	}
	s.ephemerals[number] = struct{}{}
}

func (s *session) remove(number uint32) {
	if delete(s.ephemerals, number); len(s.ephemerals) == 0 {
		s.ephemerals = nil // a map never shrinks
	}
}

func (s *session) held() Result {
	return Result{Epoch: s.Epoch, Timeout: s.Timeout, Password: s.Password}
}

// createSession opens the session x.Session.
func (a *application) createSession() Result {
	x := a.x
	if !isEphemeral(x.Session) || x.Timeout <= 0 { // an id must be able to own ephemerals
		return Result{Err: wire.ErrBadArguments}
	}
	if a.t.sessions[x.Session] != nil {
		return Result{Err: wire.ErrNodeExists}
	}
	s := &session{Session: Session{ID: x.Session, Timeout: x.Timeout, Epoch: 1, Used: a.zxid, Password: slices.Clone(x.Password)}}
	a.t.sessions[x.Session] = s
	a.t.digest += s.digest()
	return s.held()
}

// attachSession gives the session to the connection that knows its password; all older ones are fenced from here on.
func (a *application) attachSession() Result {
	s := a.t.sessions[a.x.Session]
	if s == nil || subtle.ConstantTimeCompare(s.Password, a.x.Password) != 1 {
		return Result{Err: wire.ErrSessionExpired}
	}
	if a.x.Timeout <= 0 {
		return Result{Err: wire.ErrBadArguments}
	}
	a.t.digest -= s.digest()
	s.Epoch++
	s.Timeout, s.Used = a.x.Timeout, a.zxid
	a.t.digest += s.digest()
	return s.held()
}

// closeSession ends the session, and with it all its ephemerals, unless it has been re-attached meanwhile, or, if the
// leader asks because it was silent, has written: an answered write assures a client of its full timeout.
func (a *application) closeSession() Result {
	if a.fence != wire.OK {
		return Result{Err: a.fence}
	}
	if a.x.Seen != 0 && a.session.Used > a.x.Seen {
		return Result{Err: wire.ErrBadVersion}
	}
	nodes := make([]*Node, 0, len(a.session.ephemerals))
	for i := range a.session.ephemerals {
		nodes = append(nodes, a.t.nodes[i])
	}
	slices.SortFunc(nodes, byPath) // so that events come in the same order everywhere
	for _, n := range nodes {
		a.remove(n)
	}
	a.t.digest -= a.session.digest()
	delete(a.t.sessions, a.session.ID)
	return Result{}
}
