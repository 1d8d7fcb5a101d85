//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/lock"
)

// world is one seed: an ensemble, its clients, and what is known of both.
type world struct {
	plan   plan
	e      *ensemble
	dir    string
	start  time.Time
	ctx    context.Context // ends when nothing may go on
	load   context.Context // ends when the clients shall
	pulse  pulse
	sure   *client.Client // on no machine that anything happens to, and connected to all members
	groups []*group
	home   *space // this process's own network, and a thread that stays
	all    []*puppet
	before []usage // of each server, when it all began
	// listeners are who tells in the end what was heard on connections.
	listeners sync.WaitGroup

	acked   atomic.Int64 // requests that were answered
	unknown atomic.Int64
	creates atomic.Int64 // acknowledged ones that were found again

	mu sync.Mutex // guards r
	r  records
}

// records are what the checks look at.
type records struct {
	wrong     []error
	ops       []history.Op
	batches   []*batch
	numbered  map[string][]history.Numbered // by directory
	bells     []history.Versioned
	streams   []history.Stream
	ends      int // connections that were listened to
	steps     map[string]int
	worst     time.Duration // until there was progress
	transfers int
	fenced    map[string][]fenced
	lives     map[string]int // ephemerals, by what became of them
	notes     []string
}

func (w *world) record(f func(*records)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.r)
}

// most is how much that is wrong is kept.
const most = 30

// fail notes what is wrong.
func (w *world) fail(format string, args ...any) {
	err := fmt.Errorf("%7.3f "+format, append([]any{time.Since(w.start).Seconds()}, args...)...)
	w.record(func(r *records) {
		if len(r.wrong) < most {
			r.wrong = append(r.wrong, err)
		}
	})
}

// check notes what a check found.
func (w *world) check(err error) {
	if err != nil {
		w.fail("%w", err)
	}
}

// tick is the time for the checks.
func (w *world) tick() int64 { return int64(time.Since(w.start)) }

// told keeps what was done, for who looks for the cause of what a check found.
func (w *world) told(format string, args ...any) {
	f, err := os.OpenFile(filepath.Join(w.dir, "story.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.fail("%v", err)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %7.3f %s\n", time.Now().Format("15:04:05.000"), time.Since(w.start).Seconds(), fmt.Sprintf(format, args...))
}

// dial connects a client from a group's machine, and looks at all it hears.
func (w *world) dial(g *group, timeout time.Duration) (*client.Client, error) {
	return w.dialBy(g, timeout, new(net.Dialer).DialContext)
}

func (w *world) dialBy(g *group, timeout time.Duration, dial func(context.Context, string, string) (net.Conn, error)) (*client.Client, error) {
	var mu sync.Mutex // guards ends
	var ends []*history.End
	cfg := client.Config{Servers: g.addrs, SessionTimeout: timeout}
	cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		end := new(history.End)
		mu.Lock()
		defer mu.Unlock()
		ends = slices.DeleteFunc(ends, func(e *history.End) bool { return e.Answers() == 0 }) // nothing to see there
		ends = append(ends, end)
		return &heard{nc, end}, nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	w.listeners.Add(1)
	context.AfterFunc(w.ctx, func() {
		defer w.listeners.Done()
		mu.Lock()
		defer mu.Unlock()
		w.record(func(r *records) { r.ends += len(ends) })
		for _, e := range ends {
			w.check(e.Check())
		}
	})
	return c, nil
}

// heard is a connection at its client's end.
type heard struct {
	net.Conn
	end *history.End
}

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.end.Got(b[:n])
	return n, err
}

func (h *heard) Write(b []byte) (int, error) {
	h.end.Sent(b)
	return h.Conn.Write(b)
}

// do carries out a request on the present session of c and counts it. sent is false if it was certainly not carried out
// for want of a session.
func (w *world) do(ctx context.Context, c *client.Client, f func(s *client.Session) error) (outcome history.Outcome, sent bool) {
	s, err := c.Session(ctx)
	if err != nil {
		return "", false
	}
	return w.classify(f(s))
}

// classify tells what an error means for the request, and counts it.
func (w *world) classify(err error) (outcome history.Outcome, sent bool) {
	var code client.Code
	switch {
	case err == nil:
		outcome = history.OK
	case errors.Is(err, client.ErrMaybeApplied):
		w.unknown.Add(1)
		return history.Unknown, true
	case errors.Is(err, client.ErrNoNode):
		outcome = history.NoNode
	case errors.Is(err, client.ErrNodeExists):
		outcome = history.NodeExists
	case errors.Is(err, client.ErrBadVersion):
		outcome = history.BadVersion
	case errors.As(err, &code) && !errors.Is(err, client.ErrSessionExpired):
		w.fail("request failed: %v", err)
		return "", false
	default:
		return "", false
	}
	w.acked.Add(1)
	return outcome, true
}

// excusable tells whether an error is what one must reckon with in a world of faults.
func excusable(err error) bool {
	for _, e := range []error{client.ErrMaybeApplied, client.ErrSessionExpired, client.ErrSessionDeadline, client.ErrSuspended, client.ErrClosed,
		context.DeadlineExceeded, context.Canceled, client.ErrDeletePending, lock.ErrReleasePending} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// until repeats f while it fails for a reason that may pass.
func (w *world) until(f func(context.Context) error) error {
	for {
		err := f(w.ctx)
		if err == nil || w.ctx.Err() != nil || !excusable(err) {
			return err
		}
		if err := sleep(w.ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// make creates a node, or finds it there.
func (w *world) make(c *client.Client, path, data string) error {
	return w.until(func(ctx context.Context) error {
		_, err := c.Create(ctx, path, []byte(data))
		if errors.Is(err, client.ErrNodeExists) {
			return nil
		}
		return err
	})
}

// think waits a little, and tells whether there is load to be made.
func (w *world) think(r *rand.Rand, most time.Duration) bool {
	return sleep(w.load, time.Duration(r.Int64N(int64(most)))) == nil
}
