package interop_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/interop/matrix"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes"
)

// others' recipes against ours, at one server.
type meeting struct {
	*testing.T
	ctx  context.Context
	c    *client.Client
	addr string
	peer *contender
}

// says gives an order and compares the answer.
func (m *meeting) says(want, order, path string, args ...any) {
	m.Helper()
	got, err := m.peer.do(order, append([]any{m.addr, path}, args...)...)
	if err != nil {
		m.Fatal(err)
	}
	if got = strings.TrimSpace(got); got != want {
		m.Errorf("%s: %s %s %v: %q, want %q", m.peer.Name, order, path, args, got, want)
	}
}

func (m *meeting) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// meets are the recipes, by what the others call theirs.
var meets = map[string]struct {
	recipe string
	f      func(m *meeting)
}{
	"Curator ServiceDiscovery":      {"service discovery", discoveryMeets},
	"Curator SharedCount":           {"counter", sharedCountMeets},
	"Curator SharedValue":           {"value", sharedValueMeets},
	"Curator DistributedAtomicLong": {"counter", atomicLongMeets},
	"Curator DistributedAtomicInteger": {"counter", func(m *meeting) {
		m.counts("atomicint", "/meet/int", config.NewCounter(m.c, "/meet/int", config.Int32()))
	}},
	"Curator GroupMember":                {"group", groupMemberMeets},
	"Curator DistributedBarrier":         {"barrier (gate)", func(m *meeting) { gateMeets(m, "true", "false", 10000, 100) }},
	"Curator LeaderLatch":                {"election", latchMeets},
	"Curator LeaderSelector":             {"election", selectorMeets},
	"Curator InterProcessReadWriteLock":  {"readers and a writer", func(m *meeting) { rwMeets(m, lock.LayoutCurator, "true", "false", 10000, 100) }},
	"Curator InterProcessSemaphoreV2":    {"semaphore", semaphoreMeets},
	"Curator InterProcessSemaphoreMutex": {"semaphore", singleMeets},
	"kazoo Election":                     {"election", electionMeets},
	"kazoo Party":                        {"group", partyMeets},
	"kazoo ShallowParty":                 {"group", shallowMeets},
	"kazoo Counter":                      {"counter", counterMeets},
	"kazoo Counter, support_curator": {"counter", func(m *meeting) {
		m.counts("curatorcount", "/meet/as-curator", config.NewCounter(m.c, "/meet/as-curator", config.Int32()))
	}},
	"kazoo Barrier":             {"barrier (gate)", func(m *meeting) { gateMeets(m, "True", "False", 10, 0.1) }},
	"kazoo ReadLock, WriteLock": {"readers and a writer", func(m *meeting) { rwMeets(m, lock.LayoutKazoo, "True", "False", 10, 0.1) }},
}

// Our recipes share their nodes with those of Curator and kazoo, in both directions, on docent and on Apache ZooKeeper;
// and theirs with each other.
func TestRecipesMeet(t *testing.T) {
	needContenders(t)
	curator := curatorProgram(t, "Recipes")
	kazoo := startContender(t, "kazoo", exec.Command(findKazoo(t), "testdata/recipes.py"))
	for name, addr := range contendedServers(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			c, err := client.Dial(ctx, client.Config{Servers: []string{addr}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for with, meet := range meets {
				t.Run(with, func(t *testing.T) {
					peer := curator
					if strings.HasPrefix(with, "kazoo") {
						peer = kazoo
					}
					meet.f(&meeting{t, ctx, c, addr, peer})
					met(t, name, meet.recipe, "docent", with)
				})
			}
			t.Run("Curator and kazoo", func(t *testing.T) {
				java, python := &meeting{t, ctx, c, addr, curator}, &meeting{t, ctx, c, addr, kazoo}
				gatesMeet(java, python)
				met(t, name, "barrier (gate)", "Curator DistributedBarrier", "kazoo Barrier")
				countsMeet(java, python, "count")
				met(t, name, "counter", "Curator SharedCount", "kazoo Counter, support_curator")
				countsMeet(java, python, "atomicint")
				met(t, name, "counter", "Curator DistributedAtomicInteger", "kazoo Counter, support_curator")
				groupsMeet(java, python)
				met(t, name, "group", "Curator GroupMember", "kazoo ShallowParty")
			})
		})
	}
}

// met records that two libraries have, if nothing failed.
func met(t *testing.T, server, recipe, a, b string) {
	t.Helper()
	if t.Failed() {
		return
	}
	if err := matrix.Append(matrix.Record{Server: server, Recipe: recipe, A: a, B: b}); err != nil {
		t.Error(err)
	}
}

