package replica_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
)

// newcomer starts a member that waits to be added.
func (c *cluster) newcomer(id uint64) *node {
	c.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	nd := &node{id: id, addr: ln.Addr().String(), join: true}
	if c.nodes[0].dir != "" {
		nd.dir = filepath.Join(c.t.TempDir(), fmt.Sprint(id))
	}
	c.mu.Lock()
	c.peers = append(slices.Clone(c.peers), replica.Peer{ID: id, Addr: nd.addr})
	c.mu.Unlock()
	c.nodes = append(c.nodes, nd)
	c.start(nd, ln)
	return nd
}

func (nd *node) peer() replica.Peer { return replica.Peer{ID: nd.id, Addr: nd.addr} }

func (nd *node) voters() (ids []uint64) {
	for _, p := range nd.r.Members() {
		if !p.Observer {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// removed waits until a member has noticed that it was removed.
func removed(t testing.TB, nd *node) {
	t.Helper()
	await(t, nd.r.Done())
	wantKind(t, "a removed member", nd.r.Err(), replica.ErrRemoved)
	nd.r = nil
}

// load writes through a member, one command after the other, until stop is called, which returns how many were applied.
// A member that goes away ends it too.
func load(nd *node, client uint64) (stop func() uint64) {
	end, done := make(chan struct{}), make(chan uint64, 1)
	r := nd.r
	go func() {
		for n := uint64(0); ; n++ {
			applied := make(chan struct{})
			if r.Propose(applied, command(client, n+1)) != nil {
				done <- n
				return
			}
			select {
			case <-applied:
			case <-r.Done():
				done <- n
				return
			}
			select {
			case <-end:
				done <- n + 1
				return
			default:
			}
		}
	}()
	return sync.OnceValue(func() uint64 { close(end); return <-done })
}

func TestMembersComeAndGoUnderLoad(t *testing.T) {
	c := newCluster(t, 3, false, func(cfg *replica.Config) { cfg.SnapshotBytes = 64 << 10 })
	old := slices.Clone(c.nodes)
	stay := c.other(c.leader())
	want := make(map[uint64]uint64)
	stop := load(stay, 1)
	write(t, stay, 2, 1, 5000) // so that there is a snapshot to be installed
	want[2] = 5000

	for id := uint64(4); id <= 5; id++ {
		nd := c.newcomer(id)
		members, err := old[int(id)%3].r.AddMember(withTimeout(t, 20*time.Second), nd.peer(), false)
		must(t, err)
		if len(members) != int(id) || members[id-1] != nd.peer() {
			t.Errorf("members after adding %d: %v", id, members)
		}
		write(t, nd, id, 1, 100)
		want[id] = 100
	}
	// Two of the first three go; one of them leads.
	for len(old) > 1 {
		nd := old[slices.IndexFunc(old, func(x *node) bool { return x != stay })]
		if lead := c.leader(); lead != stay && slices.Contains(old, lead) {
			nd = lead
		}
		_, err := stay.r.RemoveMember(withTimeout(t, 20*time.Second), nd.id)
		must(t, err)
		removed(t, nd)
		old = slices.DeleteFunc(old, func(x *node) bool { return x == nd })
	}
	want[1] = stop()
	if want[1] == 0 {
		t.Error("nothing was written meanwhile")
	}
	c.same(want)
	if got, want := stay.voters(), []uint64{stay.id, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("voters in the end %v, want %v", got, want)
	}
}

func TestLeaderIsRemoved(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	lead := c.leader()
	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), lead.id)
	must(t, err)
	removed(t, lead)
	write(t, c.other(lead), 1, 1, 10)
	c.same(map[uint64]uint64{1: 10})
}

func TestJoinAtAWrongAddress(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	r := c.nodes[0].r
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := ln.Addr().String()
	ln.Close()
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	stranger, err := replica.Open(replica.Config{ID: 4, Store: storage.Memory(4), Machine: newCounters(), Listener: foreign})
	must(t, err)
	defer stranger.Close()
	for what, p := range map[string]replica.Peer{
		"nobody there":            {ID: 4, Addr: nobody},
		"an observer not there":   {ID: 4, Addr: nobody, Observer: true},
		"of another ensemble":     {ID: 4, Addr: foreign.Addr().String()},
		"a name that is not one":  {ID: 4, Addr: "no-such-host.invalid:1"},
		"the number is another's": {ID: 7, Addr: c.newcomer(8).addr},
	} {
		_, err := r.AddMember(withTimeout(t, 20*time.Second), p, false)
		wantKind(t, what, err, replica.ErrUnreachable)
	}
	_, err = r.AddMember(withTimeout(t, 20*time.Second), replica.Peer{ID: 4, Addr: c.nodes[1].addr}, false)
	wantKind(t, "a member's address", err, replica.ErrMemberExists)
	_, err = r.AddMember(withTimeout(t, 20*time.Second), c.nodes[2].peer(), false)
	wantKind(t, "a member", err, replica.ErrMemberExists)
	_, err = r.AddMember(withTimeout(t, 20*time.Second), replica.Peer{ID: 3, Addr: nobody}, false)
	wantKind(t, "a member elsewhere", err, replica.ErrMemberExists)
	_, err = r.RemoveMember(withTimeout(t, 20*time.Second), 4)
	wantKind(t, "removing a stranger", err, replica.ErrUnknownMember)
	if all := r.Members(); len(all) != 3 {
		t.Errorf("members after all that: %v", all)
	}
}

func TestObserverUnseen(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	gone := ln.Addr().String()
	ln.Close()
	members, err := c.nodes[0].r.AddMember(withTimeout(t, 20*time.Second), replica.Peer{ID: 9, Addr: gone, Observer: true}, true)
	must(t, err)
	if len(members) != 4 || !members[3].Observer {
		t.Errorf("members %v", members)
	}
	write(t, c.nodes[1], 1, 1, 100)
	_, err = c.nodes[0].r.RemoveMember(withTimeout(t, 20*time.Second), 9)
	must(t, err)
}

// Two voters and three observers: without one of the voters nothing goes.
func TestObserversHaveNoVote(t *testing.T) {
	c := newCluster(t, 5, false, func(cfg *replica.Config) {
		cfg.Peers = slices.Clone(cfg.Peers)
		for i := range cfg.Peers {
			cfg.Peers[i].Observer = i >= 2
		}
	})
	lead := c.leader()
	for _, nd := range c.nodes {
		write(t, nd, nd.id, 1, 100)
		must(t, nd.r.Sync(withTimeout(t, 20*time.Second)))
		b, err := nd.r.Call(withTimeout(t, 20*time.Second), []byte("x"))
		if want := fmt.Sprintf("%d from %d: x", lead.id, nd.id); err != nil || string(b) != want {
			t.Errorf("call from %d: %q, %v, want %q", nd.id, b, err, want)
		}
	}
	follower := c.nodes[2-lead.id] // the other voter
	c.isolate(follower, true)
	testkit.Eventually(t, "nobody leads", func() bool { _, ok := c.nodes[3].r.Leader(); return !ok })
	if err := c.nodes[3].r.Sync(withTimeout(t, 300*time.Millisecond)); err == nil {
		t.Error("an observer was synced without a majority of the voters")
	}
	if _, err := lead.r.Call(withTimeout(t, 300*time.Millisecond), nil); err == nil {
		t.Error("a call was confirmed without a majority of the voters")
	}
	c.isolate(follower, false)
	c.same(map[uint64]uint64{1: 100, 2: 100, 3: 100, 4: 100, 5: 100})
	for _, nd := range c.nodes[2:] {
		if nd.r.Stats().Elections > 0 {
			t.Errorf("observer %d has led", nd.id)
		}
	}
}

func TestObserverBecomesVoterAndBack(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	nd := c.newcomer(4)
	p := nd.peer()
	for i, observer := range []bool{true, false, true} {
		p.Observer = observer
		_, err := c.nodes[i].r.AddMember(withTimeout(t, 20*time.Second), p, false)
		must(t, err)
		testkit.Eventually(t, "the member knows its role", func() bool {
			return slices.Contains(nd.voters(), 4) != observer && len(nd.voters()) >= 3
		})
		write(t, nd, 1, uint64(10*i)+1, 10)
	}
	_, err := nd.r.AddMember(withTimeout(t, 20*time.Second), p, false)
	wantKind(t, "the same again", err, replica.ErrMemberExists)
	c.same(map[uint64]uint64{1: 30})
}

func TestTransfer(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	c.leader()
	for _, from := range c.nodes {
		for _, to := range c.nodes {
			must(t, from.r.Transfer(withTimeout(t, 20*time.Second), to.id))
			if id, _ := from.r.Leader(); id != to.id {
				t.Errorf("%d leads, want %d", id, to.id)
			}
			testkit.Eventually(t, "it leads", to.r.IsLeader)
		}
	}
	wantKind(t, "to a stranger", c.nodes[0].r.Transfer(withTimeout(t, 20*time.Second), 9), replica.ErrUnknownMember)
}

func TestRemovalThatWouldLeaveNoMajority(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	lead := c.leader()
	dead := c.other(lead)
	other := c.other(lead, dead)
	c.kill(dead)
	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), other.id)
	wantKind(t, "removing one of two that live", err, replica.ErrNoMajority)
	_, err = lead.r.RemoveMember(withTimeout(t, 20*time.Second), dead.id)
	must(t, err)
	_, err = lead.r.RemoveMember(withTimeout(t, 20*time.Second), other.id)
	must(t, err)
	removed(t, other)
	_, err = lead.r.RemoveMember(withTimeout(t, 20*time.Second), lead.id)
	wantKind(t, "removing the last", err, replica.ErrNoMajority)
	write(t, lead, 1, 1, 10)
}

