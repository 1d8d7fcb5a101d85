package interop_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
)

// Recipes that no other library shares with us, on Apache ZooKeeper, with members whose sessions end in the middle.
// (Locks, elections, presences and caches have theirs beside them.)

// guest is Apache ZooKeeper as a server for our clients.
type guest struct {
	*testing.T
	ctx  context.Context
	addr string
}

func onZookeeper(t *testing.T) *guest {
	t.Helper()
	needContenders(t)
	testkit.CheckLeaks(t)
	addr := peers.Zookeeper(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return &guest{t, ctx, addr}
}

// dial connects a client whose sessions are short: Apache often does not answer one that comes back to a session which
// has just been ended, and it gives up after half the timeout.
func (g *guest) dial(id string) *client.Client {
	g.Helper()
	c, err := client.Dial(g.ctx, client.Config{Servers: []string{g.addr}, Identity: id, SessionTimeout: sessionTimeout})
	g.must(err)
	g.Cleanup(func() { c.Close() })
	return c
}

// end ends the session that c has now, and waits until c knows.
func (g *guest) end(c *client.Client) {
	g.Helper()
	s, err := c.Session(g.ctx)
	g.must(err)
	ticket := s.Ticket()
	peers.EndSession(g, g.addr, ticket.SessionID, ticket.Password)
	<-s.Context().Done()
}

func (g *guest) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// Three enter and leave together, three times over; each time another one crashes in the middle.
func TestDouble_OnZookeeper(t *testing.T) {
	g := onZookeeper(t)
	const n = 3
	for gen := 1; gen <= n; gen++ {
		var all sync.WaitGroup
		for i := range n {
			crashes := i == gen-1
			c := g.dial(string(rune('a' + i)))
			all.Go(func() {
				m, err := barrier.New(c, "/step", n, barrier.Next()).Enter(g.ctx)
				if err != nil {
					g.Error(err)
					return
				}
				if crashes {
					g.end(c)
					<-m.Context().Done()
					return
				}
				report, err := m.Leave(g.ctx)
				if err != nil || report.Generation != gen || len(report.Left) != n-1 || !slices.Equal(report.Crashed, []string{string(rune('a' + gen - 1))}) {
					g.Errorf("generation %d: %+v, %v", gen, report, err)
				}
			})
		}
		all.Wait()
	}
}

// A worker follows masters whose sessions end, and is told of every epoch and of the gaps between.
func TestPoint_OnZookeeper(t *testing.T) {
	g := onZookeeper(t)
	worker, waiter := g.dial("worker"), g.dial("waiter")
	said := make(chan string)
	following, stop := context.WithCancel(g.ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		for info, err := range rendezvous.At[string](worker, "/meet").Follow(following) {
			if err != nil {
				return
			}
			text := info.Value
			if info.Gone {
				text = "gone"
			}
			select {
			case said <- text:
			case <-following.Done():
				return
			}
		}
	})
	hear := func(want string) {
		g.Helper()
		for got := range said {
			if got == want {
				return
			}
		}
	}
	last := uint64(0)
	for i := range 3 {
		master := g.dial(fmt.Sprint("master", i))
		point := rendezvous.At[string](master, "/meet")
		g.must(point.Gather(g.ctx, 1))
		g.must(point.Post(g.ctx, master.Identity()))
		hear(master.Identity())
		info, err := rendezvous.At[string](waiter, "/meet").Wait(g.ctx)
		if err != nil || info.Poster != master.Identity() || info.Epoch <= last {
			g.Errorf("Wait = %+v, %v", info, err)
		}
		last = info.Epoch
		g.end(master)
		hear("gone")
		g.end(worker)
	}
}

// A registration comes back with its new session, under the same ID and with a new epoch.
func TestRegistration_OnZookeeper(t *testing.T) {
	g := onZookeeper(t)
	manager, scheduler := g.dial("manager"), g.dial("scheduler")
	r, err := groups.Register(g.ctx, manager, groups.Instance{Service: "appmgr", ID: "am-1", Host: "h", Port: 1, Flavor: "slurm"})
	g.must(err)
	d := groups.Discover(g.ctx, scheduler, "appmgr", groups.Select("flavor=slurm"))
	defer d.Close()
	epoch := uint64(0)
	for range 3 {
		for list, err := range d.Changes(g.ctx) {
			if g.must(err); len(list) == 1 && list[0].Epoch > epoch {
				epoch = list[0].Epoch
				break
			}
		}
		g.end(manager)
		g.end(scheduler)
	}
	pick, err := d.PickWait(g.ctx, groups.Sticky("job-1"))
	g.must(err)
	pick.Done(nil)
	g.must(r.Close())
	for list, err := range d.Changes(g.ctx) {
		if g.must(err); len(list) == 0 {
			break
		}
	}
}

// A value, a bundle and a counter go on over ended sessions, and their readers with them.
func TestConfig_OnZookeeper(t *testing.T) {
	g := onZookeeper(t)
	writer, reader := g.dial("writer"), g.dial("reader")
	set := func(n int) {
		g.Helper()
		_, err := config.Update(g.ctx, writer, "/config/jobs", func(int) (int, error) { return n, nil })
		g.must(err)
		_, err = config.PublishBundle(g.ctx, writer, "/config/all", map[string][]byte{"a": fmt.Append(nil, n), "b": fmt.Append(nil, n)})
		g.must(err)
	}
	set(0)
	value, err := config.Watch[int](g.ctx, reader, "/config/jobs", config.Validate(func(n int) error {
		if n < 0 {
			return errors.New("negative")
		}
		return nil
	}))
	g.must(err)
	defer value.Close()
	adder := config.NewCounter(writer, "/counters/jobs", nil)
	for n := range 3 {
		set(n)
		for got, err := range value.Changes(g.ctx) {
			if g.must(err); got == n {
				break
			}
		}
		b, err := config.LoadBundle(g.ctx, reader, "/config/all")
		if want := fmt.Sprint(n); err != nil || string(b.Files["a"]) != want || string(b.Files["b"]) != want {
			g.Errorf("bundle %d: %s, %v", n, b.Files, err)
		}
		if sum, err := adder.Add(g.ctx, 2); err != nil || sum != int64(2*n+2) {
			g.Errorf("the counter is %d, %v; want %d", sum, err, 2*n+2)
		}
		g.end(writer)
		g.end(reader)
	}
	_, err = writer.Set(g.ctx, "/config/jobs", []byte("-1"), -1)
	g.must(err)
	for got, err := range value.Changes(g.ctx) {
		if got != 2 {
			g.Errorf("a bad value replaced a good one: %d", got)
		}
		if err != nil {
			break
		}
	}
}
