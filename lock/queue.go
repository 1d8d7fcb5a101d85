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

// The kinds of names that take part: those of Curator and go-zookeeper, and those of kazoo. Kazoo's write lock has the
// name of its mutex.
const (
	kindMutex      = "lock-"
	kindKazoo      = "__lock__"
	kindRead       = "__READ__"
	kindWrite      = "__WRIT__"
	kindKazooRead  = "__rlock__"
	kindKazooWrite = kindKazoo
)

// others tells the names of contenders of the given kinds, and those below a semaphore: a lock of another kind is in use
// where they are.
func others(kinds ...string) func(name string) bool {
	return func(name string) bool {
		for _, kind := range kinds {
			if _, ok := zpath.Sequence(name, kind); ok {
				return true
			}
		}
		return name == semaphoreQueue || name == semaphoreLeases
	}
}

// revoke is what Curator's Revoker writes into a holder's node.
const revoke = "__REVOKE__"

// queue is what the locks have in common: where the line is, and who we are in it.
type queue struct {
	c    *client.Client
	path string
	opt  options
}

func newQueue(c *client.Client, path string, o []Option) queue {
	q := queue{c: c, path: zpath.Join("/", path)}
	for _, set := range o {
		set(&q.opt)
	}
	return q
}

// turn is how to come from a ticket to a hold.
type turn func(*recipes.Ticket, context.Context) (*recipes.Hold, error)

// acquire draws a ticket in the line and takes its turn.
func (q *queue) acquire(ctx context.Context, line recipes.Line, m mode, take turn) (*Held, error) {
	h, err := q.enter(ctx, line, m, take)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", q.path, err)
	}
	return h, nil
}

func (q *queue) enter(ctx context.Context, line recipes.Line, m mode, take turn) (*Held, error) {
	if err := q.checkSelf(ctx, m); err != nil {
		return nil, err
	}
	s, err := q.c.Session(ctx)
	if err != nil {
		return nil, err
	}
	return q.stand(ctx, line, m, func(line recipes.Line, data []byte) (*recipes.Ticket, error) {
		return line.Draw(ctx, s, data)
	}, take)
}

// stand draws a ticket and takes its turn.
func (q *queue) stand(ctx context.Context, line recipes.Line, m mode, draw func(recipes.Line, []byte) (*recipes.Ticket, error), take turn) (*Held, error) {
	data, err := q.tag()
	if err != nil {
		return nil, err
	}
	h := &Held{revoked: make(chan struct{})}
	line.Notice = h.notice
	ticket, err := draw(line, data)
	if err != nil {
		return nil, err
	}
	hold, err := take(ticket, ctx)
	if err != nil {
		return nil, err
	}
	h.begin(q, hold, m)
	return h, nil
}

func (q *queue) tag() ([]byte, error) {
	return json.Marshal(Tag{ID: q.c.Identity(), Note: q.opt.note})
}

// attempt is acquire without waiting.
func (q *queue) attempt(ctx context.Context, line recipes.Line, m mode) (*Held, error) {
	held, err := q.acquire(ctx, line, m, (*recipes.Ticket).Try)
	if busy := (*recipes.BusyError)(nil); errors.As(err, &busy) {
		return nil, q.locked(ctx, busy, err)
	}
	return held, err
}

// LockedError says who holds a lock that was not free. It matches ErrLocked.
type LockedError struct {
	Path   string
	Holder Contender // the first in line; without a Token if it has gone since
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
func (q *queue) locked(ctx context.Context, busy *recipes.BusyError, err error) error {
	locked := &LockedError{Path: q.path}
	for _, place := range busy.Line[:1] {
		locked.Holder, _, _ = q.contender(ctx, place) // it is an extra: that it cannot be had changes nothing
	}
	if errors.Is(err, ErrReleasePending) {
		return errors.Join(locked, err)
	}
	return locked
}

// mode is how a lock is held.
type mode int

const (
	exclusive mode = iota + 1
	shared
)

// selfKey finds, in a context, the mode of a hold of the lock at path.
type selfKey struct {
	c    *client.Client
	path string
}

// checkSelf refuses what would wait for the caller itself. A reader that reads once more is refused as well: with a
// writer queued in between, each would wait for the other.
func (q *queue) checkSelf(ctx context.Context, wanted mode) error {
	switch held, _ := ctx.Value(selfKey{q.c, q.path}).(mode); {
	case held == 0:
		return nil
	case held == shared && wanted == exclusive:
		return ErrUpgrade
	}
	return ErrSelfDeadlock
}

// mark makes a context known as that of a hold.
func (q *queue) mark(ctx context.Context, m mode) context.Context {
	return context.WithValue(ctx, selfKey{q.c, q.path}, m)
}