// A member whose disk was lost is replaced under its own number, while others write.
func TestReplaceAMemberThatForgotEverything(t *testing.T) {
	c := newCluster(t, 3, true, func(cfg *replica.Config) { cfg.SnapshotBytes = 128 << 10 })
	lost := c.other(c.leader())
	write(t, lost, 4, 1, 500) // its successor's are no repeats of these
	c.kill(lost)
	helper := c.other(lost)
	stop := load(helper, 1)
	write(t, helper, 2, 1, 10000)
	_, err := helper.r.RemoveMember(withTimeout(t, 20*time.Second), lost.id)
	must(t, err)
	c.nodes = slices.DeleteFunc(c.nodes, func(nd *node) bool { return nd == lost })
	fresh := c.newcomer(lost.id)
	_, err = helper.r.AddMember(withTimeout(t, 20*time.Second), fresh.peer(), false)
	must(t, err)
	write(t, fresh, 3, 1, 100)
	want := map[uint64]uint64{1: stop(), 2: 10000, 3: 100, 4: 500}
	c.same(want)
	if got := fresh.m.state(); !maps.Equal(got, want) {
		t.Errorf("the new member has %v, want %v", got, want)
	}
	// And it counts: without another one the two still are a majority.
	c.kill(c.other(fresh, c.leader()))
	write(t, fresh, 3, 101, 10)
}

