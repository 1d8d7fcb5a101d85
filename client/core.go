package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// leftoverMax bounds the attempts at closing a session that this client has given up. Each of them keeps it alive for
// another timeout; left alone it ends by itself.
const leftoverMax = 3

// core is what all views of one client share. Its owner is the goroutine run: it alone connects, tends the connection
// and changes the state. DESIGN.md draws the states.
type core struct {
	cfg     Config
	log     *slog.Logger
	clock   *clock
	state   *stateCell
	openACL []wire.ACL
	calls   sync.Pool
	current atomic.Pointer[session] // attached at least once, and possibly ended
	figures figures
	granted atomic.Bool // a server has granted a session, whether that can be used or not

	ctx     context.Context // ends when Close may not wait any longer
	cancel  context.CancelFunc
	closing chan struct{} // closed by Close
	once    sync.Once
	done    chan struct{} // closed when run has ended
	verdict chan error    // of one: what Dial shall not wait behind

	// the owner's
	hosts         *hosts
	session       *session // alive as far as the owner has noticed
	begun         bool     // there was a session: Config.Resume is used up
	leftover      *Ticket  // a session to close before anything else
	leftoverTries int

	mu     sync.Mutex       // guards the rest
	causes map[string]error // why the latest attempt at each address failed
	order  []string         // its keys as they came
	left   error            // why the session could not be closed
}

// figures are counted for Stats.
type figures struct{ connects, attached, sessions atomic.Int64 }

func newCore(cfg Config) *core {
	c := &core{
		cfg: cfg, log: cfg.Logger, clock: newClock(), state: newStateCell(), openACL: toWireACL(WorldACL(PermAll)),
		closing: make(chan struct{}), done: make(chan struct{}), verdict: make(chan error, 1), causes: make(map[string]error),
	}
	c.calls.New = func() any { return newCall() }
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.hosts = newHosts(&c.cfg)
	return c
}

// run is the life of the client: connect, serve the connection, and again, until it is closed.
func (c *core) run() {
	defer close(c.done)
	defer c.cancel()
	for {
		cn := c.connect()
		if cn == nil {
			break
		}
		c.serve(cn)
	}
	if c.leftover != nil {
		c.mu.Lock()
		c.left = fmt.Errorf("close: no server confirmed the end of session %#x; it ends with its timeout: %w", uint64(c.leftover.SessionID), ErrSuspended)
		c.mu.Unlock()
	}
	c.setState(Closed)
}

func (c *core) setState(s State) {
	if !c.state.set(s) {
		return
	}
	id := int64(0)
	if c.session != nil {
		id = c.session.id
	}
	c.log.Info("connection state", "state", s.String(), "session", fmt.Sprintf("%#x", uint64(id)))
	if c.cfg.Hooks.State != nil {
		c.cfg.Hooks.State(s)
	}
}

// connect goes over the servers until one has attached the session, and returns nil when the client is closed. A
// closed client makes one more round if there is a session to close.
func (c *core) connect() *conn {
	last := false
	for {
		c.review()
		if c.isClosing() {
			if c.leftover == nil || last && c.hosts.roundOver() {
				return nil
			}
			if !last {
				last = true
				c.hosts.begin()
			}
		}
		h, ok, err := c.choose()
		if ok {
			var cn *conn
			if cn, err = c.try(h); err == nil {
				return cn
			}
		}
		c.blame(h.addr, err)
	}
}

// choose waits for its time to try the next address. It reports false if there is none, or the wait is interrupted.
func (c *core) choose() (host, bool, error) {
	ctx, cancel := c.attemptContext()
	defer cancel()
	h, wait, err := c.hosts.next(ctx)
	return h, c.sleep(ctx, wait) && err == nil, err
}

// try attempts an address, and once more when a session turns out to have ended.
func (c *core) try(h host) (cn *conn, err error) {
	for range 3 { // close what is left over, find the session expired, begin a new one
		c.figures.connects.Add(1)
		ctx, cancel := c.attemptContext()
		cn, err = c.attempt(ctx, h)
		cancel()
		if c.cfg.Hooks.Connect != nil {
			c.cfg.Hooks.Connect(h.addr, err)
		}
		if !errors.Is(err, errAgain) {
			return cn, err
		}
		c.review()
		if c.isClosing() {
			return nil, err
		}
	}
	return cn, err
}

