package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/rendezvous"
)

// playGroup: members join and stay.
func playGroup(w *world, c *client.Client, player int, r *rand.Rand) {
	m, err := groups.Join(w.ctx, c, "/group", player, groups.ID(strconv.Itoa(player)))
	if err != nil {
		w.t.Errorf("join: %v", err)
		return
	}
	w.think(r)
	if player == participants-1 { // this one goes again
		if err := w.until(m.Leave); err != nil {
			w.t.Errorf("leave: %v", err)
		}
	}
	w.record(func(rec *records) { rec.acked++ })
}

// checkGroup: in the end those are there who stayed.
func checkGroup(w *world, c *client.Client) {
	for {
		all, err := groups.Members[int](w.ctx, c, "/group")
		if err != nil {
			w.t.Errorf("members: %v", err)
			return
		}
		if len(all) == participants-1 {
			return
		}
		if !w.pause(50 * time.Millisecond) {
			w.t.Errorf("in the group in the end: %+v", all)
			return
		}
	}
}

// playDiscovery: services register, and pickers find them.
func playDiscovery(w *world, c *client.Client, player int, r *rand.Rand) {
	reg, err := groups.Register(w.ctx, c, groups.Instance{Service: "sim", ID: strconv.Itoa(player), Host: "127.0.0.1", Port: 1 + player})
	if err != nil {
		w.t.Errorf("register: %v", err)
		return
	}
	d := groups.Discover(w.ctx, c, "sim", groups.WithGuard(0))
	defer d.Close()
	if p, err := d.PickWait(w.ctx, groups.Random()); err != nil {
		w.t.Errorf("pick: %v", err)
	} else {
		if in := p.Instance(); strconv.Itoa(in.Port-1) != in.ID {
			w.t.Errorf("picked %+v", in)
		}
		p.Done(nil)
	}
	if err := w.until(func(ctx context.Context) error {
		return reg.Update(ctx, func(in *groups.Instance) { in.Meta = map[string]string{"by": strconv.Itoa(player)} })
	}); err != nil {
		w.t.Errorf("update: %v", err)
	}
	w.think(r)
	if player == participants-1 { // this one goes again
		if err := reg.Close(); err != nil && !excusable(err) {
			w.t.Errorf("close: %v", err)
		}
	}
	w.record(func(rec *records) { rec.acked++ })
}

// checkDiscovery: in the end those are found who stayed, as they were last.
func checkDiscovery(w *world, c *client.Client) {
	d := groups.Discover(w.ctx, c, "sim", groups.WithGuard(0))
	defer d.Close()
	for all, err := range d.Changes(w.ctx) {
		if err != nil {
			w.t.Errorf("found in the end: %+v, %v", all, err)
			return
		}
		right := func(in groups.Instance) bool { return in.Meta["by"] == in.ID }
		if len(all) == participants-1 && !slices.ContainsFunc(all, func(in groups.Instance) bool { return !right(in) }) {
			return
		}
	}
}

// playFollow: who leads posts, and gathers those who follow; they see newer and newer postings.
func playFollow(w *world, c *client.Client, player int, r *rand.Rand) {
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	if player > 0 {
		newest := uint64(0)
		for in, err := range rendezvous.At[string](c, "/follow").Follow(ctx) {
			if err != nil {
				return // the master may never have come
			}
			if in.Epoch < newest || !in.Gone && in.Value != "here" {
				w.t.Errorf("followed to %+v, behind %d", in, newest)
			}
			if newest = in.Epoch; in.Gone {
				return
			}
		}
	}
	t, err := leader.Campaign(ctx, c, "/master")
	if err != nil {
		return
	}
	w.granted()
	p := rendezvous.At[string](c, "/follow", rendezvous.OnTerm(t))
	if err := p.Post(ctx, "here"); err == nil {
		gather, cancel := context.WithTimeout(ctx, 10*time.Second)
		p.Gather(gather, participants-1) // some may have lost their session, or the term is over
		cancel()
	}
	w.think(r)
	if err := w.release(t.Resign); err != nil && !excusable(err) {
		w.t.Errorf("resign: %v", err)
	}
}