// gatesMeet lets each close the gate and open it, with the other before it.
func gatesMeet(java, python *meeting) {
	const path = "/meet/their-gate"
	java.says("", "close", path)
	python.says("False", "wait", path, 0.1)
	java.says("", "open", path)
	python.says("True", "wait", path, 10)
	python.says("", "close", path)
	java.says("false", "wait", path, 100)
	python.says("True", "open", path)
	java.says("true", "wait", path, 10000)
}

// countsMeet lets both add to one number by turns.
func countsMeet(java, python *meeting, order string) {
	path := "/meet/their-" + order
	java.says("3", order, path, 3)
	python.says("5", "curatorcount", path, 2)
	java.says("8", order, path, 3)
	python.says("1", "curatorcount", path, -7)
	java.says("2", order, path, 1)
}

// groupsMeet lets a member of each be seen by the other.
func groupsMeet(java, python *meeting) {
	const path = "/meet/their-group"
	java.says("", "join", path, "theirs")
	java.says("looks theirs", "members", path, 2, "looks") // the node of a GroupMember is made in the background
	python.says("", "joinshallow", path, "guest")
	python.says("2 guest theirs", "shallow", path)
	if got, err := java.peer.do("members", java.addr, path, 3, "looks"); err != nil || !strings.Contains(got, "-guest ") {
		java.Errorf("Curator sees the members %q, none of them kazoo's guest, %v", got, err)
	}
	python.says("", "leave", path)
	java.says("", "leave", path)
}

// rwMeets lets either side hold the lock for reading and for writing, while the other tries. It is told the layout, how
// the peer says yes and no, and what are ten seconds and a moment to it.
func rwMeets(m *meeting, layout lock.Layout, yes, no string, long, short any) {
	const path = "/meet/rw"
	us := lock.NewRW(m.c, path, lock.Compat(layout))
	m.says(yes, "read", path, long)
	shared, err := us.TryRLock(m.ctx)
	m.must(err)
	_, err = us.TryLock(m.ctx)
	m.busy("TryLock beside a reader", err)
	m.must(shared.Unlock(m.ctx))
	m.says("", "leave", path)

	m.says(yes, "write", path, long)
	_, err = us.TryRLock(m.ctx)
	m.busy("TryRLock beside a writer", err)
	_, err = us.TryLock(m.ctx)
	m.busy("TryLock beside a writer", err)
	next := make(chan error, 1)
	go func() {
		held, err := us.Lock(m.ctx)
		if err == nil {
			err = held.Unlock(m.ctx)
		}
		next <- err
	}()
	m.says("", "leave", path)
	m.must(<-next)

	reading, err := us.RLock(m.ctx)
	m.must(err)
	m.says(yes, "read", path, long)
	m.says("", "leave", path)
	m.says(no, "write", path, short)
	m.must(reading.Unlock(m.ctx))
	writing, err := us.Lock(m.ctx)
	m.must(err)
	m.says(no, "read", path, short)
	m.says(no, "write", path, short)
	m.must(writing.Unlock(m.ctx))
	m.says(yes, "write", path, long)
	m.says("", "leave", path)
}

func (m *meeting) busy(what string, err error) {
	m.Helper()
	if !errors.Is(err, lock.ErrLocked) {
		m.Errorf("%s of %s: %v, want ErrLocked", what, m.peer.Name, err)
	}
}

// semaphoreMeets: two permits, and three who want one.
func semaphoreMeets(m *meeting) {
	const path = "/meet/semaphore"
	us := lock.NewSemaphore(m.c, path, 2)
	first, err := us.Acquire(m.ctx, 1)
	m.must(err)
	m.says("true", "lease", path, 2, 10000)
	m.says("false", "lease", path, 2, 100)
	_, err = us.TryAcquire(m.ctx, 1)
	m.busy("TryAcquire beside one of", err)
	m.must(first.Unlock(m.ctx))
	m.says("true", "lease", path, 2, 10000)
	_, err = us.TryAcquire(m.ctx, 1)
	m.busy("TryAcquire beside two of", err)
	m.says("", "leave", path)
	first, err = us.Acquire(m.ctx, 1)
	m.must(err)
	second, err := us.Acquire(m.ctx, 1)
	m.must(err)
	m.says("false", "lease", path, 2, 100)
	m.must(first.Unlock(m.ctx))
	m.must(second.Unlock(m.ctx))
}

