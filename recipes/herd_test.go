package recipes_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

var update = flag.Bool("update", false, "write docs/herd.md anew")

const herdFile = "../docs/herd.md"

// cost is what an operation takes of the servers.
type cost struct{ reads, writes, wakeups float64 }

// budget is one line of the table: an operation, its measure, and what it may cost at most.
type budget struct {
	what string
	most cost
	of   func(*herd) cost
}

// queue is how many wait in the lines that are measured: enough that a herd would show.
const queue = 10

// The wake-ups count every watch event that is sent. The one who leaves gets one too, for its own node, which it watched.
var budgets = []budget{
	{"take and release a lock that is free", cost{2, 2, 1}, (*herd).uncontended},
	{"release a lock and take it again, in one flight (Relock)", cost{2, 2, 1}, (*herd).relock},
	{"come to wait for a lock", cost{3, 1, 0}, (*herd).arrive},
	{"release a lock for which one waits, until that one holds", cost{0, 1, 2}, (*herd).handOverToSecond},
	{"release a lock for which ten wait, until the next one holds", cost{1, 1, 2}, (*herd).handOver},
	{"give up in the middle of the ten", cost{2, 1, 2}, (*herd).giveUp},
	{"drain a lock for which 1,000 wait: per waiter", cost{5, 2.01, 2}, (*herd).drain},
	{"release a write lock behind which a reader and nine writers wait", cost{1, 1, 2}, (*herd).readerNext},
	{"release a permit for which ten wait, until the next one holds", cost{12, 2, 5}, (*herd).permit},
	{"take and release three locks at once", cost{6, 2, 3}, (*herd).three},
	{"change of the leader among ten candidates, with three observers", cost{16, 2, 10}, (*herd).change},
	// 5 requests for each member and 2 for the one that starts it.
	{"enter a barrier of ten: per member", cost{4.1, 1.1, 1}, (*herd).enter},
	{"leave a barrier of ten: per member", cost{10, 3, 2}, (*herd).leave},
	{"open a gate at which ten wait: per waiter", cost{1.1, 0.1, 1}, (*herd).gate},
	{"gather ten workers: per worker, its own requests among them", cost{4, 1, 1}, (*herd).gather},
	{"post a master for whom ten workers wait: per worker", cost{1, 0.1, 1}, (*herd).post},
}

