package server

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/tree"
)

// traffic counts what went over one connection, or over several.
type traffic struct {
	received, sent int64 // packets: requests; answers and events
	requests       int64 // answered
	events         int64
	busy           time.Duration // from request to answer, summed over all requests
	min, max       time.Duration // of one request
}

func (t *traffic) add(o traffic) {
	if o.requests > 0 && (t.requests == 0 || o.min < t.min) {
		t.min = o.min
	}
	t.max = max(t.max, o.max)
	t.received += o.received
	t.sent += o.sent
	t.requests += o.requests
	t.events += o.events
	t.busy += o.busy
}

func (t *traffic) answered(d time.Duration) {
	if t.requests == 0 || d < t.min {
		t.min = d
	}
	t.max = max(t.max, d)
	t.sent++
	t.requests++
	t.busy += d
}

func (t *traffic) average() time.Duration {
	if t.requests == 0 {
		return 0
	}
	return t.busy / time.Duration(t.requests)
}

// connStats are the numbers of one connection, guarded by conn.mu. They are counted there, where a lock is held anyway,
// and added up when somebody asks.
type connStats struct {
	all   traffic // since it was opened: what Prometheus sees
	reset traffic // since crst
	shown traffic // since srst

	last     time.Duration // latency of the last request
	lastTime time.Time
	lastOp   wire.Op
	lastXid  int32
	lastZxid int64
}

func (s *connStats) received() {
	s.all.received++
	s.reset.received++
	s.shown.received++
}

func (s *connStats) event() {
	for _, t := range []*traffic{&s.all, &s.reset, &s.shown} {
		t.sent++
		t.events++
	}
}

func (s *connStats) answered(sl *slot, now time.Time) {
	s.last, s.lastTime, s.lastOp, s.lastXid = now.Sub(sl.start), now, sl.op, sl.xid
	s.all.answered(s.last)
	s.reset.answered(s.last)
	s.shown.answered(s.last)
}

// serverStats are the numbers of a server beside those of its connections.
type serverStats struct {
	rejected, cut, expired, authFailed atomic.Int64
	frames, held, late, watches        atomic.Int64 // what exceeded a limit

	// Guarded by Server.mu: of the connections that have ended.
	all, shown traffic
}

// connInfo is what operators are told of a connection.
type connInfo struct {
	remote  string
	session int64
	timeout time.Duration
	opened  int64 // ms
	queued  int
	traffic
	last     time.Duration
	lastTime time.Time
	lastOp   wire.Op
	lastXid  int32
	lastZxid int64
}

func (c *conn) info() connInfo {
	c.srv.state.mu.RLock()
	session, timeout := c.session, c.timeout
	c.srv.state.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stats
	return connInfo{c.remote, session, timeout, c.opened.UnixMilli(), c.queue.len(), s.reset, s.last, s.lastTime, s.lastOp, s.lastXid, s.lastZxid}
}

// facts are the numbers that several words, commands and metrics tell, seen at one time.
type facts struct {
	zxid                     int64
	tree                     tree.Counts
	watches                  int
	connections, outstanding int
	leads, leaderKnown       bool
	replica                  replica.Stats
	uptime                   time.Duration

	traffic                                    // since srst
	latencyMin, latencyMax             int64   // ms
	latencyAvg                         float64 // ms
	rejected, cut, expired, authFailed int64
	frames, held, late, watchesRefused int64
	allRequests, allEvents             int64 // since the start
	requestSeconds                     float64
}

func (s *Server) facts() (f facts) {
	s.state.mu.RLock()
	f.zxid, f.tree = s.state.tree.Zxid(), s.state.tree.Counts()
	s.state.mu.RUnlock()
	f.watches = s.state.watches.Watches()
	f.replica = s.replica.Stats()
	id, ok := s.replica.Leader()
	f.leads, f.leaderKnown = ok && id == s.cfg.ID, ok
	f.uptime = time.Since(s.started)
	f.rejected, f.cut, f.expired, f.authFailed = s.stats.rejected.Load(), s.stats.cut.Load(), s.stats.expired.Load(), s.stats.authFailed.Load()
	f.frames, f.held, f.late, f.watchesRefused = s.stats.frames.Load(), s.stats.held.Load(), s.stats.late.Load(), s.stats.watches.Load()

	conns := s.connections()
	s.mu.Lock()
	all, shown := s.stats.all, s.stats.shown
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		all.add(c.stats.all)
		shown.add(c.stats.shown)
		f.outstanding += c.queue.len()
		c.mu.Unlock()
	}
	f.connections, f.traffic = len(conns), shown
	f.latencyMin, f.latencyMax = shown.min.Milliseconds(), shown.max.Milliseconds()
	f.latencyAvg = float64(shown.average().Microseconds()) / 1000
	f.allRequests, f.allEvents, f.requestSeconds = all.requests, all.events, all.busy.Seconds()
	return f
}

// retire adds up the numbers of a connection that has ended. The caller holds s.mu.
func (s *Server) retire(c *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.stats.all.add(c.stats.all)
	s.stats.shown.add(c.stats.shown)
}

// resetStats begins the numbers shown anew; those for Prometheus go on.
func (s *Server) resetStats() {
	conns := s.connections()
	s.mu.Lock()
	s.stats.shown = traffic{}
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		c.stats.shown = traffic{}
		c.mu.Unlock()
	}
}

func (s *Server) resetConnections() {
	for _, c := range s.connections() {
		c.mu.Lock()
		c.stats.reset = traffic{}
		c.mu.Unlock()
	}
}

// connections returns the open connections, oldest first.
func (s *Server) connections() []*conn {
	s.mu.Lock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *conn) int { return cmp.Or(a.opened.Compare(b.opened), cmp.Compare(a.remote, b.remote)) })
	return list
}
