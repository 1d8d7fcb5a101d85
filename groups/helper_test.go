package groups_test

import (
	"context"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// worker is what the members of these tests say about themselves.
type worker struct {
	Rank int
	Room string
}

func join(ctx context.Context, t *testing.T, c *client.Client, id string, w worker) *groups.Membership[worker] {
	t.Helper()
	m, err := groups.Join(ctx, c, "/jobs/7/workers", w, groups.ID(id))
	must(t, err)
	return m
}

// ids returns the IDs of members, one after the other.
func ids(members []groups.Member[worker]) (s string) {
	for _, m := range members {
		s += m.ID + " "
	}
	return s
}

func manager(id string, port int) groups.Instance {
	return groups.Instance{
		Service: "appmgr", ID: id, Host: "127.0.0.1", Port: port, Version: "1.6.2", Flavor: "slurm",
		Meta: map[string]string{"cluster": "bigred"},
	}
}

func register(ctx context.Context, t *testing.T, c *client.Client, in groups.Instance, o ...groups.Option) *groups.Registration {
	t.Helper()
	r, err := groups.Register(ctx, c, in, o...)
	must(t, err)
	return r
}

func discover(ctx context.Context, t *testing.T, c *client.Client, o ...groups.Option) *groups.Directory {
	t.Helper()
	d := groups.Discover(ctx, c, "appmgr", o...)
	t.Cleanup(d.Close)
	must(t, d.Synced(ctx))
	return d
}

// shows returns once the directory shows exactly the instances with these IDs, in their order.
func shows(ctx context.Context, t *testing.T, d *groups.Directory, want string) []groups.Instance {
	t.Helper()
	got := ""
	for list, err := range d.Changes(ctx) {
		if err != nil {
			t.Fatalf("the directory shows %s, want %s: %v", got, want, err)
		}
		got = ""
		for _, in := range list {
			got += in.ID + " "
		}
		if got == want {
			return list
		}
	}
	return nil
}
