package barrier

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// entry is one attempt to get in: one node, in one session and one generation.
type entry struct {
	d    *Double
	s    *client.Session
	st   state  // the open state under which we joined
	path string // our node
}

// enter tries the present generation.
func (d *Double) enter(ctx context.Context, s *client.Session) (*Member, error) {
	e, err := d.join(ctx, s)
	if err != nil {
		return nil, err
	}
	frozen, err := e.await(ctx)
	if err != nil {
		// We give up, unless the barrier has started meanwhile: then we are in it, or learn that we are not.
		e.note(s.Context())
		withdrawn, cleanup := e.withdraw()
		if withdrawn || cleanup != nil {
			return nil, errors.Join(err, cleanup)
		}
		if frozen, err = d.frozen(s.Context(), s, e.st.Gen); err != nil {
			return nil, err
		}
	}
	return e.decide(frozen)
}

// join creates our node, in a transaction which makes sure that the generation has not begun: nobody joins one that is
// over. It runs until the outcome is known or the session has ended, because an unknown node would be counted.
func (d *Double) join(ctx context.Context, s *client.Session) (*entry, error) {
	guid, name := newName(d.c.Identity())
	for {
		st, err := d.read(ctx, s)
		if err == nil && st.State == stateRunning {
			st, err = d.begun(ctx, s)
		}
		if err != nil {
			return nil, err
		}
		e := &entry{d: d, s: s, st: st}
		e.path, err = e.create(guid, name)
		switch {
		case err == nil:
			return e, nil
		case !errors.Is(err, client.ErrBadVersion) && !errors.Is(err, client.ErrNoNode):
			return nil, err
		} // else the generation we read of is over: read again
	}
}

func (e *entry) create(guid, name string) (string, error) {
	ctx, dir := e.s.Context(), e.d.members(e.st.Gen)
	for {
		results, err := e.s.Txn().
			Check(e.d.path, e.st.version).
			Create(zpath.Join(dir, name), nil, client.Ephemeral(), client.Sequential()).
			Commit(ctx)
		if err == nil {
			return results[1].Path, nil
		}
		if !errors.Is(err, client.ErrMaybeApplied) {
			return "", err
		}
		// Whatever the lost connection still had in flight is settled once this session is attached again, and the
		// sync makes it visible (CURATOR-264).
		names, _, err := e.s.Children(ctx, dir, client.Fresh())
		if err != nil {
			return "", err
		}
		for _, n := range names {
			if strings.HasPrefix(n, guid) {
				return zpath.Join(dir, n), nil
			}
		}
	}
}

// begun is called when the barrier is running. It opens the next generation if nobody of this one is left, and
// otherwise fails with ErrRunning.
func (d *Double) begun(ctx context.Context, s *client.Session) (state, error) {
	for {
		st, err := d.read(ctx, s, client.Fresh()) // do not turn anybody away because a server lags
		if err != nil || st.State == stateOpen {
			return st, err
		}
		present, err := d.present(ctx, s, st.Gen)
		if err != nil {
			return state{}, err
		}
		if len(present) > 0 {
			return state{}, ErrRunning
		}
		if err := d.reset(ctx, s, st); err != nil {
			return state{}, err
		}
	}
}

// awaitNext waits while the barrier is running with anybody in it.
func (d *Double) awaitNext(ctx context.Context, s *client.Session) error {
	for {
		if _, err := d.begun(ctx, s); !errors.Is(err, ErrRunning) {
			return err
		}
		node, changed, err := s.GetW(ctx, d.path)
		if err != nil {
			return err
		}
		st, err := d.decode(node)
		if err == nil && st.State == stateRunning {
			err = d.sleepOn(ctx, s, st.Gen, changed)
		}
		changed.Close()
		if err != nil {
			return err
		}
	}
}

// sleepOn waits until changed fires or the first of those present has gone: when all of them crash, nobody is left to
// change the state, and it is up to us.
func (d *Double) sleepOn(ctx context.Context, s *client.Session, gen int, changed *client.Watch) error {
	present, err := d.present(ctx, s, gen)
	if err != nil || len(present) == 0 {
		return err
	}
	_, first, err := s.GetW(ctx, zpath.Join(d.members(gen), present[0].name))
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-changed.Done():
	case <-first.Done():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	first.Close()
	return err
}