// singleMeets: Curator's mutex that is a semaphore of one.
func singleMeets(m *meeting) {
	const path = "/meet/single"
	us := lock.NewSemaphore(m.c, path, 1)
	m.says("true", "single", path, 10000)
	_, err := us.TryAcquire(m.ctx, 1)
	m.busy("TryAcquire", err)
	m.says("", "leave", path)
	ours, err := us.Acquire(m.ctx, 1)
	m.must(err)
	m.says("false", "single", path, 100)
	m.must(ours.Unlock(m.ctx))
	m.says("true", "single", path, 10000)
	m.says("", "leave", path)
}

func sharedValueMeets(m *meeting) {
	const path = "/meet/value"
	m.says("theirs", "value", path, "theirs")
	v, err := config.Watch(m.ctx, m.c, path, config.WithCodec(recipes.Text()))
	m.must(err)
	defer v.Close()
	follow := func(want string) {
		for got, err := range v.Changes(m.ctx) {
			if m.must(err); got == want {
				return
			}
		}
		m.Errorf("we do not see %q: %v", want, m.ctx.Err())
	}
	follow("theirs")
	_, err = config.Update(m.ctx, m.c, path, func(string) (string, error) { return "ours", nil }, config.WithCodec(recipes.Text()))
	m.must(err)
	m.says("ours", "valueof", path)
	m.says("again", "value", path, "again")
	follow("again")
}

func discoveryMeets(m *meeting) {
	m.says("", "register", "/svc-meet", "appmgr", "theirs", "h1", 1)
	r, err := groups.Register(m.ctx, m.c, groups.Instance{Service: "appmgr", ID: "ours", Host: "h2", Port: 2, Flavor: "slurm"}, groups.Under("/svc-meet"))
	m.must(err)
	m.says("ours=h2:2/slurm/true theirs=h1:1/null/true", "discover", "/svc-meet", "appmgr")
	d := groups.Discover(m.ctx, m.c, "appmgr", groups.Under("/svc-meet"), groups.WithGuard(0))
	defer d.Close()
	m.must(d.Synced(m.ctx))
	seen := ""
	for _, in := range d.All() {
		seen += fmt.Sprint(in.ID, "=", in.Addr(), " ")
	}
	if seen != "ours=h2:2 theirs=h1:1 " {
		m.Errorf("our directory shows %s", seen)
	}
	m.must(r.Drain(m.ctx))
	m.says("ours=h2:2/slurm/false theirs=h1:1/null/true", "discover", "/svc-meet", "appmgr")
	m.must(r.Close())
	m.says("theirs=h1:1/null/true", "discover", "/svc-meet", "appmgr")
	m.says("", "leave", "/svc-meet")
	for list, err := range d.Changes(m.ctx) {
		if m.must(err); len(list) == 0 {
			break
		}
	}
}

// counts lets both sides add to one number by turns.
func (m *meeting) counts(order, path string, k *config.Counter) {
	m.says("3", order, path, 3)
	for want := int64(5); want <= 15; want += 5 {
		if got, err := k.Add(m.ctx, 2); err != nil || got != want {
			m.Errorf("our Add = %d, %v; want %d", got, err, want)
		}
		m.says(fmt.Sprint(want+3), order, path, 3)
	}
	m.says("10", order, path, -8)
	m.must(k.Close(m.ctx))
	if got, err := k.Get(m.ctx); err != nil || got != 10 {
		m.Errorf("our Get = %d, %v; want 10", got, err)
	}
}

func sharedCountMeets(m *meeting) {
	m.counts("count", "/meet/shared", config.NewCounter(m.c, "/meet/shared", config.Int32()))
}

func atomicLongMeets(m *meeting) {
	m.counts("atomic", "/meet/atomic", config.NewCounter(m.c, "/meet/atomic", config.Int64()))
}

func counterMeets(m *meeting) {
	m.counts("count", "/meet/counter", config.NewCounter(m.c, "/meet/counter", nil))
}

// gateMeets is told how the peer says yes and no, and what are ten seconds and a moment to it.
func gateMeets(m *meeting, yes, no string, long, short any) {
	path := "/meet/gate"
	g := barrier.NewGate(m.c, path)
	m.must(g.Close(m.ctx))
	m.says(no, "wait", path, short)
	m.must(g.Open(m.ctx))
	m.says(yes, "wait", path, long)

	m.says("", "close", path)
	moment, cancel := context.WithTimeout(m.ctx, 100*time.Millisecond)
	defer cancel()
	if err := g.Wait(moment); err == nil {
		m.Errorf("we pass the gate that %s has closed", m.peer.Name)
	}
	passed := make(chan error, 1)
	go func() { passed <- g.Wait(m.ctx) }()
	if _, err := m.peer.do("open", m.addr, path); err != nil {
		m.Fatal(err)
	}
	m.must(<-passed)
}

