package groups_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// patience is a settle window that is long enough for what a test does meanwhile.
const patience = 300 * time.Millisecond

func TestDiscover(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	d := discover(ctx, t, b)
	if all := d.All(); len(all) != 0 || d.Stale() {
		t.Errorf("at first: %+v, stale %v", all, d.Stale())
	}
	r := register(ctx, t, a, manager("am-1", 9930))
	in := shows(ctx, t, d, "am-1 ")[0]
	if in.Addr() != "127.0.0.1:9930" || in.Version != "1.6.2" || in.Flavor != "slurm" || in.Status != groups.Up ||
		in.Meta["cluster"] != "bigred" || in.Epoch == 0 || time.Since(in.Registered) > time.Minute {
		t.Errorf("shown as %+v", in)
	}
	pick, err := d.Pick(ctx, groups.RoundRobin())
	must(t, err)
	if pick.Addr() != "127.0.0.1:9930" || pick.Instance().ID != "am-1" {
		t.Errorf("picked %+v", pick.Instance())
	}
	pick.Done(nil)
	must(t, r.Close())
	must(t, r.Close())
	shows(ctx, t, d, "")
	if _, err := d.Pick(ctx, groups.RoundRobin()); !errors.Is(err, groups.ErrNoInstance) {
		t.Errorf("Pick = %v, want %v", err, groups.ErrNoInstance)
	}
}

// Who gets no instance is told why, as it is.
func TestPickSaysWhyThereIsNone(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	d := discover(ctx, t, srv.Dial(t), groups.Select("flavor=slurm"), groups.WithQuarantine(time.Hour))
	told := func(want string) {
		t.Helper()
		testkit.Eventually(t, "pick appmgr: no instance: "+want, func() bool {
			_, err := d.Pick(ctx, groups.RoundRobin())
			return errors.Is(err, groups.ErrNoInstance) && err.Error() == "pick appmgr: no instance: "+want
		})
	}
	told("none is registered")
	other := manager("am-0", 1)
	other.Flavor = "aws"
	register(ctx, t, c, other)
	told("none of 1 is selected")
	_, err := c.Create(ctx, "/svc/appmgr/junk", []byte("{"))
	must(t, err)
	told("none of 2 is selected, 1 of which cannot be read")
	r1, r2 := register(ctx, t, c, manager("am-1", 1)), register(ctx, t, c, manager("am-2", 2))
	must(t, r1.Drain(ctx))
	testkit.Eventually(t, "both, one of them draining", func() bool {
		all := d.All()
		return len(all) == 2 && all[0].Status == groups.Draining
	})
	p, err := d.Pick(ctx, groups.RoundRobin())
	must(t, err)
	p.Done(errors.New("connection refused"))
	told("2 selected, 1 up, every one of which failed lately")
	must(t, r2.Drain(ctx))
	told("2 selected, none is up")
}

func TestDiscoverSelects(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for i, in := range []groups.Instance{
		{Flavor: "slurm", Version: "1.4.9", Load: 0.1},
		{Flavor: "slurm", Version: "1.6.2", Load: 0.5},
		{Flavor: "slurm", Version: "1.6.2", Load: 0.9},
		{Flavor: "aws", Version: "2.0.0", Load: 0.1},
	} {
		in.Service, in.ID, in.Host = "appmgr", fmt.Sprint("am-", i), "h"
		register(ctx, t, c, in)
	}
	d := discover(ctx, t, c, groups.Select("flavor=slurm, version>=1.5, load<0.8"))
	shows(ctx, t, d, "am-1 ")
}

func TestDiscoverBadSelection(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	d := groups.Discover(ctx, srv.Dial(t), "appmgr", groups.Select("load<high"))
	defer d.Close()
	var bad *groups.SelectError
	if err := d.Synced(ctx); !errors.As(err, &bad) || bad.Pos != 5 {
		t.Errorf("Synced = %v", err)
	}
	if _, err := d.PickWait(ctx, groups.Random()); !errors.As(err, &bad) {
		t.Errorf("PickWait = %v", err)
	}
	for _, err := range d.Changes(ctx) {
		if !errors.As(err, &bad) {
			t.Errorf("Changes yields %v", err)
		}
	}
	if h := d.Health(); !errors.As(h.Err, &bad) || !h.Stale {
		t.Errorf("Health = %+v", h)
	}
}

// CURATOR-452, -105, -705: right after the start a directory must not look empty.
func TestPickWaitsForTheFirstCopy(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	register(ctx, t, c, manager("am-1", 1))
	for range 20 {
		d := groups.Discover(ctx, c, "appmgr")
		_, err := d.Pick(ctx, groups.Random())
		must(t, err)
		d.Close()
	}
}

