package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
)

var (
	walks    = flag.Int("walks", 150, "random walks over the states of the connection")
	walkSeed = flag.Uint64("walkseed", 0, "seed of the first walk; 0: another one each time")
)

// TestWalk goes random ways through the states of the connection, against a model of an ensemble that loses its
// servers, its leader, replies and sessions, answers late, and becomes read-only. Behind every step it checks that
//
//   - no reply reached the wrong caller, no write was carried out twice, or at all if it was said not to be (C1, C2)
//   - no watch was lost, none told after Close, and servers keep none that nobody waits for (C3, R-3, R-4, R-5)
//   - the deadline, its margin included, is never later than the ensemble's expiry of the session (C4)
//   - nothing is sent on a session that has ended (C5), and Close is bounded (C6, R-13)
//   - the state changes as DESIGN.md says only, and in all of these ways.
func TestWalk(t *testing.T) {
	seed := *walkSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	n := *walks
	if testing.Short() || raceEnabled {
		n = min(n, 30)
	}
	seen := make(map[[2]client.State]int)
	bubble(t, func(t *testing.T) { // one for all: under the race detector many of them break down, golang/go#78156
		for i := range uint64(n) {
			w := newWalk(t, seed+i)
			w.run()
			if t.Failed() {
				t.Fatalf("again: go test ./client -run TestWalk -walks 1 -walkseed %d", seed+i)
			}
			for _, way := range w.ways {
				seen[way]++
			}
		}
	})
	for way := range designed {
		if seen[way] == 0 && n >= 150 {
			t.Errorf("no walk from seed %d went from %v to %v", seed, way[0], way[1])
		}
	}
}

// designed are the changes of state that DESIGN.md knows.
var designed = map[[2]client.State]bool{
	{client.Connecting, client.Connected}: true,
	{client.Connecting, client.ReadOnly}:  true,
	{client.Connecting, client.Closed}:    true,
	{client.Connected, client.Suspended}:  true,
	{client.Connected, client.Connecting}: true,
	{client.ReadOnly, client.Suspended}:   true,
	{client.ReadOnly, client.Connecting}:  true,
	{client.Suspended, client.Connected}:  true,
	{client.Suspended, client.ReadOnly}:   true,
	{client.Suspended, client.Connecting}: true,
}

type walk struct {
	t   *testing.T
	rnd *rand.Rand
	e   *ensemble
	c   *client.Client

	leases []walkLease
	work   sync.WaitGroup
	tokens int
	steps  []string

	mu       sync.Mutex // guards the rest; behind that of the ensemble
	sessions map[int64]*client.Session
	ways     [][2]client.State
	state    client.State
	calls    []*walkCall // that have not ended
	watches  []*walkWatch
	streams  []*walkStream
	writes   []walkWrite
}

type walkCall struct{ cancel context.CancelFunc }

type walkLease struct {
	id  int64
	ctx context.Context
}

type walkWatch struct {
	w          *client.Watch
	id         int64 // of its session
	kind, path string
	mark       int64 // of what the caller read
	closed     bool
	outcome    error // when it was closed
}

type walkStream struct {
	st     *client.Stream
	id     int64
	closed bool
	since  int64            // zxid up to which the reader knows all
	seen   map[string]int64 // zxid of the latest event of each node
}

type walkWrite struct {
	data string
	err  error
}

