package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// worker is one connection of the load and its session. In a closed load one goroutine sends and receives; in an open one
// a second sends, and both share what is atomic or locked.
type worker struct {
	*run
	id      int
	rng     *rand.Rand // of the sender
	link    *link
	session session
	server  int // index of the address it is connected to

	slots      []pending     // ring of requests under way; the sender fills one before it raises sent
	sent, done atomic.Uint64 // numbers of requests; what lies between is under way
	names      names         // of ephemeral nodes, to be deleted

	next            int         // of the sender, in an open load: the next request
	sentAll, broken atomic.Bool // by which sender and receiver of an open load tell each other of the end

	path     []byte // of the sender
	created  bool   // of the sender: the node number is there
	number   int
	versions []int32 // last seen of each node, by the receiver; nil if there are too many nodes

	tally // of the receiver
}

// names is a stack of paths that the receiver fills and the sender empties.
type names struct {
	mu   sync.Mutex // guards list
	list []string
}

func (n *names) push(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, s)
}

func (n *names) pop() (s string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) == 0 {
		return "", false
	}
	s = n.list[len(n.list)-1]
	n.list = n.list[:len(n.list)-1]
	return s, true
}

func (n *names) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = nil
}

func (w *worker) underWay() uint64 { return w.sent.Load() - w.done.Load() }

// connect opens the connection.
func (w *worker) connect(ctx context.Context) (err error) {
	w.link, err = dial(ctx, w.cfg, w.cfg.Addrs[w.server], &w.session)
	return err
}

// begin opens the first connection, and waits until its server has all that was created.
func (w *worker) begin(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if _, err := w.link.call(1<<30, wire.OpSync, func(b []byte) []byte { return wire.AppendString(b, w.nodes.root) }); err != nil {
		w.link.nc.Close()
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// work puts load on the server until the end of the run, and then waits for the replies that are due. Without a time
// line, it ends with the first error.
func (w *worker) work(ctx context.Context) error {
	for {
		err := w.serve(ctx)
		switch {
		case err == nil:
			w.link.close()
			return nil
		case ctx.Err() != nil:
			w.link.nc.Close()
			return context.Cause(ctx)
		}
		w.link.nc.Close()
		var bad *WrongReply
		if w.cfg.Timeline == 0 || errors.As(err, &bad) {
			return fmt.Errorf("%s: %w", w.cfg.Addrs[w.server], err)
		}
		w.lost += int64(w.underWay())
		w.done.Store(w.sent.Load())
		if w.clock() >= w.end {
			return nil
		}
		if err := w.reconnect(ctx); err != nil {
			return err
		}
	}
}

// serve is one connection's share of the work.
func (w *worker) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { w.link.nc.SetDeadline(time.Unix(1, 0)); w.link.nc.Close() })()
	if w.cfg.Rate == 0 {
		return w.closedLoop()
	}
	w.sentAll.Store(false)
	w.broken.Store(false)
	var wg sync.WaitGroup
	var sendErr error
	wg.Go(func() {
		if sendErr = w.openLoop(ctx); sendErr != nil {
			w.link.nc.Close() // ends receive
		}
	})
	err := w.receive()
	w.broken.Store(true)
	if err != nil {
		w.link.nc.Close() // ends openLoop, if it writes
	}
	wg.Wait()
	if sendErr != nil && !errors.As(err, new(*WrongReply)) {
		return sendErr // the cause of the other
	}
	return err
}

// closedLoop keeps InFlight requests under way.
func (w *worker) closedLoop() error {
	for {
		if now := w.clock(); now < w.end {
			for w.underWay() < uint64(w.cfg.InFlight) {
				w.add(now)
			}
		}
		if w.underWay() == 0 {
			return nil
		}
		if err := w.link.flush(); err != nil {
			return err
		}
		if err := w.link.fill(w.patience()); err != nil {
			return err
		}
		if err := w.take(); err != nil {
			return err
		}
	}
}

