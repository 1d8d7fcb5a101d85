package recipes_test

import (
	"context"
	"strings"
	"sync"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
)

// What those cost who begin and end together, or wait for one another.

// crowd is one client for each of those who take part.
func (h *herd) crowd() (all []*client.Client) {
	for range queue {
		all = append(all, h.dial())
	}
	return all
}

// each lets all do f at the same time.
func (h *herd) each(all []*client.Client, f func(ctx context.Context, i int, c *client.Client) error) {
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			if err := f(within(h.t, soon), i, c); err != nil {
				h.t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (h *herd) enter() cost { return h.together(true) }
func (h *herd) leave() cost { return h.together(false) }

// together measures a generation of a barrier that is not its first: what makes the nodes has been paid for.
func (h *herd) together(entering bool) (what cost) {
	all, members := h.crowd(), make([]*barrier.Member, queue)
	enter := func() {
		h.each(all, func(ctx context.Context, i int, c *client.Client) (err error) {
			members[i], err = barrier.New(c, "/step", queue).Enter(ctx)
			return err
		})
	}
	leave := func() {
		h.each(all, func(ctx context.Context, i int, _ *client.Client) error {
			_, err := members[i].Leave(ctx)
			return err
		})
	}
	enter()
	leave()
	in := h.measure(queue, enter)
	out := h.measure(queue, leave)
	if entering {
		return in
	}
	return out
}

func (h *herd) gate() cost {
	all := h.crowd()
	gate := barrier.NewGate(all[0], "/gate")
	h.must(gate.Close(within(h.t, soon)))
	passed := make(chan error, queue)
	for _, c := range all {
		go func() { passed <- barrier.NewGate(c, "/gate").Wait(within(h.t, soon)) }()
		testkit.Eventually(h.t, "it waits", func() bool { return c.Stats().WatchesOpen == 1 && c.Stats().InFlight == 0 })
	}
	return h.measure(queue, func() {
		h.must(gate.Open(within(h.t, soon)))
		for range queue {
			h.must(<-passed)
		}
	})
}

// gather measures the master and its workers, whoever comes first.
func (h *herd) gather() cost {
	all, master := h.crowd(), h.dial()
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	gathered := make(chan error, 1)
	first := h.dial() // makes the directory
	follow := func(c *client.Client) {
		workers.Go(func() {
			for _, err := range rendezvous.At[string](c, "/meet").Follow(ctx) {
				if err != nil && ctx.Err() == nil {
					h.t.Error(err)
				}
			}
		})
	}
	follow(first)
	testkit.Eventually(h.t, "it follows", func() bool { return first.Stats().WatchesOpen > 0 && first.Stats().InFlight == 0 })
	go func() { gathered <- rendezvous.At[string](master, "/meet").Gather(within(h.t, soon), 1+queue) }()
	testkit.Eventually(h.t, "it gathers", func() bool { return master.Stats().WatchesOpen == 1 && master.Stats().InFlight == 0 })
	return h.measure(queue, func() {
		for _, c := range all {
			follow(c)
			h.settle()
		}
		h.must(<-gathered)
	})
}

// post measures what it takes until all workers know the master.
func (h *herd) post() cost {
	all, master := h.crowd(), h.dial()
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	told := make(chan string, queue)
	for _, c := range all {
		workers.Go(func() {
			for info, err := range rendezvous.At[string](c, "/meet").Follow(ctx) {
				if err != nil && ctx.Err() == nil {
					h.t.Error(err)
				}
				if err == nil && !info.Gone {
					told <- info.Value
				}
			}
		})
		testkit.Eventually(h.t, "it follows", func() bool { return c.Stats().WatchesOpen > 0 && c.Stats().InFlight == 0 })
	}
	return h.measure(queue, func() {
		h.must(rendezvous.At[string](master, "/meet").Post(within(h.t, soon), strings.Repeat("x", 20)))
		for range queue {
			<-told
		}
	})
}