// await returns who is in once the barrier has started. Whoever adds a member looks how many there are, so when n are
// there, one of them knows, and no one else needs to be woken.
func (e *entry) await(ctx context.Context) ([]place, error) {
	for {
		_, started, w, err := e.s.ExistsW(ctx, e.d.ready(e.st.Gen))
		if err != nil {
			return nil, err
		}
		over := false
		if !started {
			if over, err = e.start(ctx); err == nil && !over {
				_, err = w.Wait(ctx)
			}
		}
		w.Close()
		if err != nil {
			return nil, err
		}
		// Something happened to ready, and only reading it tells what (curator GH-1290).
		if frozen, err := e.d.frozen(ctx, e.s, e.st.Gen); err != nil || len(frozen) > 0 || over {
			return frozen, err
		}
	}
}

// start starts the barrier if n members are there. The transaction holds only if each of them still is. It tells if the
// generation is over for so long that it has been cleared away.
func (e *entry) start(ctx context.Context) (over bool, err error) {
	dir, n := e.d.members(e.st.Gen), e.d.n
	for {
		st, ok, err := e.s.Exists(ctx, dir)
		if err != nil || !ok || int(st.NumChildren) < n || e.early() {
			return !ok && err == nil, err
		}
		names, _, err := e.s.Children(ctx, dir)
		if err != nil {
			return errors.Is(err, client.ErrNoNode), ignore(err, client.ErrNoNode)
		}
		first := parsePlaces(names)
		if len(first) < n {
			return false, nil
		}
		running := e.st
		running.State = stateRunning
		txn := e.s.Txn()
		for _, p := range first[:n] {
			txn.Check(zpath.Join(dir, p.name), -1)
		}
		_, err = txn.Create(e.d.ready(e.st.Gen), encodePlaces(first[:n])).
			Set(e.d.path, running.encode(), e.st.version).
			Commit(ctx)
		switch {
		case err == nil, errors.Is(err, client.ErrBadVersion), errors.Is(err, client.ErrNodeExists):
			return false, nil // it has started, by us or by another
		case !errors.Is(err, client.ErrNoNode) && !errors.Is(err, client.ErrMaybeApplied):
			return false, err
		} // else one of them left or died, or we do not know: look again
	}
}

// early tells that there were too few when we came. Those who have come since look for themselves: when all come at once,
// they need not all try to start it.
func (e *entry) early() bool {
	_, own := zpath.Split(e.path)
	p, ok := parsePlace(own)
	return ok && p.seq >= 0 && int(p.seq) < e.d.n-1
}

// withdraw takes our node back unless the barrier has started, and tells whether it did. It does not stop before it
// knows, or the session has ended: nobody is counted after giving up, and nobody gives up after being counted
// (CURATOR-318, CURATOR-80).
func (e *entry) withdraw() (bool, error) {
	for {
		_, err := e.s.Txn().Check(e.d.path, e.st.version).Delete(e.path, -1).Commit(e.s.Context())
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return true, nil
		case errors.Is(err, client.ErrBadVersion):
			return false, nil
		case !errors.Is(err, client.ErrMaybeApplied):
			return false, fmt.Errorf("take back %s: %w", e.path, err)
		}
	}
}

// decide tells, once the barrier has started with frozen, whether we are in. Nobody is in a generation that has been
// cleared away.
func (e *entry) decide(frozen []place) (*Member, error) {
	ctx := e.s.Context()
	_, own := zpath.Split(e.path)
	if !contains(frozen, own) {
		return nil, errors.Join(ErrBarrierFull, e.s.DeleteGuaranteed(ctx, e.path))
	}
	m := &Member{d: e.d, s: e.s, own: own, frozen: frozen, st: e.st}
	m.st.State = stateRunning
	m.st.version++ // by the transaction that started it
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	return m, nil
}

// frozen reads who was in when a generation started: nobody if it has not started, or has been cleared away.
func (d *Double) frozen(ctx context.Context, s *client.Session, gen int) ([]place, error) {
	node, err := s.Get(ctx, d.ready(gen))
	return decodePlaces(node.Data), ignore(err, client.ErrNoNode)
}

// present reads who of those who started a generation still is there, in the order of their coming.
func (d *Double) present(ctx context.Context, s *client.Session, gen int) ([]place, error) {
	frozen, err := d.frozen(ctx, s, gen)
	if err != nil {
		return nil, err
	}
	return d.remaining(ctx, s, gen, frozen)
}

// remaining returns those of frozen that still are there.
func (d *Double) remaining(ctx context.Context, s *client.Session, gen int, frozen []place) ([]place, error) {
	names, _, err := s.Children(ctx, d.members(gen))
	return among(frozen, names), ignore(err, client.ErrNoNode)
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
