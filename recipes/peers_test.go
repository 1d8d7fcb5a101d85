package recipes_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/recipes"
)

func dialAt(t testing.TB, addr string, o ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{Servers: []string{addr}}
	for _, f := range o {
		f(&cfg)
	}
	c, err := client.Dial(within(t, soon), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// takeOver ends the session of c from elsewhere, as a second process that has its password could.
func takeOver(t testing.TB, addr string, c *client.Client) {
	t.Helper()
	ticket := session(t, c).Ticket()
	peers.EndSession(t, addr, ticket.SessionID, ticket.Password)
}

// removeAgain removes a node, and asks again when the outcome is unknown: Apache may drop the requests of a session that
// has just ended in place of hanging up.
func removeAgain(t testing.TB, ops client.Ops, path string) {
	t.Helper()
	for {
		switch err := ops.Delete(within(t, soon), path, -1); {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return
		case !errors.Is(err, client.ErrMaybeApplied):
			t.Fatal(err)
		}
	}
}

// A presence and a cache on Apache ZooKeeper, over changes and new sessions of both.
func TestPresenceAndCache_OnApacheZooKeeper(t *testing.T) {
	addr := peers.Zookeeper(t)
	a, b := dialAt(t, addr), dialAt(t, addr)
	k := mustSync(t, recipes.NewChildrenCache(b, "/here"))
	p := mustPresent(t, a, "/here/me", "0")
	waitContent(t, k, "/here= /here/me=0")
	for i := range 3 {
		data := fmt.Sprint(i + 1)
		if err := p.Set(within(t, soon), []byte(data)); err != nil {
			t.Fatal(err)
		}
		waitContent(t, k, "/here= /here/me="+data)
		gone := p.Context()
		takeOver(t, addr, a)
		mustEnd(t, gone, client.ErrSessionExpired)
		takeOver(t, addr, b)
		waitContent(t, k, "/here= /here/me="+data)
		removeAgain(t, b, "/here/me")
		waitFor(t, b, "/here/me", data)
	}
	if err := p.Close(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	waitContent(t, k, "/here=")
}
