package replica_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
)

func often(c *replica.Config) { c.CompareEvery = 20 * time.Millisecond }

func TestJudge(t *testing.T) {
	three, five, two := []uint64{1, 2, 3}, []uint64{1, 2, 3, 4, 5}, []uint64{1, 2}
	for _, c := range []struct {
		self, leader uint64
		voters       []uint64
		have         string // the digest of member 1, 2, …, as a letter; '-' has not spoken
		want         string
	}{
		{2, 1, three, "aaa", "right"},
		{2, 1, three, "aba", "wrong"},
		{1, 1, three, "baa", "wrong"}, // the leader
		{2, 1, three, "baa", "right"}, // with most, against the leader
		{2, 1, three, "-aa", "right"},
		{1, 1, three, "ab-", "right"}, // the leader, until it is known better
		{2, 1, three, "ab-", "unsettled"},
		{2, 1, three, "abc", "odd"},
		{1, 1, three, "abc", "right"},
		{2, 1, two, "ab", "odd"},
		{1, 1, two, "ab", "right"},
		{1, 1, five, "abb--", "right"},
		{2, 1, five, "abb--", "unsettled"},
		{2, 1, five, "aabbb", "wrong"},
		{3, 1, five, "aabb-", "unsettled"},
		{3, 1, five, "aabbc", "odd"},
		{4, 1, three, "aaab", "wrong"}, // no voter
		{4, 1, three, "aabb", "wrong"},
		{4, 1, three, "ab-b", "unsettled"},
		{4, 2, three, "abca", "odd"},
		{2, 1, []uint64{1}, "ab", "wrong"},
		{1, 1, []uint64{1}, "ab", "right"},
		{2, 1, three, "-a-", "right"}, // nobody contradicts
	} {
		have := make(map[uint64]replica.Digest)
		for i, d := range c.have {
			if d != '-' {
				have[uint64(i+1)] = replica.Digest{Sum: uint64(d)}
			}
		}
		if got := replica.Judge(c.self, c.leader, c.voters, have); got != c.want {
			t.Errorf("member %d, led by %d, of %d voters, with %s: %s, want %s", c.self, c.leader, len(c.voters), c.have, got, c.want)
		}
	}
}

// A mark is what held at an index, however long nothing but raft's own entries came; too old ones are not told.
func TestMarks(t *testing.T) {
	m := newCounters()
	f := replica.NewFSM(m, 1, 1)
	if _, _, ok := f.Mark(1 << 60); ok {
		t.Error("a mark before the first entry")
	}
	n := uint64(replica.MaxMarks)
	for i := uint64(1); i <= 2*n; i++ {
		f.Apply(10*i, replica.Entry(0, packet(2, 1, i, command(2, i))))
	}
	for _, c := range []struct {
		at, index uint64
		ok        bool
	}{{20 * n, 20 * n, true}, {20*n + 5, 20 * n, true}, {20*n - 1, 20*n - 10, true}, {10*n + 10, 10*n + 10, true}, {10*n + 9, 0, false}} {
		index, d, ok := f.Mark(c.at)
		if ok != c.ok || index != c.index || d.Zxid != int64(c.index/10) {
			t.Errorf("at %d: mark of %d, %v, %v; want %d", c.at, index, d, ok, c.index)
		}
	}
	img, err := f.Image()
	if err != nil {
		t.Fatal(err)
	}
	g := replica.NewFSM(newCounters(), 9, 1)
	g.Apply(3, replica.Entry(0, packet(2, 1, 1, command(2, 1))))
	if err := g.Load(img); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := g.Mark(3); ok {
		t.Error("what was before a snapshot is still told")
	}
	if index, d, ok := g.Mark(20*n + 5); !ok || index != 20*n || d != m.Digest() {
		t.Errorf("behind the snapshot: %d, %v, %v; want %d, %v", index, d, ok, 20*n, m.Digest())
	}
}

// compared waits until a member has been found equal at or behind what it has applied now.
func compared(t testing.TB, nd *node) {
	t.Helper()
	index := nd.r.Stats().AppliedIndex
	testkit.Eventually(t, fmt.Sprintf("member %d is compared at entry %d", nd.id, index), func() bool { return nd.r.Stats().ComparedIndex >= index })
}

