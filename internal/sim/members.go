package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// membership says what becomes of the members in a schedule.
type membership string

const (
	settled  membership = "settled"  // they stay
	changing membership = "changing" // they come and go
	losing   membership = "losing"   // one loses its data, and is replaced
)

// ensemble is the operator's memory: who was removed, and who has lost its data. Servers go by their index.
type ensemble struct {
	changes sync.WaitGroup // of members, that are under way

	mu   sync.Mutex   // guards the fields below
	busy map[int]bool // somebody is changing its membership
	out  map[int]bool // was removed: its data may go
	lost int          // has begun anew without its data, and not as it should; -1: none
	was  bool         // one has been lost
	told []string     // what was done, for who looks for a cause
}

// take makes sure that one change at a time is about the server i.
func (e *ensemble) take(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy[i] {
		return false
	}
	e.busy[i] = true
	return true
}

func (e *ensemble) release(i int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.busy, i)
}

func (e *ensemble) setOut(i int, out bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out[i] = out
}

func (e *ensemble) isOut(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.out[i]
}

func (e *ensemble) lostOne() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// lose notes that i has lost its data, unless one has before: what remains has to be a majority.
func (e *ensemble) lose(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.was {
		return false
	}
	e.was, e.lost = true, i
	return true
}

func (e *ensemble) found() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = -1
}

// memberSteps are what a schedule of this kind lets happen besides.
func (w *world) memberSteps() []servertest.Step {
	switch w.plan.members {
	case changing:
		return []servertest.Step{w.step("operator", 12, w.changeMembers)}
	case losing:
		return []servertest.Step{w.step("restart, perhaps without data", 6, w.loseData), w.step("operator", 6, w.replace)}
	}
	return nil
}

// changeMembers has an operator do something about the membership of one server. It takes its time, and faults go on
// meanwhile; others may be changed at the same time.
func (w *world) changeMembers(m *servertest.Moment) {
	i := m.Rand.IntN(len(w.cluster.Servers))
	if m.Rand.IntN(3) == 0 {
		i = w.leader()
	}
	if !w.ensemble.take(i) {
		return
	}
	if w.ensemble.isOut(i) {
		w.renew(i)
	}
	w.change(m, i, what(m.Rand.IntN(4)))
}

// what an operator may do with a member; others are added.
type what int

const (
	changeRole what = iota
	transfer
	remove
)

// change asks some other server for it, in the background. The caller has taken i.
func (w *world) change(m *servertest.Moment, i int, do what) {
	via := (i + 1 + m.Rand.IntN(len(w.cluster.Servers)-1)) % len(w.cluster.Servers)
	limit := m.Between(100*time.Millisecond, 16*time.Second)
	w.ensemble.changes.Go(func() {
		defer w.ensemble.release(i)
		ctx, cancel := context.WithTimeout(w.ctx, limit)
		defer cancel()
		name, err := w.ask(ctx, w.cluster.Servers[via].Server(), i, do)
		w.tell("%s: server %d, by server %d: %v", name, i+1, via+1, err)
		if err == nil && name != "" {
			w.happened(name)
		}
	})
}

// ask carries a change out, and says what has happened. Errors are what an operator reckons with.
func (w *world) ask(ctx context.Context, srv *server.Server, i int, do what) (happened string, err error) {
	me, members := w.cluster.Member(i), srv.Members()
	at := slices.IndexFunc(members, func(m server.Member) bool { return m.ID == me.ID })
	voters := 0
	for _, m := range members {
		if !m.Observer {
			voters++
		}
	}
	leader, _ := srv.Leader()
	switch {
	case len(members) == 0:
		return "", nil
	case at < 0:
		me.Observer = do == changeRole
		_, err = srv.AddMember(ctx, me)
		if me.Observer {
			return "observer added", err
		}
		return "member added", err
	case do == changeRole && (members[at].Observer || voters > 2):
		me.Observer = !members[at].Observer
		_, err = srv.AddMember(ctx, me)
		return "change of a member's role", err
	case do == transfer && !members[at].Observer:
		return "lead handed over", srv.TransferLead(ctx, me.ID)
	case do >= remove && (members[at].Observer || voters > 2):
		if err = w.expel(ctx, srv, i); leader == me.ID {
			return "leader removed", err
		}
		return "member removed", err
	}
	return "", nil
}

// expel removes the server i, or finds that it was removed before.
func (w *world) expel(ctx context.Context, srv *server.Server, i int) error {
	_, err := srv.RemoveMember(ctx, w.cluster.Member(i).ID)
	w.tell("remove server %d by server %d: %v", i+1, srv.ID(), err)
	if err == nil || errors.Is(err, server.ErrUnknownMember) {
		w.ensemble.setOut(i, true)
		return nil
	}
	return err
}