func groupMemberMeets(m *meeting) {
	const path = "/meet/group"
	m.says("", "join", path, "theirs")
	us, err := groups.Join(m.ctx, m.c, path, "hello", groups.ID("ours"))
	m.must(err)
	m.says("looks ours theirs", "members", path, 3, "looks")
	members, err := groups.Members[string](m.ctx, m.c, path)
	m.must(err)
	if ids := idsOf(members); ids != "ours theirs" {
		m.Errorf("our Members: %s", ids)
	}
	m.must(us.Leave(m.ctx))
	m.says("", "leave", path)
	for snap, err := range groups.Watch[string](m.ctx, m.c, path) {
		if m.must(err); len(snap.Members) == 0 {
			break
		}
	}
}

func idsOf(members []groups.Member[string]) string {
	var ids []string
	for _, member := range members {
		ids = append(ids, member.ID)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// kazoo counts the members whose names contain __party__.
func partyMeets(m *meeting) {
	const path = "/meet/party"
	m.says("", "join", path, "theirs")
	us, err := groups.Join(m.ctx, m.c, path, "ours", groups.ID("ours-__party__0"))
	m.must(err)
	m.says(`2 "ours" theirs`, "members", path)
	members, err := groups.Members[string](m.ctx, m.c, path)
	m.must(err)
	if ids := idsOf(members); len(members) != 2 || !strings.Contains(ids, "ours-__party__0") {
		m.Errorf("our Members: %s", ids)
	}
	m.must(us.Leave(m.ctx))
	m.says("1 theirs", "members", path)
	m.says("", "leave", path)
}

// kazoo tells of a member what stands behind the first hyphen of its name.
func shallowMeets(m *meeting) {
	const path = "/meet/shallow"
	m.says("", "joinshallow", path, "theirs")
	us, err := groups.Join(m.ctx, m.c, path, "hello", groups.ID("ours"))
	m.must(err)
	m.says("2 ours theirs", "shallow", path)
	members, err := groups.Members[string](m.ctx, m.c, path)
	m.must(err)
	if ids := idsOf(members); len(members) != 2 || !strings.Contains(ids, "-theirs") {
		m.Errorf("our Members: %s", ids)
	}
	m.must(us.Leave(m.ctx))
	m.says("1 theirs", "shallow", path)
	m.says("", "leave", path)
}

func latchMeets(m *meeting) {
	m.leads(leader.LayoutLatch, "latch", "latched", "true", "false", 10000, 100)
}

func selectorMeets(m *meeting) {
	m.leads(leader.LayoutSelector, "select", "selected", "true", "false", 10000, 100)
}

func electionMeets(m *meeting) {
	m.leads(leader.LayoutKazoo, "elect", "elected", "True", "False", 10, 0.1)
}

// leads lets the peer lead, then us, then the peer again; each sees who does. It is told the peer's orders, how it says
// yes and no, and what are ten seconds and a moment to it.
func (m *meeting) leads(layout leader.Layout, stand, who, yes, no string, long, short any) {
	path := "/meet/office-" + stand
	m.says(yes, stand, path, "theirs", long)
	if now, err := leader.Current(m.ctx, m.c, path); err != nil || now.ID != "theirs" || now.Vacant {
		m.Errorf("we see %+v lead, %v", now, err)
	}
	if _, err := leader.TryCampaign(m.ctx, m.c, path, leader.Compat(layout)); !errors.Is(err, recipes.ErrBusy) {
		m.Errorf("TryCampaign beside %s = %v", m.peer.Name, err)
	}
	won := make(chan *leader.Term, 1)
	go func() {
		term, err := leader.Campaign(m.ctx, m.c, path, leader.Compat(layout))
		if err != nil {
			m.Error(err)
		}
		won <- term
	}()
	m.says("", "leave", path)
	term := <-won
	if term == nil {
		return
	}
	m.says(no, stand, path, "theirs", short)
	if got, err := m.peer.do(who, m.addr, path); err != nil || !strings.Contains(got, m.c.Identity()) {
		m.Errorf("%s sees %q lead, not %s, %v", m.peer.Name, got, m.c.Identity(), err)
	}
	m.must(term.Resign(m.ctx))
	for info, err := range leader.Observe(m.ctx, m.c, path) {
		if m.must(err); info.ID == "theirs" {
			break
		}
	}
	m.says("", "leave", path)
}