// Wake-ups and requests per operation are measured, printed into docs/herd.md (with -update), and kept within bounds.
func TestHerd(t *testing.T) {
	var table strings.Builder
	for _, b := range budgets {
		t.Run(b.what, func(t *testing.T) {
			h := &herd{t: t, srv: servertest.New(t)}
			got := b.of(h)
			if got.reads > b.most.reads || got.writes > b.most.writes || got.wakeups > b.most.wakeups {
				t.Errorf("it took %+v, and may take %+v", got, b.most)
			}
			fmt.Fprintf(&table, "| %s | %.4g | %.4g | %.4g | %.4g | %.4g | %.4g |\n", b.what,
				got.reads, b.most.reads, got.writes, b.most.writes, got.wakeups, b.most.wakeups)
		})
	}
	text := fmt.Sprintf(herdText, table.String())
	if *update {
		if err := os.WriteFile(herdFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(herdFile)
	if err != nil {
		t.Fatal(err)
	}
	if withoutMeasures(string(file)) != withoutMeasures(text) {
		t.Errorf("%s is not what the test would write: go test ./recipes -run TestHerd -update", herdFile)
	}
}

const herdText = `# What an operation costs the servers

A herd is what runs when one may go: many wake, all look, and one gets it. Here every waiter watches one node, that of
whoever it waits for, so the numbers below do not grow with the length of the queue. ` + "`TestHerd`" + ` in ` + "`recipes`" + ` measures them on
the real server, fails when one is above its bound, and writes this page with ` + "`-update`" + `.

| operation | reads | (at most) | writes | (at most) | wake-ups | (at most) |
|---|---|---|---|---|---|---|
%s
Reads and writes are requests of all who take part, pings aside. A wake-up is a watch event that a server sends; the one
who leaves gets one as well, for its own node, if it held for more than a moment: only then that node is watched. A free lock
takes one round trip, for the create and the list in one flight. Releasing it is a second, unless that goes with the
create and the list of the next turn (Relock). Who was second in line from the beginning need not read when the first has
gone; whoever had more ahead reads the list once.

A transaction counts as one write. Of a semaphore the first in the queue alone watches the leases; when it has been
served, the next one takes its place, which is the rest of what a permit costs. When the leader changes, the next in line
wakes, says that it leads, and that is told to the observers and to whoever is behind it.

The ten enter the barrier and leave it at the same moment. To enter takes five requests for each of them, and two more for
the one that starts it; all wake once, when it has started. Of those who leave, only the one that came first wakes as others
go; the rest wake once, when all have left, and read what became of whom. The writes of it include that the barrier is
cleared of the generation before. The master that gathers wakes with each worker that comes; no worker wakes for another.
`

var measured = regexp.MustCompile(`\| [0-9.]+ (\| [0-9.]+)`)

// withoutMeasures keeps the bounds of a table, and not what was measured this time.
func withoutMeasures(text string) string { return measured.ReplaceAllString(text, "$1") }

// herd measures operations on a server of its own.
type herd struct {
	t   *testing.T
	srv *servertest.Server
}

func (h *herd) dial() *client.Client {
	return h.srv.Dial(h.t, func(c *client.Config) { c.SessionTimeout = time.Minute })
}

// settle waits until nothing has happened for a while, and returns the counters.
func (h *herd) settle() servertest.Counters {
	h.t.Helper()
	last, calm := h.srv.Count(), 0
	testkit.Eventually(h.t, "calm", func() bool {
		now := h.srv.Count()
		if calm++; now.Total() != last.Total() || now.Events != last.Events {
			calm = 0
		}
		last = now
		return calm > 10
	})
	return last
}

// measure returns what each of n times took that f did together.
func (h *herd) measure(n int, f func()) cost {
	h.t.Helper()
	before := h.settle()
	f()
	after := h.settle()
	c := cost{wakeups: float64(after.Events - before.Events)}
	for op, count := range after.Requests {
		switch count := float64(count - before.Requests[op]); op {
		case "getData", "getChildren", "getChildren2", "exists":
			c.reads += count
		case "create", "create2", "createContainer", "delete", "setData", "multi":
			c.writes += count
		}
	}
	return cost{c.reads / float64(n), c.writes / float64(n), c.wakeups / float64(n)}
}

func (h *herd) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

type releaser interface{ Unlock(context.Context) error }

// line lets n wait behind one another for what take takes, each asleep before the next one comes.
func (h *herd) line(n int, watches int, take func(context.Context, *client.Client) (releaser, error)) []<-chan releaser {
	h.t.Helper()
	var all []<-chan releaser
	for range n {
		all = append(all, h.join(within(h.t, time.Minute), h.dial(), watches, take))
	}
	return all
}

func (h *herd) join(ctx context.Context, c *client.Client, watches int, take func(context.Context, *client.Client) (releaser, error)) <-chan releaser {
	h.t.Helper()
	done := make(chan releaser, 1)
	go func() {
		held, err := take(ctx, c)
		if err != nil && ctx.Err() == nil && !errors.Is(err, client.ErrClosed) { // the test is over
			h.t.Error(err)
		}
		done <- held
	}()
	testkit.Eventually(h.t, "it sleeps", func() bool { return c.Stats().WatchesOpen >= watches && c.Stats().InFlight == 0 })
	return done
}

func (h *herd) next(done <-chan releaser) releaser {
	h.t.Helper()
	select {
	case held := <-done:
		return held
	case <-time.After(soon):
		h.t.Fatal("no turn")
		return nil
	}
}

func mutex(ctx context.Context, c *client.Client) (releaser, error) {
	return lock.New(c, "/locks/x").Lock(ctx)
}

func (h *herd) lock() *lock.Held {
	h.t.Helper()
	held, err := lock.New(h.dial(), "/locks/x").Lock(within(h.t, time.Minute))
	h.must(err)
	return held
}

func (h *herd) uncontended() cost {
	h.must(h.lock().Unlock(within(h.t, soon))) // which makes the directory
	c := h.dial()
	return h.measure(1, func() {
		held, err := mutex(within(h.t, soon), c)
		h.must(err)
		h.must(held.Unlock(within(h.t, soon)))
	})
}

func (h *herd) relock() cost {
	c := h.dial()
	held, err := lock.New(c, "/locks/x").Lock(within(h.t, soon))
	h.must(err)
	return h.measure(1, func() {
		_, err := lock.New(c, "/locks/x").Relock(within(h.t, soon), held)
		h.must(err)
	})
}

func (h *herd) arrive() cost {
	h.lock()
	h.line(queue, 2, mutex)
	c := h.dial()
	return h.measure(1, func() { h.join(within(h.t, soon), c, 2, mutex) })
}

func (h *herd) handOver() cost {
	var held releaser = h.lock()
	line := h.line(queue, 2, mutex)
	return h.measure(queue, func() {
		for _, done := range line {
			h.must(held.Unlock(within(h.t, soon)))
			held = h.next(done)
		}
	})
}

func (h *herd) handOverToSecond() cost {
	var held releaser = h.lock()
	c := h.dial()
	done := h.join(within(h.t, soon), c, 2, mutex)
	return h.measure(1, func() {
		h.must(held.Unlock(within(h.t, soon)))
		h.next(done)
	})
}

func (h *herd) giveUp() cost {
	h.lock()
	h.line(queue/2, 2, mutex)
	ctx, cancel := context.WithCancel(context.Background())
	middle := h.join(ctx, h.dial(), 2, mutex)
	h.line(queue/2, 2, mutex)
	return h.measure(1, func() {
		cancel()
		h.next(middle)
	})
}

// drain lets 1,000 wait on a few sessions. (Etcd #6408, samuel #145: waiters that spin, or all look when one leaves.)
func (h *herd) drain() cost {
	const waiters, sessions = 1000, 20
	held := h.lock()
	var clients []*client.Client
	for range sessions {
		clients = append(clients, h.dial())
	}
	var wg sync.WaitGroup
	var last atomic.Uint64
	last.Store(held.Token())
	ctx := within(h.t, 2*time.Minute)
	return h.measure(waiters, func() {
		for i := range waiters {
			wg.Go(func() {
				mine, err := lock.New(clients[i%sessions], "/locks/x").Lock(ctx)
				if err != nil {
					h.t.Error(err)
					return
				}
				if before := last.Swap(mine.Token()); before >= mine.Token() {
					h.t.Errorf("token %d after %d", mine.Token(), before)
				}
				if err := mine.Unlock(ctx); err != nil {
					h.t.Error(err)
				}
			})
		}
		testkit.Eventually(h.t, "all wait", func() bool { return h.srv.Count().Requests["create2"] > waiters })
		h.must(held.Unlock(ctx))
		wg.Wait()
	})
}

// readerNext lets a reader wait behind writers: it sleeps while they come and go.
func (h *herd) readerNext() cost {
	write := func(ctx context.Context, c *client.Client) (releaser, error) { return lock.NewRW(c, "/rw").Lock(ctx) }
	held, err := write(within(h.t, time.Minute), h.dial())
	h.must(err)
	line := h.line(queue-1, 2, write)
	h.line(1, 2, func(ctx context.Context, c *client.Client) (releaser, error) { return lock.NewRW(c, "/rw").RLock(ctx) })
	return h.measure(len(line), func() {
		for _, done := range line {
			h.must(held.Unlock(within(h.t, soon)))
			held = h.next(done)
		}
	})
}

func (h *herd) permit() cost {
	take := func(ctx context.Context, c *client.Client) (releaser, error) {
		return lock.NewSemaphore(c, "/seats", 2).Acquire(ctx, 1)
	}
	var held []releaser
	for range 2 {
		p, err := take(within(h.t, time.Minute), h.dial())
		h.must(err)
		held = append(held, p)
	}
	line := h.line(1, 3, take) // the first one watches the leases
	line = append(line, h.line(queue-1, 2, take)...)
	return h.measure(queue, func() {
		for _, done := range line {
			h.must(held[0].Unlock(within(h.t, soon)))
			held = append(held[1:], h.next(done))
		}
	})
}

func (h *herd) three() cost {
	c, paths := h.dial(), []string{"/locks/a", "/locks/b", "/locks/c"}
	all := func() {
		held, err := lock.LockAll(within(h.t, soon), c, paths)
		h.must(err)
		h.must(held.Unlock(within(h.t, soon)))
	}
	all() // which makes the directories
	return h.measure(1, all)
}

// term is a leadership as something to let go of.
type term struct{ *leader.Term }

func (t term) Unlock(ctx context.Context) error { return t.Resign(ctx) }

func (h *herd) change() cost {
	lead := func(ctx context.Context, c *client.Client) (releaser, error) {
		t, err := leader.Campaign(ctx, c, "/elect")
		if err == nil {
			err = t.Publish(ctx, nil)
		}
		return term{t}, err
	}
	held, err := lead(within(h.t, time.Minute), h.dial())
	h.must(err)
	line := h.line(queue, 2, lead)
	ctx, cancel := context.WithCancel(context.Background())
	var observers sync.WaitGroup
	defer observers.Wait()
	defer cancel()
	for range 3 {
		c := h.dial()
		observers.Go(func() {
			for _, err := range leader.Observe(ctx, c, "/elect") {
				if err != nil && ctx.Err() == nil {
					h.t.Error(err)
				}
			}
		})
		testkit.Eventually(h.t, "it observes", func() bool { return c.Stats().WatchesOpen == 1 && c.Stats().InFlight == 0 })
	}
	return h.measure(queue, func() {
		for _, done := range line {
			h.must(held.Unlock(within(h.t, soon)))
			held = h.next(done)
			h.settle()
		}
	})
}