func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), e: newEnsemble(t), sessions: make(map[int64]*client.Session)}
	c, err := client.Dial(t.Context(), client.Config{
		Servers: []string{"a:1", "b:1", "c:1"}, DialContext: w.e.dial, SessionTimeout: timeout, CloseTimeout: time.Second,
		AllowReadOnly: true, Hooks: client.Hooks{State: w.changed},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.c = c
	return w
}

func (w *walk) changed(s client.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if way := [2]client.State{w.state, s}; !designed[way] {
		w.t.Errorf("the state went from %v to %v", w.state, s)
	} else {
		w.ways = append(w.ways, way)
	}
	w.state = s
}

// run makes some steps, then heals the ensemble and looks whether all is well, and closes the client.
func (w *walk) run() {
	defer func() {
		if w.t.Failed() {
			w.t.Logf("steps: %s", strings.Join(w.steps, ", "))
		}
	}()
	for range 20 + w.rnd.IntN(40) {
		w.step()
		synctest.Wait()
		w.check()
	}
	if w.rnd.IntN(4) > 0 {
		w.heal()
	}
	w.end()
}

// step does one thing, drawn by chance.
func (w *walk) step() {
	type action struct {
		weight int
		name   string
		do     func()
	}
	path := modelPath(w.rnd.IntN(modelNodes))
	e := w.e
	actions := []action{
		{10, "get", func() { w.get(path) }},
		{10, "set", func() { w.set(path) }},
		{10, "watch", func() { w.watch([]string{"data ", "exists ", "child "}[w.rnd.IntN(3)], path) }},
		{8, "close watch", w.closeWatch},
		{2, "stream", w.stream},
		{2, "close stream", w.closeStream},
		{10, "cancel", w.cancel},
		{3, "lease", w.lease},
		{12, "change", func() { w.tokens++; e.set(path, fmt.Sprint(path, "=other", w.tokens)) }},
		{5, "remove", func() { e.remove(path) }},
		{5, "add child", func() { e.addChild(path) }},
		{6, "cut", w.cut},
		{3, "refuse", func() { e.refusing = !e.refusing }},
		{3, "leader", func() {
			if e.leaderless {
				e.leader()
			} else {
				e.leaderless = true
			}
		}},
		{8, "delay", func() { e.delay = []time.Duration{0, 100 * time.Millisecond, 3 * time.Second}[w.rnd.IntN(3)] }},
		{1, "expire", func() {
			for _, s := range e.sessions {
				s.closed, s.forced = true, true
			}
		}},
		{2, "read-only", func() { e.readOnly = !e.readOnly; w.cut() }},
		{15, "sleep", func() {
			e.mu.Unlock()
			time.Sleep([]time.Duration{time.Millisecond, 700 * time.Millisecond, 3 * time.Second, 7 * time.Second, 13 * time.Second}[w.rnd.IntN(5)])
			e.mu.Lock()
		}},
	}
	sum := 0
	for _, a := range actions {
		sum += a.weight
	}
	at := w.rnd.IntN(sum)
	for _, a := range actions {
		if at -= a.weight; at < 0 {
			w.steps = append(w.steps, a.name)
			e.mu.Lock()
			defer e.mu.Unlock()
			a.do()
			return
		}
	}
}

func (w *walk) cut() {
	for c := range w.e.conns {
		go c.cut()
	}
}

// call carries something out in a goroutine of its own, on the session of the moment.
func (w *walk) call(do func(ctx context.Context, s *client.Session)) {
	ctx, cancel := context.WithCancel(context.Background())
	k := &walkCall{cancel}
	w.mu.Lock()
	w.calls = append(w.calls, k)
	w.mu.Unlock()
	w.work.Go(func() {
		defer w.ended(k)
		s, err := w.c.Session(ctx)
		if err == nil {
			w.mu.Lock()
			w.sessions[s.ID()] = s
			w.mu.Unlock()
			do(ctx, s)
		} else if !errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrClosed) {
			w.t.Errorf("no session: %v", err)
		}
	})
}

func (w *walk) ended(k *walkCall) {
	k.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = slices.DeleteFunc(w.calls, func(o *walkCall) bool { return o == k })
}

// readError checks the error of a read on a session: that connections are lost is none.
func (w *walk) readError(ctx context.Context, s *client.Session, err error) {
	if errors.Is(err, client.ErrNoNode) || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	if s.Context().Err() == nil || !errors.Is(err, context.Cause(s.Context())) || errors.Is(err, client.ErrMaybeApplied) {
		w.t.Errorf("read: %v", err)
	}
}

func (w *walk) get(path string) {
	fresh := []client.ReadOption{client.Fresh()}[:w.rnd.IntN(2)]
	w.call(func(ctx context.Context, s *client.Session) {
		n, err := s.Get(ctx, path, fresh...)
		if errors.Is(err, client.ErrReadOnly) && len(fresh) > 0 {
			return
		}
		if err != nil {
			w.readError(ctx, s, err)
		} else if !strings.HasPrefix(string(n.Data), path+"=") {
			w.t.Errorf("%s got the answer %q", path, n.Data)
		}
	})
}

func (w *walk) set(path string) {
	w.tokens++
	data := fmt.Sprint(path, "=ours", w.tokens)
	any := w.rnd.IntN(2) == 0
	w.call(func(ctx context.Context, s *client.Session) {
		ops := client.Ops(s)
		if any {
			ops = w.c
		}
		_, err := ops.Set(ctx, path, []byte(data), -1)
		w.mu.Lock()
		w.writes = append(w.writes, walkWrite{data, err})
		w.mu.Unlock()
	})
}

