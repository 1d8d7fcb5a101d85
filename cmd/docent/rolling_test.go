//go:build unix

package main_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// TestRollingRestart stops and starts the servers of an ensemble one after the other, as an upgrade does, the leader
// last, while clients write all the time: no acknowledged write is lost, and no session.
func TestRollingRestart(t *testing.T) {
	rounds := 2
	if testing.Short() || raceEnabled {
		rounds = 1
	}
	e := startEnsemble(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	holders := holdEphemerals(ctx, t, e, 20)
	acks := newAcks()
	w := startWriters(ctx, t, e, acks, fail)
	acks.more(ctx, t, 1000)
	began, from := time.Now(), acks.count()
	for range rounds {
		leader := e.leader(t)
		order := slices.DeleteFunc(slices.Clone(e), func(m *member) bool { return m == leader })
		for _, m := range append(order, leader) {
			m.stop()
			acks.more(ctx, t, 500) // without it
			m.start()
			m.ready()
			acks.more(ctx, t, 500)
		}
	}
	rate := float64(acks.count()-from) / time.Since(began).Seconds()
	journals := w.stop()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	for _, h := range holders {
		if err := context.Cause(h.Context()); err != nil {
			t.Errorf("session 0x%x was lost: %v", h.ID(), err)
			continue
		}
		path := fmt.Sprintf("/held-%x", h.ID())
		if n, err := h.Get(ctx, path); err != nil || n.Stat.EphemeralOwner != h.ID() {
			t.Errorf("ephemeral %s: %v, %v", path, n.Stat, err)
		}
	}
	longest, _ := acks.longestGap()
	t.Logf("%d servers restarted; %.0f writes a second meanwhile; longest gap between acknowledged writes %v",
		rounds*len(e), rate, longest.Round(time.Millisecond))
	if rate < 500 && !raceEnabled {
		t.Errorf("%.0f writes a second: too little to tell, want at least 500", rate)
	}
	if limit := 3 * time.Second; longest > limit {
		t.Errorf("no write was acknowledged for %v, want at most %v", longest, limit)
	}
	for _, m := range e {
		verifyThrough(ctx, t, m, journals)
	}
	e.sameTrees(t)
}

// holdEphemerals opens sessions, spread over all servers, each with an ephemeral node.
func holdEphemerals(ctx context.Context, t *testing.T, e ensemble, n int) (all []*client.Session) {
	t.Helper()
	for range n {
		s, err := dial(t, 4*time.Second, e.addrs()...).Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(ctx, fmt.Sprintf("/held-%x", s.ID()), nil, client.Ephemeral()); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}
