package barrier

import (
	"context"
	"errors"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// paused is for how long a Naive is stopped between having looked who is there and starting the barrier.
const paused = 200 * time.Millisecond

// Naive is a Double without one of its checks, as others have built it. It is here to be caught.
type Naive struct {
	*Double
	// AnyMembers starts the barrier with whoever was listed, without making sure in the same transaction that they are
	// still there.
	AnyMembers bool
	// AnyGeneration joins without making sure that the generation it has read of still is the open one, and takes it that
	// ready means "you are in", as the textbook does.
	AnyGeneration bool
}

// Enter is Double.Enter without the check.
func (v Naive) Enter(ctx context.Context) (*Member, error) {
	s, err := v.c.Session(ctx)
	if err != nil {
		return nil, err
	}
	for {
		m, err := v.enter(ctx, s)
		if !errors.Is(err, ErrRunning) && !errors.Is(err, ErrBarrierFull) {
			return m, err
		}
		if err := v.awaitNext(ctx, s); err != nil {
			return nil, err
		}
	}
}

func (v Naive) enter(ctx context.Context, s *client.Session) (*Member, error) {
	e, err := v.join(ctx, s)
	if err != nil {
		return nil, err
	}
	frozen, err := v.await(ctx, e)
	if err != nil {
		withdrawn, cleanup := e.withdraw()
		if withdrawn || cleanup != nil {
			return nil, errors.Join(err, cleanup)
		}
		if frozen, err = v.frozen(s.Context(), s, e.st.Gen); err != nil {
			return nil, err
		}
	}
	if !v.AnyGeneration {
		return e.decide(frozen)
	}
	_, own := zpath.Split(e.path)
	m := &Member{d: v.Double, s: s, own: own, frozen: frozen, st: e.st}
	m.st.State = stateRunning
	m.ctx, m.cancel = context.WithCancelCause(s.Context())
	return m, nil
}

func (v Naive) join(ctx context.Context, s *client.Session) (*entry, error) {
	if !v.AnyGeneration {
		return v.Double.join(ctx, s)
	}
	st, err := v.read(ctx, s)
	if err != nil {
		return nil, err
	}
	_, name := newName(v.c.Identity())
	node, err := s.Create(ctx, zpath.Join(v.members(st.Gen), name), nil, client.Ephemeral(), client.Sequential())
	return &entry{d: v.Double, s: s, st: st, path: node.Path}, err
}

func (v Naive) await(ctx context.Context, e *entry) ([]place, error) {
	if !v.AnyMembers {
		return e.await(ctx)
	}
	for {
		_, started, w, err := e.s.ExistsW(ctx, v.ready(e.st.Gen))
		if err != nil {
			return nil, err
		}
		if !started {
			if err = v.start(ctx, e); err == nil {
				_, err = w.Wait(ctx)
			}
		}
		w.Close()
		if err != nil {
			return nil, err
		}
		if frozen, err := v.frozen(ctx, e.s, e.st.Gen); err != nil || len(frozen) > 0 {
			return frozen, err
		}
	}
}

func (v Naive) start(ctx context.Context, e *entry) error {
	names, _, err := e.s.Children(ctx, v.members(e.st.Gen))
	first := parsePlaces(names)
	if err != nil || len(first) < v.n {
		return ignore(err, client.ErrNoNode)
	}
	select {
	case <-time.After(paused): // so that the schedules need not be many to show what may happen here
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	running := e.st
	running.State = stateRunning
	_, err = e.s.Txn().Create(v.ready(e.st.Gen), encodePlaces(first[:v.n])).
		Set(v.path, running.encode(), e.st.version).
		Commit(ctx)
	return ignore(ignore(ignore(err, client.ErrBadVersion), client.ErrNodeExists), client.ErrMaybeApplied)
}
