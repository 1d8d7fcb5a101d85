package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// world is one schedule: an ensemble, its clients, and what is known of both.
type world struct {
	t        *testing.T
	plan     plan
	cluster  *servertest.Cluster
	log      history.Log
	start    time.Time
	ctx      context.Context
	ticks    atomic.Int64
	clocks   []clock // of each server
	ensemble ensemble

	mu sync.Mutex // guards r
	r  records
}

// records are what the checks look at.
type records struct {
	conns      []*history.Conn
	ops        []history.Op
	writes     []history.Write
	numbered   []history.Numbered
	ephemerals []history.Ephemeral
	streams    []history.Stream
	mortals    []history.Mortal
	happened   map[string]int // what came of faults, and was done to the ensemble, how often
	holds      int            // that were granted
	compared   int            // servers whose tree was found equal while clients were at work
	fenced     int            // writes under a hold that were acknowledged
	sessions   map[*client.Session]bool
	reliable   map[*client.Session]int64 // until when a session could be relied on
	forced     map[int64]bool            // sessions that were ended by force
	acked      int
	unknown    int
	clients    []*client.Client
	cables     []*testkit.Cable // of clients
}

func (w *world) record(f func(*records)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.r)
}

// tick returns the time for the checks: it moves on with each call, so what follows another thing is later.
func (w *world) tick() int64 { return w.ticks.Add(1) }

// errLimit says that a schedule did not come to its end in time, although all faults were over.
var errLimit = errors.New("no progress: the schedule took longer than its limit")

// newWorld starts an ensemble.
func newWorld(t *testing.T, p plan) *world {
	w := &world{t: t, plan: p, start: time.Now(), clocks: make([]clock, p.servers+p.spares)}
	w.ensemble.lost, w.ensemble.busy, w.ensemble.out = -1, make(map[int]bool), make(map[int]bool)
	w.r.happened = make(map[string]int)
	w.r.reliable = make(map[*client.Session]int64)
	w.r.sessions, w.r.forced = make(map[*client.Session]bool), make(map[int64]bool)
	ctx, cancel := context.WithTimeoutCause(context.Background(), p.limit, errLimit)
	t.Cleanup(cancel)
	w.ctx = ctx
	o := []servertest.Option{servertest.NoSockets(), servertest.WithConfig(w.configure), servertest.Spares(p.spares)}
	if p.disks {
		o = append(o, servertest.FaultyDisk(p.seed))
	}
	if p.sabotage == noSync {
		o = append(o, servertest.LyingDisk())
	}
	w.cluster = servertest.NewCluster(t, p.servers, o...)
	for i, d := range p.lags {
		w.cluster.Lag(i, d)
	}
	return w
}

