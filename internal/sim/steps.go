package sim

import (
	"context"
	"slices"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// How long a fault lasts, short ones as often as long ones. Sessions time out in between.
const (
	faultLeast = time.Millisecond
	faultMost  = 4 * time.Second
)

// steps are what a schedule may let happen: the faults of servertest between servers and clients and among servers, and
// those below. A majority may be lost, too, as long as everything comes back in the end.
func (w *world) steps() []servertest.Step {
	steps := slices.DeleteFunc(w.cluster.Steps(), func(s servertest.Step) bool { return s.Name == "expire" })
	if w.plan.forced {
		steps = append(steps, w.step("expire", 3, w.expire))
	}
	if w.plan.disks {
		steps = append(steps, w.step("fail a sync", 2, w.failSync), w.step("fill a disk", 2, w.fillDisk))
	}
	if w.plan.jumps {
		steps = append(steps, w.step("jump of a clock", 2, w.jump))
	}
	return append(append(steps, w.memberSteps()...),
		w.step("split", 4, func(m *servertest.Moment) { w.split(m, w.cluster.Partition) }),
		w.step("split one way", 3, func(m *servertest.Moment) { w.split(m, w.cluster.PartitionOneWay) }),
		w.step("bridge", 2, w.bridge),
		w.step("flap", 2, w.flap),
		w.step("cut off the leader", 3, w.cutOffLeader),
		w.step("kill some", 4, func(m *servertest.Moment) { w.killSome(m, 1+m.Rand.IntN(len(w.cluster.Servers))) }),
		w.step("unplug a client", 3, w.unplug),
		w.step("rolling restart", 1, w.roll),
		w.step("kill all", 1, func(m *servertest.Moment) { w.killSome(m, len(w.cluster.Servers)) }),
	)
}

func (w *world) step(name string, weight int, do func(*servertest.Moment)) servertest.Step {
	return servertest.Step{Name: name, Weight: weight, At: w.cluster.Servers, Do: do}
}

// deal puts the servers into two heaps, neither of them empty.
func (w *world) deal(m *servertest.Moment) (a, b []int) {
	all := m.Rand.Perm(len(w.cluster.Servers))
	n := 1 + m.Rand.IntN(len(all)-1)
	return all[:n], all[n:]
}

func (w *world) wait(m *servertest.Moment) { m.Wait(m.Between(faultLeast, faultMost)) }

func (w *world) split(m *servertest.Moment, how func(a, b []int)) {
	how(w.deal(m))
	defer w.cluster.Heal()
	w.wait(m)
}

// bridge parts two heaps, and one server sees both.
func (w *world) bridge(m *servertest.Moment) {
	all := m.Rand.Perm(len(w.cluster.Servers))
	n := 1 + m.Rand.IntN(len(all)-2)
	w.cluster.Partition(all[1:1+n], all[1+n:])
	defer w.cluster.Heal()
	w.wait(m)
}

// flap breaks links again and again: what was sent is lost, and sent once more.
func (w *world) flap(m *servertest.Moment) {
	a, b := w.deal(m)
	for range 2 + m.Rand.IntN(6) {
		w.cluster.Partition(a, b)
		m.Wait(m.Between(faultLeast, 50*time.Millisecond))
		w.cluster.Heal()
		m.Wait(m.Between(faultLeast, 50*time.Millisecond))
	}
}

// cutOffLeader leaves the leader alone with its clients: it goes on believing for a while.
func (w *world) cutOffLeader(m *servertest.Moment) {
	leader := w.leader()
	var rest []int
	for i := range w.cluster.Servers {
		if i != leader {
			rest = append(rest, i)
		}
	}
	w.cluster.Partition([]int{leader}, rest)
	defer w.cluster.Heal()
	w.wait(m)
}

// killSome kills n servers at once, and starts them again one after the other.
func (w *world) killSome(m *servertest.Moment, n int) {
	some := m.Rand.Perm(len(w.cluster.Servers))[:n]
	for _, i := range some {
		w.cluster.Servers[i].Kill()
	}
	for _, i := range some {
		m.Wait(m.Between(faultLeast, faultMost/4))
		w.cluster.Servers[i].Restart()
	}
}

// roll stops one server after the other as an operator does, and starts each again before the next.
func (w *world) roll(m *servertest.Moment) {
	for _, i := range m.Rand.Perm(len(w.cluster.Servers)) {
		w.cluster.Servers[i].Stop()
		m.Wait(m.Between(faultLeast, faultMost/4))
		w.cluster.Servers[i].Restart()
		m.Wait(m.Between(faultLeast, faultMost/4))
	}
}

// failSync makes a server's disk fail. The server must stop by itself, and is started again on what was synced.
func (w *world) failSync(m *servertest.Moment) {
	s := w.cluster.Servers[m.Rand.IntN(len(w.cluster.Servers))]
	s.FailSync()
	w.wait(m)
	if stopped(s) {
		w.happened("stopped by a failed sync")
	}
	s.Restart()
}

// fillDisk leaves a server little room. When there is none it must stop by itself; with room again it is started again.
func (w *world) fillDisk(m *servertest.Moment) {
	s := w.cluster.Servers[m.Rand.IntN(len(w.cluster.Servers))]
	free := s.FillDisk(int64(m.Rand.IntN(1 << (4 + m.Rand.IntN(10)))))
	w.wait(m)
	if free(); stopped(s) {
		w.happened("stopped by a full disk")
		s.Restart()
	}
}

// unplug lets nothing through between a client and all servers for a while, which may outlast its session.
func (w *world) unplug(m *servertest.Moment) {
	var cables []*testkit.Cable
	w.record(func(r *records) { cables = r.cables })
	c := cables[m.Rand.IntN(len(cables))]
	c.Unplug()
	defer c.Plug()
	w.wait(m)
}

// jump puts a server's time of day somewhere else, for good.
func (w *world) jump(m *servertest.Moment) {
	years := []time.Duration{-10, -1, 0, 1, 10}[m.Rand.IntN(5)]
	w.clocks[m.Rand.IntN(len(w.clocks))].jumpTo(years*365*24*time.Hour + m.Between(time.Second, time.Hour))
}

// expire ends a session of a client that is well.
func (w *world) expire(m *servertest.Moment) {
	var ids []int64
	w.record(func(r *records) {
		for s := range r.sessions {
			if s.Context().Err() == nil {
				ids = append(ids, s.ID())
			}
		}
	})
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	id := ids[m.Rand.IntN(len(ids))]
	w.record(func(r *records) { r.forced[id] = true })
	ctx, cancel := context.WithTimeout(m.Context(), time.Second)
	defer cancel()
	m.Server.Server().ExpireSession(ctx, id) // an error says that it is not done yet, and may be later
}