// attemptContext ends with the session that is to be re-attached, and when the client has to stop.
func (c *core) attemptContext() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.ctx)
	if c.session != nil && c.leftover == nil {
		stop := context.AfterFunc(c.session.ctx, cancel)
		return ctx, func() { stop(); cancel() }
	}
	return ctx, cancel
}

// sleep waits, and tells whether it may go on.
func (c *core) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.closing:
	}
	return false
}

// review looks after a session that has ended: its goroutines, and whether a server still has to be told.
func (c *core) review() {
	if c.leftover != nil && c.leftoverTries >= leftoverMax {
		c.log.Warn("a session is left to its timeout", "session", fmt.Sprintf("%#x", uint64(c.leftover.SessionID)))
		c.leftover = nil
	}
	s := c.session
	if s == nil {
		return
	}
	if c.isClosing() {
		s.end(ErrClosed)
	}
	if s.ctx.Err() == nil {
		return
	}
	if !s.gone.Load() {
		c.leftover, c.leftoverTries = &Ticket{s.id, s.password, s.zxid.Load()}, 0
	}
	c.drop()
}

// drop lets go of a session that has ended.
func (c *core) drop() {
	c.session.deletes.close()
	c.session.workers.Wait()
	c.session = nil
	c.setState(Connecting)
}

// forget takes the word of a server that a session is no more.
func (c *core) forget() {
	switch {
	case c.leftover != nil:
		c.leftover = nil
	case c.session != nil:
		c.session.gone.Store(true)
		c.session.end(ErrSessionExpired)
	default: // of Config.Resume
		c.decide(&OpError{Op: "resume", Session: c.cfg.Resume.SessionID, Err: ErrSessionExpired})
		c.once.Do(func() { close(c.closing) }) // Dial fails: no other session shall begin
	}
}

// decide tells Dial, if it still waits, that it waits in vain.
func (c *core) decide(err error) {
	select {
	case c.verdict <- err:
	default:
	}
}

// blame notes why an attempt failed.
func (c *core) blame(addr string, err error) {
	if err == nil {
		return // it was interrupted before it began
	}
	if errors.Is(err, ErrAuthFailed) || errors.Is(err, ErrTimeoutRefused) {
		c.log.Error("a server refuses us", "server", addr, "error", err)
		c.decide(fmt.Errorf("%s: %w", addr, err))
	} else {
		c.log.Debug("connecting failed", "server", addr, "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.causes[addr]; !known {
		c.order = append(c.order, addr)
	}
	c.causes[addr] = err
}

// failures returns why the latest attempt at each address failed.
func (c *core) failures() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []error
	for _, addr := range c.order {
		if addr == "" {
			all = append(all, c.causes[addr])
		} else {
			all = append(all, fmt.Errorf("%s: %w", addr, c.causes[addr]))
		}
	}
	return errors.Join(all...)
}

// close ends the client; how long it may wait for a server is bounded.
func (c *core) close(patience time.Duration) {
	c.once.Do(func() { close(c.closing) })
	defer time.AfterFunc(patience, c.cancel).Stop()
	<-c.done
}

// abandonGrace is how long a Dial that has failed may go on to close a session that was granted meanwhile. Left alone,
// the session and its place among the server's connections would stay for a whole timeout.
const abandonGrace = 500 * time.Millisecond

// abandon ends a client that Dial does not return. A session that was to be resumed is not ours to close.
func (c *core) abandon(ctx context.Context) {
	switch {
	case !c.granted.Load() || c.cfg.Resume != nil:
		c.cancel()
		c.close(0)
	case ctx.Err() != nil:
		c.close(min(abandonGrace, c.cfg.CloseTimeout))
	default:
		c.close(c.cfg.CloseTimeout)
	}
}

func (c *core) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// sessionEnded is told by a session, from any goroutine.
func (c *core) sessionEnded(s *session, cause error) {
	c.log.Info("session ended", "session", fmt.Sprintf("%#x", uint64(s.id)), "cause", cause)
}
