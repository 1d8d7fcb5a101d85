package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/docent-io/docent/internal/zpath"
)

// Client keeps a session with an ensemble: it connects, reconnects, and begins a new session when one has ended. It is
// safe for concurrent use. Its operations run on whatever session there is: they wait for one as long as their context
// allows, and repeat what is safe to repeat.
type Client struct {
	core  *core
	ns    string // put before every path: chroot and Sub; "" or "/a/b"
	above bool   // for making the chroot itself
	view  atomic.Pointer[Session]
}

// Dial connects and begins a session. Unless it returns a client with a live session it returns, joined, why each
// address failed. It tries until ctx ends; if ctx has no deadline, for one session timeout. A session that was granted
// when Dial fails all the same is closed; if ctx has ended by then, that may take another half second.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.SessionTimeout)
		defer cancel()
	}
	core := newCore(cfg)
	go core.run() // ended and awaited by close
	if err := core.ready(ctx); err != nil {
		err = fmt.Errorf("dial: %w", errors.Join(err, core.failures()))
		core.abandon(ctx)
		return nil, err
	}
	return &Client{core: core, ns: cfg.Chroot}, nil
}

// ready waits for the first session.
func (c *core) ready(ctx context.Context) error {
	for {
		state, changed := c.state.get()
		if state == Connected || state == ReadOnly {
			return nil
		}
		select {
		case <-changed:
		case err := <-c.verdict:
			return err
		case <-ctx.Done():
			return contextError(ctx)
		}
	}
}

// Session returns the current session. If there is none, or it has ended, Session waits for the next one. The session
// may be suspended: its requests wait. The same session is returned as the same pointer.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	for {
		state, changed := c.core.state.get()
		if state == Closed || c.core.isClosing() {
			return nil, ErrClosed
		}
		if s := c.core.current.Load(); s != nil && s.ctx.Err() == nil {
			return c.viewOf(s), nil
		}
		select {
		case <-changed:
		case <-c.core.closing:
		case <-ctx.Done():
			return nil, fmt.Errorf("no session: %w", contextError(ctx))
		}
	}
}

// viewOf returns the session as this client shows it, the same pointer as long as it is the same session.
func (c *Client) viewOf(s *session) *Session {
	for {
		v := c.view.Load()
		if v != nil && v.s == s {
			return v
		}
		if next := (&Session{s: s, c: c}); c.view.CompareAndSwap(v, next) {
			return next
		}
	}
}

// Sub returns a view of the client in which all paths are below prefix. It shares connection and session; closing
// either closes both.
func (c *Client) Sub(prefix string) *Client {
	return &Client{core: c.core, ns: strings.TrimSuffix(zpath.Join(c.ns, prefix), "/")}
}

// fromChroot returns a path of this view relative to the chroot of the configuration.
func (c *Client) fromChroot(shown string) string {
	if c.above {
		return "/" // what leads to the chroot is treated like it
	}
	if sub := strings.TrimPrefix(c.ns, c.core.cfg.Chroot); sub != "" {
		return zpath.Join(sub, shown)
	}
	return shown
}

// Identity says who this client is, for recipe payloads: Config.Identity.
func (c *Client) Identity() string { return c.core.cfg.Identity }

// Logger returns the logger of the configuration, or a silent one.
func (c *Client) Logger() *slog.Logger { return c.core.log }

// Stats returns figures of the client at this moment.
func (c *Client) Stats() Stats {
	f := &c.core.figures
	st := Stats{Connects: f.connects.Load(), Attached: f.attached.Load(), Sessions: f.sessions.Load()}
	if s := c.core.current.Load(); s != nil && s.ctx.Err() == nil {
		st.WatchesOpen = s.watches.count()
		st.PendingDeletes = s.deletes.count()
		if cn := s.conn.Load(); cn != nil {
			st.InFlight = cn.inFlight()
		}
	}
	return st
}

// Close ends the session, so that its ephemerals go at once, and the connection. Requests sent before are still
// answered, later ones fail with ErrClosed. It is bounded by Config.CloseTimeout, may be called often, and leaves no
// goroutine behind. It returns an error if no server confirmed the end of the session, which then ends with its timeout.
func (c *Client) Close() error {
	c.core.close(c.core.cfg.CloseTimeout)
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	return c.core.left
}