func (w *walk) watch(kind, path string) {
	w.call(func(ctx context.Context, s *client.Session) {
		ww := &walkWatch{id: s.ID(), kind: kind, path: path}
		var err error
		var node client.Node
		var st client.Stat
		switch kind {
		case "data ":
			node, ww.w, err = s.GetW(ctx, path)
			ww.mark = node.Stat.Mzxid
		case "exists ":
			ww.kind = "data "
			st, _, ww.w, err = s.ExistsW(ctx, path)
			ww.mark = st.Mzxid
		default:
			_, st, ww.w, err = s.ChildrenW(ctx, path)
			ww.mark = st.Pzxid
		}
		if err != nil {
			w.readError(ctx, s, err)
			return
		}
		w.mu.Lock()
		w.watches = append(w.watches, ww)
		w.mu.Unlock()
	})
}

func (w *walk) closeWatch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.watches) == 0 {
		return
	}
	ww := w.watches[w.rnd.IntN(len(w.watches))]
	ended := !open(ww.w)
	ww.w.Close()
	_, err := ww.w.Wait(context.Background())
	if !ended && !errors.Is(err, client.ErrWatchClosed) {
		w.t.Errorf("closed, the watch on %s ended with %v", ww.path, err)
	}
	ww.closed, ww.outcome = true, err
}

func (w *walk) stream() {
	w.call(func(ctx context.Context, s *client.Session) {
		st, err := s.AddWatch(ctx, "/", client.PersistentRecursive)
		if err != nil {
			w.readError(ctx, s, err)
			return
		}
		w.e.mu.Lock()
		ws := &walkStream{st: st, id: s.ID(), since: w.e.zxid, seen: make(map[string]int64)}
		w.e.mu.Unlock()
		w.mu.Lock()
		w.streams = append(w.streams, ws)
		w.mu.Unlock()
		w.work.Go(func() { w.follow(ws) })
	})
}

func (w *walk) follow(ws *walkStream) {
	for {
		ev, err := ws.st.Next(context.Background())
		if err != nil {
			return
		}
		w.e.mu.Lock()
		zxid := w.e.zxid
		w.e.mu.Unlock()
		w.mu.Lock()
		if ev.Type == client.EventResync {
			ws.since = zxid
		} else {
			ws.seen[ev.Path] = ev.Zxid
		}
		w.mu.Unlock()
	}
}

func (w *walk) closeStream() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams) > 0 {
		ws := w.streams[w.rnd.IntN(len(w.streams))]
		ws.st.Close()
		ws.closed = true
	}
}

func (w *walk) cancel() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) > 0 {
		w.calls[w.rnd.IntN(len(w.calls))].cancel()
	}
}

func (w *walk) lease() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.sessions {
		if s.Context().Err() == nil {
			w.leases = append(w.leases, walkLease{id, s.Lease()})
		}
	}
}

// check compares the client with the model, while nothing moves.
func (w *walk) check() {
	w.t.Helper()
	e := w.e
	e.mu.Lock()
	defer e.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c.State() == client.Connected || w.c.State() == client.Suspended || w.c.State() == client.ReadOnly {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if s, err := w.c.Session(ctx); err == nil {
			w.sessions[s.ID()] = s
		}
	}
	w.checkDeadlines()
	for id, s := range w.sessions {
		if s.Context().Err() != nil {
			e.sessions[id].over = true
		}
	}
	w.checkWrites()
	for _, ww := range w.watches {
		w.checkWatch(ww)
	}
	for _, ws := range w.streams {
		w.checkStream(ws)
	}
}

func (w *walk) checkDeadlines() {
	now := time.Now()
	for id, s := range w.sessions {
		m := w.e.sessions[id]
		if m.forced || m.local || s.Context().Err() != nil {
			continue
		}
		if end := s.Deadline().Add(timeout / 3); end.After(m.expiry()) {
			w.t.Errorf("session %d expires in %v, the client thinks in %v", id, m.expiry().Sub(now), end.Sub(now))
		}
	}
	for _, l := range w.leases {
		m := w.e.sessions[l.id]
		if l.ctx.Err() == nil && !m.forced && !m.local && now.After(m.expiry()) {
			w.t.Errorf("a lease of session %d lives %v behind its expiry", l.id, now.Sub(m.expiry()))
		}
	}
}

