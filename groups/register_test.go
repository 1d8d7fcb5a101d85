package groups_test

import (
	"context"
	"encoding/json"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

func TestRegisterBad(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for what, spoil := range map[string]func(*groups.Instance){
		"no service":      func(in *groups.Instance) { in.Service = "" },
		"a path":          func(in *groups.Instance) { in.Service = "a/b" },
		"an ID with /":    func(in *groups.Instance) { in.ID = "a/b" },
		"no host":         func(in *groups.Instance) { in.Host = "" },
		"port 65536":      func(in *groups.Instance) { in.Port = 65536 },
		"version latest":  func(in *groups.Instance) { in.Version = "latest" },
		"load not-number": func(in *groups.Instance) { in.Load = math.NaN() },
	} {
		in := manager("am-1", 1)
		spoil(&in)
		if r, err := groups.Register(ctx, c, in); err == nil {
			t.Errorf("registered with %s", what)
			r.Close()
		}
	}
}

func TestRegisterMakesAnID(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	one, two := register(ctx, t, c, manager("", 1)), register(ctx, t, c, manager("", 1))
	if a, b := one.Instance().ID, two.Instance().ID; a == "" || a == b {
		t.Errorf("IDs %q and %q", a, b)
	}
}

func TestRegisterUnderAnotherBase(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	register(ctx, t, c, manager("am-1", 1), groups.Under("gateway/services"))
	if _, there, err := c.Exists(ctx, "/gateway/services/appmgr/am-1"); err != nil || !there {
		t.Errorf("there: %v, %v", there, err)
	}
	shows(ctx, t, discover(ctx, t, c, groups.Under("gateway/services")), "am-1 ")
}

// CURATOR-146, CURATOR-181, Netflix #200: after an update, the updated instance must come back. And a reconnect alone is
// no reason to make anybody vanish.
func TestRegister_M2_ComesBackAsUpdated(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	r := register(ctx, t, a, manager("am-1", 1))
	must(t, r.Update(ctx, func(in *groups.Instance) { in.Meta["cluster"], in.ID = "karst", "am-9" }))
	d := discover(ctx, t, b)
	before := shows(ctx, t, d, "am-1 ")[0]
	if before.Meta["cluster"] != "karst" {
		t.Errorf("updated to %+v", before)
	}
	srv.Cut()
	must(t, r.Update(ctx, func(in *groups.Instance) { in.Meta["cluster"] = "carbonate" }))
	for list, err := range d.Changes(ctx) {
		must(t, err)
		if list[0].Epoch != before.Epoch {
			t.Fatal("it was registered anew because of a reconnect")
		}
		if list[0].Meta["cluster"] == "carbonate" {
			break
		}
	}
	stay := r.Context()
	srv.Expire(a)
	<-stay.Done()
	for list, err := range d.Changes(ctx) {
		must(t, err)
		if len(list) == 1 && list[0].Epoch > before.Epoch {
			if list[0].Meta["cluster"] != "carbonate" {
				t.Errorf("it came back as %+v", list[0])
			}
			break
		}
	}
	must(t, r.Close())
}

// CURATOR-164, CURATOR-141: nothing brings an instance back that has been closed.
func TestRegister_M3_ClosedStaysClosed(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	for range 4 {
		r := register(ctx, t, a, manager("am-1", 1))
		s, err := a.Session(ctx)
		must(t, err)
		closed := make(chan error, 1)
		go func() { closed <- r.Close() }()
		srv.Expire(a)
		<-s.Context().Done()
		<-closed // an error is as good: the session was lost under it
		if err := r.Update(ctx, func(*groups.Instance) {}); err == nil {
			t.Fatal("updated after Close")
		}
		if _, err := a.Session(ctx); err != nil { // the next session is there
			t.Fatal(err)
		}
		must(t, b.Sync(ctx, "/"))
		if _, there, err := b.Exists(ctx, "/svc/appmgr/am-1"); err != nil || there {
			t.Fatalf("after Close: there %v, %v", there, err)
		}
	}
}

// D5: a load that is reported a hundred times is published once.
func TestReportLoad_D5(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	r := register(ctx, t, c, manager("am-1", 1), groups.ReportEvery(time.Millisecond))
	before := srv.Count().Requests["setData"]
	reporting, stop := context.WithCancel(ctx)
	var load atomic.Value
	load.Store(0.5)
	asked := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.ReportLoad(reporting, func() float64 {
			select {
			case asked <- struct{}{}:
			case <-reporting.Done():
			}
			return load.Load().(float64)
		})
	}()
	for i := range 100 {
		load.Store(0.5 + float64(i%9)/100) // jitters by less than a tenth
		<-asked
	}
	d := discover(ctx, t, c)
	for list, err := range d.Changes(ctx) {
		must(t, err)
		if list[0].Load >= 0.5 {
			break
		}
		<-asked
	}
	if n := srv.Count().Requests["setData"] - before; n != 1 {
		t.Errorf("published %d times, want once", n)
	}
	load.Store(math.Inf(1)) // no number
	<-asked
	<-asked
	must(t, r.Close()) // ends it, too
	stop()
	<-ended
}

func TestRegisterWritesCuratorsJSON(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	r := register(ctx, t, c, manager("am-1", 9930))
	must(t, r.Drain(ctx))
	node, err := c.Get(ctx, "/svc/appmgr/am-1")
	must(t, err)
	var got struct {
		Name, ID, Address string
		Port              int
		Enabled           bool
		Payload           struct{ Flavor, Status string }
	}
	must(t, json.Unmarshal(node.Data, &got))
	if got.Name != "appmgr" || got.ID != "am-1" || got.Address != "127.0.0.1" || got.Port != 9930 || got.Enabled ||
		got.Payload.Flavor != "slurm" || got.Payload.Status != "draining" {
		t.Errorf("%s", node.Data)
	}
}