func TestPickWait(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	d := discover(ctx, t, b)
	out := make(chan error, 1)
	go func() {
		_, err := d.PickWait(ctx, groups.LeastLoaded())
		out <- err
	}()
	register(ctx, t, a, manager("am-1", 1))
	must(t, <-out)
	over, cancel := context.WithCancel(ctx)
	cancel()
	d2 := discover(ctx, t, b, groups.Select("flavor=none"))
	if _, err := d2.PickWait(over, groups.Random()); !errors.Is(err, context.Canceled) || !errors.Is(err, groups.ErrNoInstance) {
		t.Errorf("PickWait = %v", err)
	}
}

// CURATOR-275, CURATOR-574: one bad entry must not harm the others.
func TestDiscover_D2_UnreadableEntries(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for name, data := range map[string]string{
		"bad-1": "", "bad-2": "127.0.0.1",
		"good": `{"name":"appmgr","id":"good","address":"10.0.0.1","port":80,"payload":null,"registrationTimeUTC":1795338088286,"serviceType":"DYNAMIC"}`,
	} {
		_, err := c.Create(ctx, "/svc/appmgr/"+name, []byte(data), client.Ephemeral(), client.Parents())
		must(t, err)
	}
	d := discover(ctx, t, c)
	shows(ctx, t, d, "good ")
	h := d.Health()
	if len(h.Unreadable) != 2 || h.Unreadable["bad-1"] == nil || h.Unreadable["bad-2"] == nil || h.Instances != 1 || h.Err != nil {
		t.Errorf("Health = %+v", h)
	}
	_, err := c.Set(ctx, "/svc/appmgr/bad-1", []byte(`{"id":"bad-1"}`), -1) // it recovers
	must(t, err)
	shows(ctx, t, d, "bad-1 good ")
}

func TestDiscoverSurvivesItsSessionAndServer(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t, servertest.OnDisk()), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	d := discover(ctx, t, b)
	register(ctx, t, a, manager("am-1", 1))
	shows(ctx, t, d, "am-1 ")
	srv.Expire(b)
	register(ctx, t, a, manager("am-2", 2))
	shows(ctx, t, d, "am-1 am-2 ")
	srv.Kill()
	testkit.Eventually(t, "the directory to be stale", d.Stale) // D1
	if _, err := d.Pick(ctx, groups.Random()); err != nil {
		t.Errorf("Pick without a server = %v", err)
	}
	srv.Restart()
	register(ctx, t, a, manager("am-3", 3))
	shows(ctx, t, d, "am-1 am-2 am-3 ")
	testkit.Eventually(t, "the directory to be fresh", func() bool { return !d.Stale() })
}

func TestDirectoryEndsWithItsContext(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	register(ctx, t, c, manager("am-1", 1))
	life, end := context.WithCancel(ctx)
	d := groups.Discover(life, c, "appmgr")
	must(t, d.Synced(ctx))
	end()
	var last error
	for _, last = range d.Changes(ctx) {
	}
	if !errors.Is(last, context.Canceled) || !d.Stale() || len(d.All()) != 1 {
		t.Errorf("ended by %v; stale %v, %+v", last, d.Stale(), d.All())
	}
}

// D3: the network loses most of a service for a moment. (consul #2890, #9283, #1208)
func TestDiscover_D3_MassRemoval(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	b := srv.Dial(t)
	var managers []*client.Client
	all := ""
	for i := range 5 {
		c := srv.Dial(t)
		register(ctx, t, c, manager(fmt.Sprint("am-", i), i))
		managers, all = append(managers, c), all+fmt.Sprint("am-", i, " ")
	}
	d, short := discover(ctx, t, b, groups.WithGuard(time.Minute)), discover(ctx, t, b, groups.WithGuard(patience))
	trusting := discover(ctx, t, b, groups.WithGuard(0))
	shows(ctx, t, d, all)
	for i := range 4 {
		managers[i].Close() // all end their sessions without draining
	}
	shows(ctx, t, trusting, "am-4 ")
	shows(ctx, t, d, all)
	testkit.Eventually(t, "four to be held back", func() bool { return d.Health().Held == 4 })
	shows(ctx, t, short, "am-4 ") // in the end it is believed
	register(ctx, t, b, manager("am-5", 5))
	shows(ctx, t, d, all+"am-5 ")           // who comes is shown
	register(ctx, t, b, manager("am-0", 5)) // who comes back, too
	testkit.Eventually(t, "three to be held back", func() bool { return d.Health().Held == 3 })
}

