package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// Layout is how the nodes of candidates are named.
type Layout int

// The layouts. Candidates of all are honoured under each; which one to take depends on who else comes.
const (
	LayoutLatch    Layout = iota // _c_<uuid>-latch-<number>: for docent and Curator's LeaderLatch
	LayoutSelector               // _c_<uuid>-lock-<number>: for docent and Curator's LeaderSelector
	LayoutKazoo                  // _c_<uuid>-__lock__<number>: for docent and kazoo's Election
)

// kind is what the names of candidates end in, ahead of their number.
func (l Layout) kind() string {
	switch l {
	case LayoutSelector:
		return "lock-"
	case LayoutKazoo:
		return "__lock__"
	}
	return "latch-"
}

// Compat names our candidates so that those of another library honour them. All processes should agree on it.
func Compat(l Layout) Option { return func(o *options) { o.layout = l } }

// lineAt is the line of those who observe, to whom all candidates are alike.
func lineAt(path string) recipes.Line { return LayoutLatch.lineAt(path) }

func (l Layout) lineAt(path string) recipes.Line {
	all := []string{LayoutLatch.kind(), LayoutSelector.kind(), LayoutKazoo.kind()}
	return recipes.Line{Dir: zpath.Join("/", path), Kind: l.kind(), Also: all}
}

// Term is the time somebody leads, or led. The methods may be called by several goroutines at once.
type Term struct {
	hold *recipes.Hold

	mu      sync.Mutex // guards profile, and orders the writes of it; held over a request, which its callers wait for
	profile profile
}

// Campaign waits until it is our turn to lead, and returns the term. The context governs the waiting alone. It fails
// when ctx or the session ends first, or somebody deletes the candidate's node, and leaves nothing behind then. Call
// Publish to let observers know, and Resign at the end. [Run] is all of this in a loop.
func Campaign(ctx context.Context, c *client.Client, path string, o ...Option) (*Term, error) {
	return newOptions(o).campaign(ctx, c, path, (*recipes.Ticket).Wait)
}

// TryCampaign is [Campaign] without waiting: when somebody else leads or is a candidate already, it leaves the line again
// and fails with an error that matches recipes.ErrBusy.
func TryCampaign(ctx context.Context, c *client.Client, path string, o ...Option) (*Term, error) {
	return newOptions(o).campaign(ctx, c, path, (*recipes.Ticket).Try)
}

func (opt *options) campaign(ctx context.Context, c *client.Client, path string, win func(*recipes.Ticket, context.Context) (*recipes.Hold, error)) (*Term, error) {
	t := &Term{profile: profile{ID: c.Identity(), Addr: opt.addr, PID: os.Getpid()}}
	data, err := json.Marshal(t.profile)
	if err != nil {
		return nil, fmt.Errorf("campaign at %s: %w", path, err)
	}
	s, err := c.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("campaign at %s: %w", path, err)
	}
	ticket, err := opt.layout.lineAt(path).Draw(ctx, s, data)
	if err == nil {
		t.hold, err = win(ticket, ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("campaign at %s: %w", path, err)
	}
	return t, nil
}

// Context ends with the term, before anybody else can lead. Its cause is recipes.ErrReleased after Resign,
// recipes.ErrGone when somebody deleted our node, else what became of the session.
func (t *Term) Context() context.Context { return t.hold.Context() }

// Token is the fencing token: it grows from term to term. Give it to whatever the leader writes to.
func (t *Term) Token() uint64 { return t.hold.Token() }

// Session is the session the term depends on.
func (t *Term) Session() *client.Session { return t.hold.Session() }

// Healthy tells whether we lead at this moment, as far as can be known without asking a server. It is cheap.
func (t *Term) Healthy() bool { return t.hold.Valid() }

// Txn begins a transaction that fails, as a whole, if the term is over.
func (t *Term) Txn() *client.Txn { return t.hold.Txn() }

// Publish sets the data that observers see, and tells them that we act as the leader.
func (t *Term) Publish(ctx context.Context, data []byte) error {
	return t.show(ctx, func(p *profile) { p.Data = data })
}

// acknowledge tells observers that we act as the leader.
func (t *Term) acknowledge(ctx context.Context) error { return t.show(ctx, func(*profile) {}) }

func (t *Term) show(ctx context.Context, change func(*profile)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.profile
	change(&next)
	if !next.Acked {
		next.Acked, next.Since = true, time.Now().UTC()
	}
	data, err := json.Marshal(next)
	if err == nil {
		err = t.hold.Set(ctx, data)
	}
	if errors.Is(err, client.ErrNoNode) {
		err = errors.Join(recipes.ErrGone, err)
	}
	if err != nil {
		return fmt.Errorf("publish as leader: %w", err)
	}
	t.profile = next
	return nil
}

// Resign ends the term and lets the next candidate lead. Errors are those of recipes.Hold.Release.
func (t *Term) Resign(ctx context.Context) error {
	if err := t.hold.Release(ctx); err != nil {
		return fmt.Errorf("resign: %w", err)
	}
	return nil
}
