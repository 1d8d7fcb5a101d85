package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// The errors of this package. Those of the client come through as well.
var (
	// ErrLocked: somebody else holds it. The error is a *LockedError.
	ErrLocked = errors.New("locked")
	// ErrLockLost: our node was deleted by somebody: by Break, by hand, or with its directory.
	ErrLockLost = recipes.ErrGone
	// ErrReleased is the cause of a context that ended because its holder unlocked.
	ErrReleased = recipes.ErrReleased
	// ErrReleasePending: it is not yet confirmed that our node is gone. The deletion goes on in the background.
	ErrReleasePending = client.ErrDeletePending
	// ErrSelfDeadlock: the context comes from a hold of the same lock, so waiting would never end.
	ErrSelfDeadlock = errors.New("the context's owner holds this lock already")
	// ErrSequenceExhausted: the directory's sequence numbers are used up. Delete it once it is empty.
	ErrSequenceExhausted = recipes.ErrSequenceExhausted
)

// The kinds of names that take part: Curator's and go-zookeeper's, and kazoo's.
const (
	kindCurator = "lock-"
	kindKazoo   = "__lock__"
)

// revoke is what Curator's Revoker writes into a holder's node.
const revoke = "__REVOKE__"

// Mutex describes a lock; it holds nothing, and may be used by several goroutines at once, which are contenders like
// any others.
type Mutex struct {
	c    *client.Client
	path string
	opt  options
}

// New describes the lock at path. It does no I/O.
func New(c *client.Client, path string, o ...Option) *Mutex {
	m := &Mutex{c: c, path: zpath.Join("/", path)}
	for _, set := range o {
		set(&m.opt)
	}
	return m
}

// Lock waits for its turn and returns it. Exactly one of its results is nil. The context governs the waiting alone; what
// is held lives until Unlock, or until it is lost. When ctx ends first, the session ends (client.ErrSessionExpired and
// others) or the place in the line is deleted by somebody (ErrLockLost), nothing stays behind; if that cannot be
// confirmed at once, the error matches ErrReleasePending too.
func (m *Mutex) Lock(ctx context.Context) (*Held, error) {
	return m.acquire(ctx, (*recipes.Ticket).Wait)
}

// TryLock is Lock without waiting: when it is not free it fails with a *LockedError, which matches ErrLocked.
func (m *Mutex) TryLock(ctx context.Context) (*Held, error) {
	held, err := m.acquire(ctx, (*recipes.Ticket).Try)
	if busy := (*recipes.BusyError)(nil); errors.As(err, &busy) {
		return nil, m.locked(ctx, busy, err)
	}
	return held, err
}

func (m *Mutex) acquire(ctx context.Context, turn func(*recipes.Ticket, context.Context) (*recipes.Hold, error)) (*Held, error) {
	if err := m.checkSelf(ctx); err != nil {
		return nil, err
	}
	data, err := json.Marshal(Tag{ID: m.c.Identity(), Note: m.opt.note})
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.path, err)
	}
	s, err := m.c.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.path, err)
	}
	h := &Held{m: m, revoked: make(chan struct{})}
	ticket, err := m.line(h).Draw(ctx, s, data)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.path, err)
	}
	if h.hold, err = turn(ticket, ctx); err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.path, err)
	}
	h.ctx = context.WithValue(h.hold.Context(), selfKey{m.c, m.path}, true)
	return h, nil
}

// line describes the queue, for a contender or, with nil, for whoever looks at it.
func (m *Mutex) line(h *Held) recipes.Line {
	l := recipes.Line{Dir: m.path, Kind: kindCurator, Also: []string{kindKazoo}, Strict: m.opt.strict}
	if m.opt.layout == LayoutKazoo {
		l.Kind, l.Also = kindKazoo, []string{kindCurator}
	}
	if h != nil {
		l.Notice = h.notice
	}
	return l
}

// Do runs fn while holding the lock at path. The context that fn gets has the values of ctx, and ends when ctx ends or
// the lock is lost, with the reason as its cause. The token grows from holder to holder: a store that remembers the
// highest it has seen can turn a late holder away. Do returns when fn has returned and the lock is released, with the
// errors of both.
func Do(ctx context.Context, c *client.Client, path string, fn func(context.Context, *Held) error, o ...Option) (err error) {
	held, err := New(c, path, o...).Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	both, stop := held.hold.Bind(ctx)
	defer stop()
	return fn(context.WithValue(both, selfKey{c, held.m.path}, true), held)
}

// LockedError says who holds a lock that was not free. It matches ErrLocked.
type LockedError struct {
	Path   string
	Holder Contender // without a Token if it has gone since
}

// Error tells it in one line.
func (e *LockedError) Error() string {
	if e.Holder.Token == 0 {
		return fmt.Sprintf("lock %s: %v", e.Path, ErrLocked)
	}
	return fmt.Sprintf("lock %s: %v by %s since %s", e.Path, ErrLocked, e.Holder.ID, e.Holder.Since.Format(time.RFC3339))
}

// Is makes a LockedError match ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// locked turns "not our turn" into "his turn". What went wrong when we left stays beside it.
func (m *Mutex) locked(ctx context.Context, busy *recipes.BusyError, err error) error {
	locked := &LockedError{Path: m.path}
	for _, place := range busy.Line[:1] {
		locked.Holder, _, _ = m.contender(ctx, m.c, place)
	}
	if errors.Is(err, ErrReleasePending) {
		return errors.Join(locked, err)
	}
	return locked
}

// selfKey finds, in a context, a hold of the lock at path.
type selfKey struct {
	c    *client.Client
	path string
}

func (m *Mutex) checkSelf(ctx context.Context) error {
	if ctx.Value(selfKey{m.c, m.path}) != nil {
		return fmt.Errorf("lock %s: %w", m.path, ErrSelfDeadlock)
	}
	return nil
}
