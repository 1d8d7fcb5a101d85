package barrier

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// Member is one of the n of a barrier that has started. Its node goes with its session.
type Member struct {
	d      *Double
	s      *client.Session
	own    string  // the name of our node
	frozen []place // the n, in the order of their coming
	st     state   // running, with the version it got by starting

	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Report tells what became of the n members, by the identities of their clients and in the order of their coming. Who
// crashed had entered, but did not leave: its process died, or its session ended.
type Report struct {
	Generation    int
	Left, Crashed []string
}

// Context ends when the member's session does, with the session's reason as its cause, or when it leaves (ErrLeft). The
// others then count it as crashed, or as left.
func (m *Member) Context() context.Context { return m.ctx }

// Generation is the number of the barrier's generation that the member is in. It grows with every use.
func (m *Member) Generation() int { return m.st.Gen }

// Leave says that this member is done, and waits until all others are or have crashed. When ctx ends first, the member
// has left all the same, and Leave returns ctx's error and what is known so far. It fails with the session's error when
// that has ended; the member is then counted as crashed. ErrReportGone means that it has left, but was so slow (because
// its connection was lost, say) that the next generation was over before it could read the report.
//
// The one that came first leaves last. It wakes when the one that came last is gone, and so on down to itself: only then
// is the next generation opened, and the others are woken, once.
func (m *Member) Leave(ctx context.Context) (Report, error) {
	defer m.cancel(ErrLeft)
	err := m.leave(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(err, m.depart(false))
	}
	report, reportErr := m.report()
	if err = errors.Join(err, reportErr); err != nil {
		return report, fmt.Errorf("leave barrier %s: %w", m.d.path, err)
	}
	return report, nil
}

// leave looks again after every wake-up who is left, and does what is its turn.
func (m *Member) leave(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		present, err := m.d.remaining(ctx, m.s, m.st.Gen, m.frozen)
		if err != nil {
			return err
		}
		last := len(present) - 1
		switch {
		case last < 0:
			return m.close(ctx)
		case !contains(present, m.own):
			err = m.sleep(ctx, present[0])
		case present[0].name != m.own:
			err = m.depart(false)
		case last == 0:
			err = m.depart(true)
		default:
			err = m.sleep(ctx, present[last])
		}
		if err != nil {
			return err
		}
	}
}

// sleep waits until something happens to another member's node.
func (m *Member) sleep(ctx context.Context, p place) error {
	_, w, err := m.s.GetW(ctx, zpath.Join(m.d.members(m.st.Gen), p.name))
	if err != nil {
		return ignore(err, client.ErrNoNode)
	}
	defer w.Close()
	_, err = w.Wait(ctx)
	return err
}

// depart marks us as properly gone and deletes our node, in one transaction; the last one opens the next generation in
// it too. Nothing happens if we are gone already. Whether we have left must not stay open, so only the end of the
// session stops it.
func (m *Member) depart(last bool) error {
	self, _ := parsePlace(m.own)
	for {
		txn := m.s.Txn().
			Create(zpath.Join(m.d.done(m.st.Gen), self.doneName()), nil).
			Delete(zpath.Join(m.d.members(m.st.Gen), m.own), -1)
		if last {
			txn = m.d.open(txn, m.st)
		}
		_, err := txn.Commit(m.s.Context())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, client.ErrNodeExists), errors.Is(err, client.ErrNoNode), errors.Is(err, client.ErrBadVersion):
			if !last {
				return nil
			}
			last = false // we have left already, or somebody has changed the state by hand, which close will find out
		case !errors.Is(err, client.ErrMaybeApplied):
			return err
		}
	}
}

// close opens the next generation if the one who should have done it crashed, and clears away the past.
func (m *Member) close(ctx context.Context) error {
	st, err := m.d.read(ctx, m.s)
	if err != nil {
		return err
	}
	if st.Gen == m.st.Gen && st.State == stateRunning {
		return m.d.reset(ctx, m.s, st)
	}
	if m.frozen[0].name == m.own {
		m.d.clear(ctx, m.s, m.st.Gen)
	}
	return nil
}

// report reads what became of everybody, in one flight. The order matters. Who is there is read first: who leaves right
// after that is found among the done, and not taken for crashed. That ready is still there is read last: what clears a
// generation away deletes it before the first of the done.
func (m *Member) report() (Report, error) {
	r, gen := Report{Generation: m.st.Gen}, m.st.Gen
	batch := m.s.Batch()
	here, done, whole := batch.Children(m.d.members(gen)), batch.Children(m.d.done(gen)), batch.Exists(m.d.ready(gen))
	if err := batch.Do(m.s.Context()); err != nil {
		return r, fmt.Errorf("read who has left: %w", err)
	}
	hereNow, err := here.Get()
	if err = ignore(err, client.ErrNoNode); err != nil {
		return r, fmt.Errorf("read who is left: %w", err)
	}
	doneNow, err := done.Get()
	if err = ignore(err, client.ErrNoNode); err != nil {
		return r, fmt.Errorf("read who has left: %w", err)
	}
	if still, err := whole.Get(); err != nil || !still.OK {
		return r, errors.Join(ErrReportGone, err)
	}
	left, present := set(doneNow.Names), set(hereNow.Names)
	for _, p := range m.frozen {
		switch {
		case left[p.doneName()]:
			r.Left = append(r.Left, p.who)
		case !present[p.name]:
			r.Crashed = append(r.Crashed, p.who)
		}
	}
	return r, nil
}

// open adds to txn what makes the generation after st the present one.
func (d *Double) open(txn *client.Txn, st state) *client.Txn {
	next := state{Gen: st.Gen + 1, N: st.N, State: stateOpen}
	return d.addGeneration(txn.Set(d.path, next.encode(), st.version), next.Gen)
}

// reset opens the generation after st, of which nobody is left. Of several who try, one succeeds; the state has to be
// read again to know that one has.
func (d *Double) reset(ctx context.Context, s *client.Session, st state) error {
	_, err := d.open(s.Txn(), st).Commit(ctx)
	switch {
	case err == nil:
		d.clear(ctx, s, st.Gen)
		return nil
	case errors.Is(err, client.ErrBadVersion):
		return nil
	case errors.Is(err, client.ErrMaybeApplied):
		return s.Sync(ctx, d.path) // the caller looks again
	}
	return err
}

// clear deletes, as well as it can, the generations before gen. That one stays, for those who come late to read who
// left; what is left behind now is cleared next time, so errors do not matter.
func (d *Double) clear(ctx context.Context, s *client.Session, gen int) {
	names, _, err := s.Children(ctx, d.path)
	if err != nil {
		return
	}
	for _, name := range names {
		old, err := strconv.Atoi(strings.TrimPrefix(name, "g"))
		if err != nil || old < 1 || old >= gen || name[0] != 'g' {
			continue
		}
		clearDir(ctx, s, d.members(old)) // before ready: whoever waits for a ready that is gone finds its directory gone
		_ = s.Delete(ctx, d.ready(old), -1)
		_ = s.Delete(ctx, d.late(old), -1)
		clearDir(ctx, s, d.done(old)) // after ready: see report
		_ = s.Delete(ctx, d.generation(old), -1)
	}
}

func clearDir(ctx context.Context, s *client.Session, dir string) {
	names, _, _ := s.Children(ctx, dir)
	batch := s.Batch()
	for _, n := range names {
		batch.Delete(zpath.Join(dir, n), -1)
	}
	batch.Delete(dir, -1)
	_ = batch.Do(ctx)
}
