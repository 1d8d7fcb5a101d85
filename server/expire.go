package server

import (
	"context"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/expiry"
	"github.com/docent-io/docent/server/internal/tree"
)

// lead is what a server does only while it leads: it watches the clock for all sessions, and for the containers that
// ran empty.
type lead struct {
	pace    float64         // of the clock, if it is not to be a right one
	began   time.Time       // when such a clock was right
	mu      sync.Mutex      // guards tracker
	tracker *expiry.Tracker // nil while another server leads
}

// now is the time on the clock for sessions.
func (l *lead) now() time.Time {
	if l.pace == 0 {
		return time.Now()
	}
	return l.began.Add(time.Duration(float64(time.Since(l.began)) * l.pace))
}

// span is how long something lasts that lasts d on the clock for sessions.
func (l *lead) span(d time.Duration) time.Duration {
	if l.pace == 0 {
		return d
	}
	return time.Duration(float64(d) / l.pace)
}

func (l *lead) add(id int64, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracker != nil {
		l.tracker.Add(id, timeout, l.now())
	}
}

func (l *lead) touch(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracker != nil && id != 0 {
		l.tracker.Touch(id, l.now())
	}
}

func (l *lead) remove(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracker != nil {
		l.tracker.Remove(id)
	}
}

func (l *lead) overdue() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tracker.Overdue(l.now())
}

// deadline returns when a session will be overdue, unless it is heard before.
func (l *lead) deadline(id int64) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracker == nil {
		return time.Time{}, false
	}
	return l.tracker.Deadline(id)
}

// leading runs while this server leads: the replica starts it when everything committed before is applied, and ends
// ctx with the leadership.
func (s *Server) leading(ctx context.Context) {
	select {
	case <-s.opened: // it may lead before Open has returned the replica
	case <-ctx.Done():
		return
	}
	s.beginLead()
	defer func() {
		s.lead.mu.Lock()
		s.lead.tracker = nil
		s.lead.mu.Unlock()
	}()
	expire := time.NewTicker(s.lead.span(s.cfg.Tick))
	defer expire.Stop()
	var listed published
	s.publish(&listed)
	reap := time.NewTicker(s.cfg.ContainerInterval)
	defer reap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			s.publish(&listed)
			for _, id := range s.lead.overdue() {
				s.expire(id)
			}
		case <-reap.C:
			s.reap()
		}
	}
}

// beginLead starts the clock of every session anew: the leader before may have heard them until a moment ago.
func (s *Server) beginLead() {
	s.state.mu.RLock()
	defer s.state.mu.RUnlock()
	s.lead.mu.Lock()
	defer s.lead.mu.Unlock()
	s.lead.tracker = track(s.state.tree, s.lead.now(), s.cfg.Tick)
}

// restored begins anew if this server leads: other sessions than before are there. The caller holds the tree's lock.
func (l *lead) restored(t *tree.Tree, tick time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracker != nil {
		l.tracker = track(t, l.now(), tick)
	}
}

// track starts the clocks of the sessions of t.
func track(t *tree.Tree, now time.Time, tick time.Duration) *expiry.Tracker {
	tracker := expiry.New(now, tick)
	for sess := range t.Sessions() {
		tracker.Add(sess.ID, time.Duration(sess.Timeout)*time.Millisecond, now)
	}
	return tracker
}

// expire proposes the end of a session. What re-attaches it, or writes in it, before the proposal is applied saves it:
// the proposal says what was seen of the session.
func (s *Server) expire(id int64) {
	s.state.mu.RLock()
	sess, ok := s.state.tree.Session(id)
	seen := s.state.tree.Zxid()
	s.state.mu.RUnlock()
	if !ok {
		s.lead.remove(id)
		return
	}
	s.stats.expired.Add(1)
	s.log.Info("session overdue", "session", sessionID(id), "timeout", time.Duration(sess.Timeout)*time.Millisecond)
	s.proposeAlone(&tree.Txn{Op: wire.OpCloseSession, Session: id, Epoch: sess.Epoch, Seen: seen})
}

// reapAtOnce bounds the nodes removed in one round, so that clients' writes find room between them.
const reapAtOnce = 1000

func (s *Server) reap() {
	s.state.mu.RLock()
	paths := s.state.tree.Reapable(s.cfg.Lab.now().UnixMilli(), s.cfg.ContainerNeverUsed, reapAtOnce)
	s.state.mu.RUnlock()
	for _, p := range paths {
		x := &tree.Txn{Op: wire.OpDeleteContainer, Timeout: int32(s.cfg.ContainerNeverUsed.Milliseconds())}
		x.One.Check.Path = p
		s.proposeAlone(x)
	}
}

// proposeAlone proposes a transaction of the server's own, whose result nobody waits for. If the server is stopping,
// the next leader finds the same.
func (s *Server) proposeAlone(x *tree.Txn) {
	if err := s.propose(nil, x); err != nil {
		s.log.Debug("server's own transaction not proposed", "op", x.Op, "error", err)
	}
}