// Who was down when it was removed learns it when it comes back.
func TestRemovedWhileDown(t *testing.T) {
	c := newCluster(t, 3, true, nil)
	lead := c.leader()
	down := c.other(lead)
	c.kill(down)
	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), down.id)
	must(t, err)
	term := lead.r.Stats().Term
	c.start(down, nil)
	removed(t, down)
	write(t, lead, 1, 1, 10)
	if now := lead.r.Stats().Term; now != term || !lead.r.IsLeader() {
		t.Errorf("the removed member disturbed: term %d, was %d", now, term)
	}
}

// A member that stood for election, was beaten in the same term, and removed before it was a follower again, does not wait
// for that leader for ever.
func TestRemovedWhileItStands(t *testing.T) {
	c := newCluster(t, 3, false, func(cfg *replica.Config) { cfg.ElectionTimeout = time.Second })
	lead := c.leader()
	gone := c.other(lead)
	testkit.Eventually(t, "it follows", func() bool { id, _ := gone.r.Leader(); return id == lead.id })
	c.isolate(gone, true)
	gone.r.Outvoted(t, lead.id, lead.addr)
	testkit.Eventually(t, "it knows that leader", func() bool { id, _ := gone.r.Leader(); return id == lead.id })
	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), gone.id)
	must(t, err)
	c.isolate(gone, false)
	removed(t, gone)
}