// A member that differs is found out, whether it leads or not, and stops; the others know it, and go on. It cannot be started
// again, only replaced, and is equal then.
func TestMemberThatDiffersStops(t *testing.T) {
	for _, role := range []string{"leader", "follower"} {
		t.Run(role, func(t *testing.T) {
			c := newCluster(t, 3, true, often)
			bad := c.leader()
			good := c.other(bad)
			if role == "follower" {
				bad, good = good, bad
			}
			write(t, good, 1, 1, 10)
			for _, nd := range c.nodes {
				compared(t, nd)
			}
			bad.m.differ(1)
			write(t, good, 1, 11, 10)
			await(t, bad.r.Done())
			if err := bad.r.Err(); err == nil {
				t.Fatal("it stopped without an error")
			} else {
				wantKind(t, "it stopped", err, replica.ErrDiffers)
			}
			bad.r = nil
			third := c.other(bad, good)
			for _, nd := range []*node{good, third} {
				testkit.Eventually(t, fmt.Sprintf("member %d knows of it", nd.id), func() bool { return nd.r.Stats().Mismatches > 0 })
			}
			write(t, good, 1, 21, 10)
			compared(t, good)

			store, err := storage.Open(bad.dir, bad.id, storage.Options{})
			must(t, err)
			_, err = replica.Open(replica.Config{ID: bad.id, Store: store, Machine: newCounters()})
			if wantKind(t, "start of it", err, replica.ErrDiffers); err != nil && !strings.Contains(err.Error(), "at log entry") {
				t.Errorf("start of it: %v", err)
			}
			must(t, store.Close())

			_, err = good.r.RemoveMember(withTimeout(t, 20*time.Second), bad.id)
			must(t, err)
			bad.dir, bad.join = t.TempDir(), true
			c.start(bad, nil)
			_, err = good.r.AddMember(withTimeout(t, 20*time.Second), bad.peer(), false)
			must(t, err)
			write(t, bad, 2, 1, 10)
			c.same(map[uint64]uint64{1: 30, 2: 10})
			for _, nd := range c.nodes {
				compared(t, nd)
			}
		})
	}
}

// An observer that differs stops. It has no say in who is right.
func TestObserverThatDiffersStops(t *testing.T) {
	c := newCluster(t, 1, false, often)
	o := c.newcomer(2)
	_, err := c.leader().r.AddMember(withTimeout(t, 20*time.Second), replica.Peer{ID: 2, Addr: o.addr, Observer: true}, false)
	must(t, err)
	write(t, o, 1, 1, 10)
	compared(t, o)
	o.m.differ(1)
	write(t, c.nodes[0], 2, 1, 10)
	await(t, o.r.Done())
	wantKind(t, "the observer", o.r.Err(), replica.ErrDiffers)
	o.r = nil
	testkit.Eventually(t, "the voter knows of it", func() bool { return c.nodes[0].r.Stats().Mismatches > 0 })
	write(t, c.nodes[0], 2, 11, 10)
}

// With one of two voters against the other nobody knows who is right. The leader's is kept; the other stops, but may be
// started again, for it may be right.
func TestOneAgainstOne(t *testing.T) {
	c := newCluster(t, 2, true, often)
	lead := c.leader()
	other := c.other(lead)
	write(t, other, 1, 1, 10)
	lead.m.differ(1)
	if err := lead.r.Propose(nil, command(1, 11)); err != nil {
		t.Fatal(err)
	}
	await(t, other.r.Done())
	wantKind(t, "the follower", other.r.Err(), replica.ErrDiffers)
	c.kill(lead) // it was its memory, which a start makes anew
	for _, nd := range c.nodes {
		c.start(nd, nil)
	}
	write(t, other, 2, 1, 10)
	compared(t, other)
}

// Members whose digests are made in another way, or who do not know the question, are not compared; all others are.
func TestOtherVersionsAreNotCompared(t *testing.T) {
	c := newCluster(t, 3, false, func(cfg *replica.Config) {
		often(cfg)
		if cfg.ID == 3 {
			m := cfg.Machine.(*counters)
			m.version, m.skew = 7, 1
		}
	})
	write(t, c.nodes[2], 1, 1, 10)
	for _, nd := range c.nodes[:2] {
		if c.leader() == c.nodes[2] {
			must(t, c.nodes[2].r.TransferLeadership(withTimeout(t, 20*time.Second)))
		}
		compared(t, nd)
	}
	for _, nd := range c.nodes {
		if s := nd.r.Stats(); s.Mismatches != 0 || nd.id == 3 && s.Comparisons != 0 {
			t.Errorf("member %d: %+v", nd.id, s)
		}
	}
}

// Leaders come and go, members miss entries, get snapshots and are started again, under load and with snapshots all the
// time: nobody is ever found to differ.
func TestEqualMembersNeverDiffer(t *testing.T) {
	c := newCluster(t, 3, true, func(cfg *replica.Config) {
		cfg.CompareEvery, cfg.SnapshotBytes = 2*time.Millisecond, 4<<10
	})
	next := uint64(1)
	for round := range 6 {
		lead := c.leader()
		away := c.other(lead)
		if round%2 == 1 {
			away = lead
		}
		c.kill(away)
		at := c.leader()
		write(t, at, 1, next, 300) // some snapshots, so that who comes back gets one
		next += 300
		c.start(away, nil)
		write(t, away, 1, next, 100)
		next += 100
		if round%3 == 2 {
			must(t, c.leader().r.TransferLeadership(withTimeout(t, 20*time.Second)))
		}
		for _, nd := range c.nodes {
			compared(t, nd)
		}
	}
	c.same(map[uint64]uint64{1: next - 1})
	for _, nd := range c.nodes {
		if s := nd.r.Stats(); s.Mismatches != 0 || s.Comparisons == 0 || nd.r.Err() != nil {
			t.Errorf("member %d: %+v, %v", nd.id, s, nd.r.Err())
		}
	}
}
