package groups_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// An operator drains an instance of another process: that takes it over, and keeps it from session to session.
func TestSetStatus(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	c, operator := srv.Dial(t), srv.Dial(t)
	r := register(ctx, t, c, manager("am-1", 9930))
	d := discover(ctx, t, operator)
	status := func(want groups.Status) groups.Instance {
		t.Helper()
		for list, err := range d.Changes(ctx) {
			must(t, err)
			if len(list) == 1 && list[0].Status == want && list[0].Port == 9930 && list[0].Load == r.Instance().Load {
				return list[0]
			}
		}
		return groups.Instance{}
	}
	must(t, groups.SetStatus(ctx, operator, "appmgr", "am-1", groups.Draining))
	first := status(groups.Draining)
	if _, err := d.Pick(ctx, groups.Random()); !errors.Is(err, groups.ErrNoInstance) {
		t.Errorf("a draining instance is picked: %v", err)
	}
	testkit.Eventually(t, "its owner knows", func() bool { return r.Instance().Status == groups.Draining })
	must(t, r.Update(ctx, func(in *groups.Instance) { in.Load = 0.5 })) // its own changes do not undo it
	srv.Expire(c)
	for in := first; in.Epoch == first.Epoch; {
		in = status(groups.Draining)
	}
	if s, err := c.Session(ctx); err != nil || status(groups.Draining).Session != s.ID() {
		t.Errorf("the instance belongs to session %#x, want %#x: %v", status(groups.Draining).Session, s.ID(), err)
	}
	must(t, groups.SetStatus(ctx, operator, "appmgr", "am-1", groups.Up))
	status(groups.Up)
	testkit.Eventually(t, "its owner knows", func() bool { return r.Instance().Status == groups.Up })

	// What else others write is put back.
	_, err := operator.Set(ctx, "/svc/appmgr/am-1", []byte(`{"name":"appmgr","id":"am-1","port":1}`), -1)
	must(t, err)
	testkit.Eventually(t, "the port is put back", func() bool {
		all := d.All()
		return len(all) == 1 && all[0].Port == 9930
	})
	must(t, r.Close())
	if err := groups.SetStatus(ctx, operator, "appmgr", "am-1", groups.Up); !errors.Is(err, groups.ErrNoInstance) {
		t.Errorf("of an instance that is not there: %v", err)
	}
	for _, bad := range [][3]string{{"a/b", "x", "up"}, {"a", "", "up"}, {"a", "b", "asleep"}} {
		if err := groups.SetStatus(ctx, operator, bad[0], bad[1], groups.Status(bad[2])); err == nil {
			t.Errorf("SetStatus(%q) succeeds", bad)
		}
	}
}

// What Curator wrote stays as it was, but for the status.
func TestSetStatus_OfCurator(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	const text = `{"name":"appmgr","id":"j-1","address":"h","port":1,"payload":{"@class":"com.example.Details","status":7},"registrationTimeUTC":1700000000000,"serviceType":"DYNAMIC","future":[1.50]}`
	_, err := c.Create(ctx, "/svc/appmgr/j-1", []byte(text), client.Ephemeral(), client.Parents())
	must(t, err)
	must(t, groups.SetStatus(ctx, c, "appmgr", "j-1", groups.Draining))
	node, err := c.Get(ctx, "/svc/appmgr/j-1")
	must(t, err)
	var got map[string]json.RawMessage
	must(t, json.Unmarshal(node.Data, &got))
	if string(got["enabled"]) != "false" || string(got["payload"]) != `{"@class":"com.example.Details","status":7}` || string(got["future"]) != "[1.50]" || string(got["registrationTimeUTC"]) != "1700000000000" {
		t.Errorf("it is now %s", node.Data)
	}
	d := discover(ctx, t, c)
	if all := d.All(); len(all) != 1 || all[0].Status != groups.Draining || time.Since(all[0].Registered) < time.Hour {
		t.Errorf("the directory shows %+v", all)
	}
}