// receive takes replies until all is sent and answered. It looks up now and then: the last reply may be there before the
// sender knows that there will be no more.
func (w *worker) receive() error {
	const look = 20 * time.Millisecond
	patience := w.patience()
	for !w.sentAll.Load() || w.underWay() > 0 {
		err := w.link.fill(time.Now().Add(look))
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(patience) {
			continue
		}
		if err != nil {
			return err
		}
		patience = w.patience()
		if err := w.take(); err != nil {
			return err
		}
	}
	return nil
}

// openLoop sends each request when it is due; what is late is sent at once, and late all the same.
func (w *worker) openLoop(ctx context.Context) error {
	for !w.broken.Load() {
		due := w.dueAt(w.next)
		if due >= w.end {
			w.sentAll.Store(true)
			return nil
		}
		if wait := due - w.clock(); wait > 0 {
			sleep(ctx, wait)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		for now := w.clock(); due <= now && due < w.end && len(w.link.out) < 256<<10; due = w.dueAt(w.next) {
			if w.underWay() == uint64(w.cfg.InFlight) {
				break
			}
			w.add(due)
			w.next++
		}
		if len(w.link.out) == 0 {
			sleep(ctx, 100*time.Microsecond) // as many as may be are under way
		}
		if err := w.link.flush(); err != nil {
			return err
		}
	}
	return nil
}

// dueAt tells when this worker's request k is due: workers take turns.
func (w *worker) dueAt(k int) time.Duration {
	return time.Duration(float64(k*w.cfg.Conns+w.id) / w.cfg.Rate * float64(time.Second))
}

// patience is until when a server must have sent something. With a time line it is as long as a careful client waits
// before it looks for another server.
func (w *worker) patience() time.Time {
	if w.cfg.Timeline > 0 {
		return time.Now().Add(w.session.timeout * 2 / 3)
	}
	return time.Now().Add(hungTime)
}

// take checks and counts all replies that have come.
func (w *worker) take() error {
	now, writes := w.clock(), 0
	var r wire.Reader
	for {
		frame, ok, err := w.link.frame()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		var h wire.ReplyHeader
		r.Reset(frame)
		if h.Decode(&r); r.Err() != nil {
			return &WrongReply{Kind: "a request", What: "a header that is cut short"}
		}
		if h.Xid == wire.XidPing || h.Xid == wire.XidNotification {
			continue
		}
		done := w.done.Load()
		if done == w.sent.Load() || h.Xid != xidOf(done) {
			return &WrongReply{Kind: "a request", What: fmt.Sprintf("xid %d, which is not next", h.Xid)}
		}
		p := &w.slots[done&uint64(len(w.slots)-1)]
		if h.Err == wire.OK {
			w.session.zxid = max(w.session.zxid, h.Zxid)
			if err := w.check(p, &r); err != nil {
				return err
			}
			if p.kind.write() {
				writes++
			}
		} else if w.cfg.Timeline == 0 {
			return fmt.Errorf("%v: %w", p.kind, h.Err)
		}
		w.count(w.run, p, now, h.Err)
		w.done.Store(done + 1)
	}
	if writes > 0 || !w.cfg.Mix.writes() {
		w.gaps.acknowledged(now)
	}
	return nil
}

// reconnect tries the servers in turn, the next one first, and pauses after each round.
func (w *worker) reconnect(ctx context.Context) error {
	w.reconnects++
	for try := 1; ; try++ {
		w.server = (w.server + 1) % len(w.cfg.Addrs)
		err := w.connect(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errExpired):
			w.expired++
			w.created = false
			w.names.clear()
			clear(w.versions)
		case w.clock() > w.end+hungTime:
			return fmt.Errorf("no server: %w", err)
		}
		if try%len(w.cfg.Addrs) == 0 {
			pause(ctx, 5*time.Millisecond)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
