package lock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// RWMutex describes a lock that many readers or one writer can hold. Whoever came first goes first, so neither side
// starves the other; a reader waits for the writer next ahead of it, and wakes once, however many writers are queued. It
// holds nothing, and may be used by several goroutines at once. (Curator: InterProcessReadWriteLock.)
type RWMutex struct{ queue }

// NewRW describes the lock at path. It does no I/O. With Compat(LayoutKazoo) it takes turns with kazoo's ReadLock and
// WriteLock, and not with Curator.
func NewRW(c *client.Client, path string, o ...Option) *RWMutex {
	return &RWMutex{newQueue(c, path, o)}
}

// RWHeld is a read or write lock that is held, or was.
type RWHeld struct {
	*Held
	m    *RWMutex
	mode mode
}

// Lock waits for its turn to write, which it shares with nobody. For the rest it is as Mutex.Lock; with the context of a
// read lock of the same path it fails with ErrUpgrade.
func (m *RWMutex) Lock(ctx context.Context) (*RWHeld, error) {
	return m.held(exclusive)(m.acquire(ctx, m.line(exclusive), exclusive, (*recipes.Ticket).Wait))
}

// TryLock is Lock without waiting: when somebody holds it, it fails with a *LockedError.
func (m *RWMutex) TryLock(ctx context.Context) (*RWHeld, error) {
	return m.held(exclusive)(m.attempt(ctx, m.line(exclusive), exclusive))
}

// RLock waits for its turn to read, which it shares with other readers. Readers that came after a waiting writer wait
// for that one, too. For the rest it is as Mutex.Lock.
func (m *RWMutex) RLock(ctx context.Context) (*RWHeld, error) {
	return m.held(shared)(m.acquire(ctx, m.line(shared), shared, (*recipes.Ticket).Wait))
}

// TryRLock is RLock without waiting: when a writer holds it or waits for it, it fails with a *LockedError.
func (m *RWMutex) TryRLock(ctx context.Context) (*RWHeld, error) {
	return m.held(shared)(m.attempt(ctx, m.line(shared), shared))
}

// Inspect tells who holds the lock and who waits for it; see Mutex.Inspect.
func (m *RWMutex) Inspect(ctx context.Context) (Queue, error) {
	return m.inspect(ctx, m.line(exclusive))
}

// Break takes the lock away from the holder with the given token; see Mutex.Break.
func (m *RWMutex) Break(ctx context.Context, token uint64) error {
	return m.breakLock(ctx, m.line(exclusive), token)
}

// Revoke asks the holder with the given token to finish; see Mutex.Revoke.
func (m *RWMutex) Revoke(ctx context.Context, token uint64) error {
	return m.revoke(ctx, m.line(exclusive), token)
}

func (m *RWMutex) held(held mode) func(*Held, error) (*RWHeld, error) {
	return func(h *Held, err error) (*RWHeld, error) {
		if err != nil {
			return nil, err
		}
		return &RWHeld{Held: h, m: m, mode: held}, nil
	}
}

func (m *RWMutex) line(wanted mode) recipes.Line {
	read, write, bars := kindRead, kindWrite, others(kindMutex, kindKazoo)
	if m.opt.layout == LayoutKazoo {
		read, write, bars = kindKazooRead, kindKazooWrite, others(kindMutex, kindRead, kindWrite)
	}
	l := recipes.Line{Dir: m.path, Kind: write, Also: []string{read}, Bars: bars, Strict: m.opt.strict, Alive: m.opt.alive}
	if wanted == shared {
		l.Kind, l.Also, l.Rule = read, []string{write}, nearestWriter
	}
	return l
}

func reads(p recipes.Place) bool { return p.Kind == kindRead || p.Kind == kindKazooRead }

// nearestWriter is the rule of readers. Curator's readers watch the first writer instead and wake once for every one;
// kazoo's once waited for writers behind them, and for ever (kazoo #649).
func nearestWriter(line []recipes.Place, own int) int {
	for own--; own >= 0 && reads(line[own]); own-- {
	}
	return own
}

// Downgrade turns a write lock into a read lock, with nobody in between: readers that waited may come in, writers go on
// waiting (CURATOR-276, -621). The token stays the writer's, for a new one would be above those of the writers that
// queue already. The write lock's context ends in any case, with the cause ErrReleased; when Downgrade fails, nothing is
// held any more. If the lock had been lost, the error matches the cause of its context. Of a read lock it returns the lock
// itself.
func (h *RWHeld) Downgrade(ctx context.Context) (*RWHeld, error) {
	if h.mode == shared {
		return h, nil
	}
	read, err := h.swap(ctx)
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return nil, fmt.Errorf("downgrade lock %s: %w", h.m.path, errors.Join(err, h.Unlock(clean)))
	}
	return read, nil
}

// swap puts a reader's node in the place of the writer's, with the same number, in one transaction.
func (h *RWHeld) swap(ctx context.Context) (*RWHeld, error) {
	data, err := h.m.tag()
	if err != nil {
		return nil, err
	}
	h.hold.Retire()
	if h.hold.Lost() { // before; its node is gone, or will be
		return nil, context.Cause(h.hold.Context())
	}
	s, line := h.Session(), h.m.line(shared)
	number := h.hold.Path()[strings.LastIndex(h.hold.Path(), h.m.line(exclusive).Kind)+len(h.m.line(exclusive).Kind):]
	path := zpath.Join(h.m.path, "_c_"+uuid.NewString()+"-"+line.Kind+number)
	for {
		_, err = s.Txn().Create(path, data, client.Ephemeral()).Delete(h.hold.Path(), -1).Commit(ctx)
		if !errors.Is(err, client.ErrMaybeApplied) {
			break
		}
		// The reply is lost. Our own node tells: it is there if it was done, and if not it may be done again, for the
		// servers carry out nothing more of the lost connection.
		_, done, e := s.Exists(ctx, path, client.Fresh())
		if e != nil {
			_ = s.DeleteGuaranteed(ctx, path)
			return nil, errors.Join(err, e)
		}
		if done {
			err = nil
			break
		}
	}
	if errors.Is(err, client.ErrNoNode) {
		err = fmt.Errorf("%w: %w", recipes.ErrGone, err)
	}
	if err != nil {
		return nil, err
	}
	read := &Held{revoked: make(chan struct{})}
	line.Notice = read.notice
	hold, err := line.TicketFor(s, path, h.Token()).Hold(ctx)
	if err != nil {
		return nil, err
	}
	read.begin(&h.m.queue, hold, shared)
	return &RWHeld{Held: read, m: h.m, mode: shared}, nil
}