// Who was removed learns it although most of those who were members with it have gone, too.
func TestRemovedAndTheOthersToo(t *testing.T) {
	c := newCluster(t, 3, true, nil)
	lead := c.leader()
	down := c.other(lead)
	third := c.other(lead, down)
	testkit.Eventually(t, "all know each other", func() bool { return down.r.Knows(lead.id) && down.r.Knows(third.id) })
	c.kill(down)
	for _, nd := range []*node{down, third} {
		_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), nd.id)
		must(t, err)
	}
	removed(t, third)
	for range 2 { // what it has learned is not written down
		c.start(down, nil)
		removed(t, down)
		must(t, lead.r.Snapshot())
		c.kill(lead)
		c.start(lead, nil)
		write(t, lead, 1, lead.m.state()[1]+1, 1)
	}
}

// A removal that is not committed, of a leader that is one no more, makes nobody stop, and nobody is told that it was done.
func TestRemovedByAMinority(t *testing.T) {
	c := newCluster(t, 4, false, func(cfg *replica.Config) {
		cfg.ElectionTimeout = 2 * time.Second
		cfg.Peers = slices.Clone(cfg.Peers)
		cfg.Peers[3].Observer = true
	})
	lead, observer := c.leader(), c.nodes[3]
	write(t, observer, 1, 1, 10)
	testkit.Eventually(t, "they know each other", func() bool { return observer.r.Knows(lead.id) })
	if _, err := observer.r.RemoveMember(withTimeout(t, 20*time.Second), 9); !errors.Is(err, replica.ErrUnknownMember) {
		t.Errorf("removing a stranger: %v", err)
	}
	for _, nd := range c.nodes[:3] {
		if nd != lead {
			c.isolate(nd, true)
		}
	}
	for range 2 {
		_, err := lead.r.RemoveMember(withTimeout(t, 200*time.Millisecond), observer.id)
		if err == nil || errors.Is(err, replica.ErrUnknownMember) {
			t.Errorf("a removal without a majority: %v", err)
		}
	}
	if n := len(lead.r.Members()); n != 3 {
		t.Errorf("the leader has %d members: the removal is not in its log", n)
	}
	testkit.Eventually(t, "it has no leader, and is told that it is no member", func() bool {
		id, _ := observer.r.Leader()
		return id == 0 && observer.r.Told(lead.id)
	})
	for range 3 { // one more than it takes
		if observer.r.Expelled(t.Context()) {
			t.Fatal("it believes one that leads no more")
		}
	}
}

// That another change is under way is no answer to a request that may have been carried out before.
func TestRemoveAgainWhileOthersChange(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	lead := c.leader()
	gone := c.other(lead)
	asked := c.other(lead, gone)
	end := lead.r.Changing()
	_, err := asked.r.RemoveMember(withTimeout(t, 20*time.Second), gone.id)
	wantKind(t, "the first attempt", err, replica.ErrChanging)
	if err := asked.r.RemoveAgain(withTimeout(t, 300*time.Millisecond), gone.id); err == nil || errors.Is(err, replica.ErrChanging) {
		t.Errorf("another one: %v", err) // what became of the first attempt is not known yet
	}
	time.AfterFunc(300*time.Millisecond, end)
	must(t, asked.r.RemoveAgain(withTimeout(t, 20*time.Second), gone.id))
	removed(t, gone)
}