func (w *walk) checkWrites() {
	for _, wr := range w.writes {
		n := w.e.applied[wr.data]
		switch {
		case n > 1:
			w.t.Errorf("%q was written %d times", wr.data, n)
		case wr.err == nil && n == 0:
			w.t.Errorf("%q was confirmed, and not written", wr.data)
		case wr.err != nil && !errors.Is(wr.err, client.ErrMaybeApplied) && n > 0:
			w.t.Errorf("%q was written, though it failed for certain: %v", wr.data, wr.err)
		}
	}
}

func (w *walk) checkWatch(ww *walkWatch) {
	if !open(ww.w) {
		ev, err := ww.w.Wait(context.Background())
		switch {
		case ww.closed && err != ww.outcome:
			w.t.Errorf("the outcome of a watch on %s changed from %v to %v", ww.path, ww.outcome, err)
		case err == nil && ww.mark > 0 && ev.Zxid <= ww.mark:
			w.t.Errorf("a watch on %s told of zxid %d, its read had seen %d", ww.path, ev.Zxid, ww.mark)
		case err != nil && !ww.closed && !errors.Is(err, context.Cause(w.sessions[ww.id].Context())):
			w.t.Errorf("a watch on %s ended with %v", ww.path, err)
		}
		return
	}
	if ww.closed {
		w.t.Errorf("a closed watch on %s is open", ww.path)
	}
	if now := w.e.mark(ww.kind, ww.path); w.e.calm(ww.id) != nil && w.settled() && now != ww.mark {
		w.t.Errorf("a watch on %s %swaits at zxid %d, the node is at %d: lost", ww.path, ww.kind, ww.mark, now)
	}
}

func (w *walk) checkStream(ws *walkStream) {
	if ws.closed || w.e.calm(ws.id) == nil || !w.settled() || w.sessions[ws.id].Context().Err() != nil {
		return
	}
	for path, zxid := range w.e.changed {
		if zxid > max(ws.since, ws.seen[path]) {
			w.t.Errorf("a stream was not told of zxid %d on %s", zxid, path)
		}
	}
}

// settled tells whether the client's watches are set on the connection it has.
func (w *walk) settled() bool { return w.state == client.Connected || w.state == client.ReadOnly }

// heal ends all trouble. Then everything that was asked must come to its end, and nothing may be left.
func (w *walk) heal() {
	w.steps = append(w.steps, "heal")
	w.e.mu.Lock()
	w.e.refusing, w.e.readOnly, w.e.delay = false, false, 0
	w.e.leader()
	w.e.mu.Unlock()
	time.Sleep(2 * timeout)
	s := session(w.t, w.c)
	if err := s.Sync(w.t.Context(), "/"); err != nil {
		w.t.Errorf("healed: %v", err)
	}
	synctest.Wait()
	w.check()
	if w.c.State() != client.Connected {
		w.t.Errorf("healed, the state is %v", w.c.State())
	}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	want := make(map[string]bool)
	n := 0
	for _, ww := range w.watches {
		if open(ww.w) {
			want[ww.kind+ww.path] = true
			n++
		}
	}
	for _, ws := range w.streams {
		if !ws.closed && ws.id == s.ID() {
			want["recursive /"] = true
			n++
		}
	}
	if st := w.c.Stats(); st.WatchesOpen != n || st.InFlight != 0 {
		w.t.Errorf("%d watches should be open; stats = %+v", n, st)
	}
	if c := w.e.calm(s.ID()); c == nil {
		w.t.Error("healed, the session is on no connection")
	} else if fmt.Sprint(c.watches) != fmt.Sprint(want) {
		w.t.Errorf("the server keeps %v, want %v", c.watches, want)
	}
}

// end closes the client. All calls and watches must end.
func (w *walk) end() {
	began := time.Now()
	w.c.Close()
	if took := time.Since(began); took > time.Second {
		w.t.Errorf("Close took %v", took)
	}
	w.work.Wait()
	synctest.Wait()
	w.check()
	for _, ww := range w.watches {
		if open(ww.w) {
			w.t.Errorf("behind Close a watch on %s is open", ww.path)
		}
	}
	w.e.mu.Lock()
	w.cut()
	w.e.mu.Unlock()
}