// configure is called before each start of a server.
func (w *world) configure(cfg *server.Config) {
	id := cfg.ID
	clock := &w.clocks[id-1]
	w.log.Restarted(id)
	cfg.Listener = &tap{cfg.Listener, w, id}
	cfg.SnapshotBytes = w.plan.snapshotBytes
	cfg.ExtendedTypes, cfg.ContainerInterval, cfg.ContainerNeverUsed = true, reapEvery, neverUsed
	if w.plan.logs != nil {
		cfg.Logger = slog.New(slog.NewTextHandler(w.plan.logs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("server", id)
	}
	cfg.Lab.Now, cfg.Lab.Pace = clock.now, w.plan.rates[id-1]
	cfg.Lab.Applied = func(a server.Applied) {
		t := history.Txn{Zxid: a.Zxid, Session: a.Session, Op: a.Op, Err: a.Err, At: int64(time.Since(w.start))}
		for _, c := range a.Changes {
			t.Changes = append(t.Changes, history.Change{Type: wire.EventType(c.Type), Path: c.Path})
		}
		w.log.Applied(id, t)
		if w.ensemble.lostOne() == int(id)-1 {
			w.t.Errorf("server %d has lost its data, and carries out %#x", id, t.Zxid)
		}
	}
}

// clock is the time of day of one server.
type clock struct {
	mu   sync.Mutex // guards jump
	jump time.Duration
}

// now is the time of day, which jumps.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Round(0).Add(c.jump)
}

func (c *clock) jumpTo(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jump = d
}

// dial connects a client to all servers.
func (w *world) dial() *client.Client {
	cable := new(testkit.Cable)
	c := w.cluster.Dial(w.t, func(cfg *client.Config) {
		cfg.SessionTimeout = w.plan.sessionTimeout
		cfg.DialContext = cable.Dialer(cfg.DialContext)
	})
	w.record(func(r *records) { r.clients, r.cables = append(r.clients, c), append(r.cables, cable) })
	return c
}

// session returns the present session of c, and remembers it.
func (w *world) session(c *client.Client) (*client.Session, error) {
	s, err := c.Session(w.ctx)
	if err == nil {
		w.record(func(r *records) { r.sessions[s] = true })
	}
	return s, err
}

// do carries out a request on the present session of c and counts it. sent is false if it was certainly not carried out
// for want of a session.
func (w *world) do(c *client.Client, f func(s *client.Session) error) (outcome history.Outcome, sent bool) {
	s, err := w.session(c)
	if err != nil {
		return "", false
	}
	err = f(s)
	if d := s.Remaining(); d > 0 {
		w.record(func(r *records) { r.reliable[s] = max(r.reliable[s], int64(time.Since(w.start)+d)) })
	}
	var code client.Code
	switch {
	case err == nil:
		outcome = history.OK
	case errors.Is(err, client.ErrMaybeApplied):
		w.record(func(r *records) { r.unknown++ })
		return history.Unknown, true
	case errors.Is(err, client.ErrNoNode):
		outcome = history.NoNode
	case errors.Is(err, client.ErrNodeExists):
		outcome = history.NodeExists
	case errors.Is(err, client.ErrBadVersion):
		outcome = history.BadVersion
	case errors.As(err, &code) && !errors.Is(err, client.ErrSessionExpired):
		w.t.Errorf("request failed: %v", err)
		return "", false
	default:
		return "", false
	}
	w.record(func(r *records) { r.acked++ })
	return outcome, true
}

// acknowledged notes a write and its zxid.
func (w *world) acknowledged(s *client.Session, zxid, call int64, changes ...history.Change) {
	x := history.Write{Zxid: zxid, Session: s.ID(), Changes: changes, Call: call, Return: w.tick()}
	w.record(func(r *records) { r.writes = append(r.writes, x) })
}

// happened counts something that came of a fault, or was done to the ensemble.
func (w *world) happened(what string) { w.record(func(r *records) { r.happened[what]++ }) }

// granted counts a hold.
func (w *world) granted() {
	w.record(func(r *records) { r.acked, r.holds = r.acked+1, r.holds+1 })
}

// think waits a little, or now and then for longer, and tells whether there is time left.
func (w *world) think(r *rand.Rand) bool {
	if r.IntN(3) > 0 {
		return w.ctx.Err() == nil
	}
	return w.pause(time.Duration(1+r.IntN(1<<r.IntN(9))) * time.Millisecond)
}

func (w *world) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// digest asks a server for the digest of its tree: "zxid: digest".
func (w *world) digest(s *servertest.Server) (string, error) {
	text, err := w.word(s, "hash")
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line), err
}

// word sends a four-letter word.
func (w *world) word(s *servertest.Server, word string) (string, error) {
	nc, err := s.DialContext(w.ctx, "tcp", s.Addr())
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := deadline(nc); err != nil {
		return "", err
	}
	if _, err := nc.Write([]byte(word)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(nc)
	return string(text), err
}

// compared asks each server what it has found when it compared its tree with those of the others: no mismatch.
func (w *world) compared() {
	for _, s := range w.cluster.Servers {
		text, err := w.word(s, "mntr")
		if err != nil {
			w.t.Errorf("ask server %d: %v", s.ID(), err)
			continue
		}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
			switch {
			case strings.HasSuffix(name, "digest_mismatches_count") && value != "0":
				w.t.Errorf("server %d has found %s trees that differ", s.ID(), value)
			case strings.HasSuffix(name, "digest_compared_index") && value != "0":
				w.record(func(r *records) { r.compared++ })
			}
		}
	}
}

func deadline(nc net.Conn) error { return nc.SetDeadline(time.Now().Add(5 * time.Second)) }

// converged waits until all servers have carried out the same, and compares their trees.
func (w *world) converged() error {
	for {
		digests := make(map[string][]uint64)
		zxids := make(map[string]bool)
		for _, s := range w.cluster.Servers {
			d, err := w.digest(s)
			if err != nil {
				d = fmt.Sprintf("%d: %v", s.ID(), err)
			}
			digests[d] = append(digests[d], s.ID())
			zxid, _, _ := strings.Cut(d, ":")
			zxids[zxid] = true
		}
		if len(digests) == 1 {
			return nil
		}
		if len(zxids) == 1 {
			return fmt.Errorf("trees differ at one zxid: %v", digests)
		}
		if !w.pause(20 * time.Millisecond) {
			return fmt.Errorf("servers do not come to the same state: %v", digests)
		}
	}
}