// tell notes what an operator did.
func (w *world) tell(format string, args ...any) {
	w.ensemble.mu.Lock()
	defer w.ensemble.mu.Unlock()
	w.ensemble.told = append(w.ensemble.told, fmt.Sprintf("%v "+format, append([]any{time.Since(w.start)}, args...)...))
}

// renew begins the server i anew, which was removed.
func (w *world) renew(i int) {
	w.tell("begun anew: server %d", i+1)
	w.cluster.Servers[i].Renew()
	w.ensemble.setOut(i, false)
	if w.ensemble.lostOne() == i {
		w.ensemble.found()
	}
}

// loseData empties a member's disk, and starts it as if nothing had happened. It must not be believed.
func (w *world) loseData(m *servertest.Moment) {
	i := m.Rand.IntN(len(w.cluster.Servers))
	w.cluster.Servers[i].Kill()
	if time.Since(w.start) > 10*time.Millisecond && w.ensemble.lose(i) { // stores are told apart by the time of their birth
		w.happened("data lost")
		w.cluster.Servers[i].Forget()
		return
	}
	m.Wait(m.Between(faultLeast, faultMost/4))
	w.cluster.Servers[i].Restart()
}

// replace does the next of what is to be done about a member that has lost its data: it is removed, begun anew, and added.
func (w *world) replace(m *servertest.Moment) {
	for i := range w.cluster.Servers {
		out := w.ensemble.isOut(i)
		if !out && w.ensemble.lostOne() != i && !w.stranger(i) || !w.ensemble.take(i) {
			continue
		}
		if out {
			w.renew(i)
		}
		w.change(m, i, remove)
		return
	}
}

// stranger tells whether a server waits to be added.
func (w *world) stranger(i int) bool { return len(w.cluster.Servers[i].Server().Members()) == 0 }

// leader returns the server that believes it leads, or else the first.
func (w *world) leader() int {
	for i, s := range w.cluster.Servers {
		if id, ok := s.Server().Leader(); ok && id == s.ID() {
			return i
		}
	}
	return 0
}

// reunite makes members of all servers in the end, by the documented ways, and starts those that do not run.
func (w *world) reunite() {
	w.ensemble.changes.Wait()
	if i := w.ensemble.lostOne(); i >= 0 {
		select {
		case <-w.cluster.Servers[i].Server().Done():
			w.happened("turned away without its data")
		case <-w.ctx.Done():
			w.t.Errorf("server %d has lost its data, and goes on", i+1)
		}
	}
	for i, s := range w.cluster.Servers {
		if i != w.ensemble.lostOne() && (!s.Running() || stopped(s) && !w.ensemble.isOut(i)) {
			s.Restart()
		}
	}
	if w.plan.members == settled {
		return
	}
	for i := range w.cluster.Servers {
		for {
			err := w.enlist(i)
			if err == nil {
				break
			}
			if !w.pause(20 * time.Millisecond) {
				w.t.Errorf("server %d does not become a member: %v", i+1, err)
				return
			}
		}
	}
}

func stopped(s *servertest.Server) bool {
	select {
	case <-s.Server().Done():
		return true
	default:
		return false
	}
}

// enlist does what can be done for the server i to become a member.
func (w *world) enlist(i int) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	via := w.insider(i)
	if via == nil {
		return errors.New("nobody knows a leader")
	}
	if stopped(w.cluster.Servers[i]) && !w.ensemble.isOut(i) {
		if err := w.expel(ctx, via, i); err != nil {
			return fmt.Errorf("remove it: %w", err)
		}
	}
	if w.ensemble.isOut(i) {
		w.renew(i)
	}
	me, members := w.cluster.Member(i), via.Members()
	if at := slices.IndexFunc(members, func(m server.Member) bool { return m.ID == me.ID }); at >= 0 {
		me = members[at] // half added, perhaps, and about to be taken out again: that change is waited for
	}
	_, err := via.AddMember(ctx, me)
	w.tell("add server %d by server %d: %v", i+1, via.ID(), err)
	if errors.Is(err, server.ErrMemberExists) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("add it: %w", err)
	}
	return w.cluster.Servers[i].Server().Ready(ctx)
}

// insider returns a member other than i that knows a leader.
func (w *world) insider(i int) *server.Server {
	for j, s := range w.cluster.Servers {
		if _, ok := s.Server().Leader(); ok && j != i && !stopped(s) && len(s.Server().Members()) > 0 {
			return s.Server()
		}
	}
	return nil
}

// drawMembers draws what becomes of the members.
func (p *plan) drawMembers(r *rand.Rand) {
	switch n := r.IntN(6); {
	case n < 2:
		p.members = changing
		if p.servers == 3 {
			p.spares = r.IntN(2)
		}
	case n == 2 && p.disks:
		p.members = losing
	default:
		p.members = settled
	}
}
