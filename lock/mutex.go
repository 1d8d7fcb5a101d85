package lock

import (
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
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
	// ErrNotAlive: the function given to WithHeartbeat failed, or did not return.
	ErrNotAlive = recipes.ErrNotAlive
	// ErrSelfDeadlock: the context comes from a hold of the same lock, so waiting might never end.
	ErrSelfDeadlock = errors.New("the context's owner holds this lock already")
	// ErrUpgrade: the context comes from a read lock of the same path. Two who upgrade would wait for each other: unlock,
	// lock, and look again at what was read.
	ErrUpgrade = errors.New("a read lock cannot become a write lock")
	// ErrWrongKind: the path is in use as another kind of lock, whose contenders would not see us.
	ErrWrongKind = recipes.ErrWrongKind
	// ErrSequenceExhausted: the directory's sequence numbers are used up. Delete it once it is empty.
	ErrSequenceExhausted = recipes.ErrSequenceExhausted
)

// Mutex describes a lock; it holds nothing, and may be used by several goroutines at once, which are contenders like
// any others.
type Mutex struct{ queue }

// New describes the lock at path. It does no I/O.
func New(c *client.Client, path string, o ...Option) *Mutex { return &Mutex{newQueue(c, path, o)} }

// Lock waits for its turn and returns it. Exactly one of its results is nil. The context governs the waiting alone; what
// is held lives until Unlock, or until it is lost. When ctx ends first, the session ends (client.ErrSessionExpired and
// others) or the place in the line is deleted by somebody (ErrLockLost), nothing stays behind; if that cannot be
// confirmed within a second, the error matches ErrReleasePending too.
//
// What a lock gives, and what only its token does, is told in docs/what-a-lock-gives-you.md.
func (m *Mutex) Lock(ctx context.Context) (*Held, error) {
	return m.acquire(ctx, m.line(), exclusive, (*recipes.Ticket).Wait)
}

// TryLock is Lock without waiting: when it is not free it fails with a *LockedError, which matches ErrLocked.
func (m *Mutex) TryLock(ctx context.Context) (*Held, error) {
	return m.attempt(ctx, m.line(), exclusive)
}

// Relock is held.Unlock and then Lock, but in one flight to the servers: for who takes one turn after the other, and lets
// others go in between. A turn of its own costs one write to the disk then, not two, and those who wait get theirs sooner.
// The context of held ends at once; whether it was lost before, held.Lost tells. When Relock fails held is no longer held,
// and an error of Unlock (ErrReleasePending) is among the reasons.
func (m *Mutex) Relock(ctx context.Context, held *Held) (*Held, error) {
	if err := m.checkSelf(ctx, exclusive); err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.path, errors.Join(err, held.Close()))
	}
	if held.Session().Context().Err() != nil { // what was held went with it
		return m.Lock(ctx)
	}
	next, err := m.stand(ctx, m.line(), exclusive, func(line recipes.Line, data []byte) (*recipes.Ticket, error) {
		return line.Redraw(ctx, held.hold, data)
	}, (*recipes.Ticket).Wait)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.path, err)
	}
	return next, nil
}

func (m *Mutex) line() recipes.Line {
	l := recipes.Line{
		Dir: m.path, Kind: kindMutex, Also: []string{kindKazoo}, Strict: m.opt.strict, Alive: m.opt.alive,
		Bars: others(kindRead, kindWrite, kindKazooRead), Orderly: true,
	}
	if m.opt.layout == LayoutKazoo {
		l.Kind, l.Also = kindKazoo, []string{kindMutex}
	}
	return l
}

// Do runs fn while holding the lock at path. The context that fn gets has the values of ctx, and ends when ctx ends or
// the lock is lost, with the reason as its cause. The token grows from holder to holder: a store that remembers the
// highest it has seen can turn a late holder away. Do returns when fn has returned and the lock is released, with the
// errors of both.
func Do(ctx context.Context, c *client.Client, path string, fn func(context.Context, *Held) error, o ...Option) (err error) {
	m := New(c, path, o...)
	held, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	both, stop := held.hold.Bind(ctx)
	defer stop()
	return fn(m.mark(both, exclusive), held)
}