func TestDiscover_D3_WhoDrainedFirstIsBelieved(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	d := discover(ctx, t, b, groups.WithGuard(time.Minute))
	var all []*groups.Registration
	for i := range 4 {
		all = append(all, register(ctx, t, a, manager(fmt.Sprint("am-", i), i)))
	}
	shows(ctx, t, d, "am-0 am-1 am-2 am-3 ")
	for _, r := range all {
		must(t, r.Drain(ctx))
	}
	testkit.Eventually(t, "all to be seen draining", func() bool {
		_, err := d.Pick(ctx, groups.Random())
		return errors.Is(err, groups.ErrNoInstance)
	})
	shows(ctx, t, d, "am-0 am-1 am-2 am-3 ")
	for _, r := range all {
		must(t, r.Close())
	}
	shows(ctx, t, d, "")
}

func TestDiscoverSettles(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	d := discover(ctx, t, b, groups.WithSettle(patience))
	views := make(chan string, 100)
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer close(views)
		for list, err := range d.Changes(watching) {
			view := ""
			for _, in := range list {
				view += in.ID + " "
			}
			if err == nil {
				views <- view
			}
		}
	}()
	if first := <-views; first != "" {
		t.Fatalf("first view %q", first)
	}
	for i := range 4 {
		register(ctx, t, a, manager(fmt.Sprint("am-", i), i))
	}
	if second := <-views; second != "am-0 am-1 am-2 am-3 " {
		t.Errorf("second view %q; want all four together", second)
	}
	stop()
	for view := range views {
		t.Errorf("a further view %q", view)
	}
}

// consul #2754, consul #1244: what happens to other services wakes nobody here.
func TestDiscoverSleepsThroughOthersChurn(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	d := discover(ctx, t, b)
	register(ctx, t, a, manager("am-1", 1))
	shows(ctx, t, d, "am-1 ")
	other := groups.Instance{Service: "appmgr2", ID: "x", Host: "h"}
	must(t, register(ctx, t, a, other).Close()) // makes the parent
	before := srv.Count().Events
	const times = 20
	for range times {
		must(t, register(ctx, t, a, other).Close())
	}
	register(ctx, t, a, manager("am-2", 2))
	shows(ctx, t, d, "am-1 am-2 ")
	// The other service's own members watch their nodes: three events for each, of a change and the removal. This
	// directory gets one, for its new node.
	if n := srv.Count().Events - before; n > 3*times+4 {
		t.Errorf("%d events", n)
	}
}

// D4, on the real thing; the rules are tried in quarantine_test.go.
func TestPick_D4_FailuresAreLeftAlone(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	register(ctx, t, c, manager("am-0", 1))
	r := register(ctx, t, c, manager("am-1", 2))
	d := discover(ctx, t, c, groups.WithQuarantine(time.Hour))
	first, err := d.Pick(ctx, groups.RoundRobin())
	must(t, err)
	first.Done(context.Canceled) // the caller's own affair
	bad, err := d.Pick(ctx, groups.Sticky("job-1"))
	must(t, err)
	bad.Done(errors.New("connection refused"))
	bad.Done(nil) // does not count
	for range 10 {
		p, err := d.Pick(ctx, groups.RoundRobin())
		must(t, err)
		if p.Instance().ID == bad.Instance().ID {
			t.Fatalf("picked %s, which has just failed", p.Instance().ID)
		}
		p.Done(nil)
	}
	if h := d.Health(); h.Quarantined != 1 {
		t.Errorf("Health = %+v", h)
	}
	last, err := d.Pick(ctx, groups.RoundRobin())
	must(t, err)
	last.Done(errors.New("connection refused"))
	if _, err := d.Pick(ctx, groups.Random()); !errors.Is(err, groups.ErrNoInstance) || !strings.Contains(err.Error(), "2 up, every one of which failed lately") {
		t.Errorf("Pick = %v", err)
	}
	must(t, r.Close())
	register(ctx, t, c, manager("am-1", 2)) // a new life begins with a clean record
	p, err := d.PickWait(ctx, groups.Random())
	if err != nil || p.Instance().ID != "am-1" {
		t.Errorf("PickWait = %+v, %v", p, err)
	}
}

func TestPickTriesAgain(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	register(ctx, t, c, manager("am-0", 1))
	d := discover(ctx, t, c, groups.WithQuarantine(10*time.Millisecond))
	p, err := d.Pick(ctx, groups.Random())
	must(t, err)
	p.Done(errors.New("connection refused"))
	p, err = d.PickWait(ctx, groups.Random())
	must(t, err)
	p.Done(nil)
}

func TestPickBadStrategy(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	register(ctx, t, c, manager("am-0", 1))
	d := discover(ctx, t, c)
	if _, err := d.Pick(ctx, func(groups.Choice) int { return 1 }); err == nil {
		t.Error("a strategy chose what is not there")
	}
}
