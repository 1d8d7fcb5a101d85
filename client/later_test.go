package client_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// C3: a watch that was not waited for ends exactly once, too: with its event, or with why it could not be set.
func TestWatchLater_C3_EndsOnce(t *testing.T) {
	for name, test := range map[string]struct {
		play func(p *peer, w *client.Watch)
		want error
	}{
		"event": {func(p *peer, _ *client.Watch) {
			p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
			p.notify(wire.EventDeleted, "/n")
		}, nil},
		"no node": {func(p *peer, _ *client.Watch) { p.reply(p.want(wire.OpGetData), wire.ErrNoNode, nil) }, client.ErrNoNode},
		"connection lost": {func(p *peer, _ *client.Watch) {
			p.want(wire.OpGetData)
			p.nc.Close()
		}, client.ErrSuspended},
		"closed on its way": {func(p *peer, w *client.Watch) {
			req := p.want(wire.OpGetData)
			w.Close()
			p.reply(req, 0, &wire.GetDataResponse{})
			if path := p.want(wire.OpRemoveWatches).path(); path != "/n" {
				t.Errorf("the watch on %s was taken off the server", path)
			}
		}, client.ErrWatchClosed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, _, p := start(t, client.Config{})
				w, err := session(t, c).WatchLater("/n")
				if err != nil {
					t.Fatal(err)
				}
				ran := make(chan struct{}, 2)
				w.AfterFunc(func() { ran <- struct{}{} })
				stop := w.AfterFunc(func() { t.Error("a function ran that was stopped") })
				if !stop() || stop() {
					t.Error("a function that has not run is stopped once")
				}
				test.play(p, w)
				ev, err := w.Wait(t.Context())
				if !errors.Is(err, test.want) || err == nil && ev.Type != client.EventDeleted {
					t.Errorf("the watch ended with %v, %v, want %v", ev, err, test.want)
				}
				synctest.Wait()
				if len(ran) != 1 {
					t.Errorf("the function ran %d times", len(ran))
				}
				if n := c.Stats().WatchesOpen; n != 0 {
					t.Errorf("%d watches are open", n)
				}
				if w.AfterFunc(func() { ran <- struct{}{} })() {
					t.Error("a function of a watch that has ended was stopped")
				}
				synctest.Wait()
				if len(ran) != 2 {
					t.Error("a function of a watch that has ended did not run")
				}
			})
		})
	}
}

// The siblings come with the create, and are none when the reply was lost and the node had to be found again.
func TestWithSiblings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		names := []string{"from before"}
		create := func() *going[client.Node] {
			return begin(func() (client.Node, error) {
				return session(t, c).Create(t.Context(), "/d/n-", nil, client.Protected(), client.Ephemeral(), client.Sequential(), client.WithSiblings(&names))
			})
		}
		done := create()
		made, list := p.want(wire.OpCreate2), p.want(wire.OpGetChildren2)
		if dir := list.path(); dir != "/d" {
			t.Errorf("listed %s", dir)
		}
		p.reply(made, 0, &wire.Create2Response{Path: made.path() + "0000000001", Stat: wire.Stat{EphemeralOwner: sessionID}})
		p.reply(list, 0, &wire.ChildrenResponse{Names: []string{"a", "b"}})
		if _, err := done.wait(t); err != nil || !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("siblings = %v, %v", names, err)
		}
		done = create()
		made = p.want(wire.OpCreate2)
		path := made.path() + "0000000002"
		p.want(wire.OpGetChildren2)
		p.nc.Close()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpSync), 0, &wire.PathRecord{Path: "/d"})
		p.reply(p.want(wire.OpGetChildren2), 0, &wire.ChildrenResponse{Names: []string{path[len("/d/"):]}})
		p.reply(p.want(wire.OpExists), 0, &wire.Stat{EphemeralOwner: sessionID})
		node, err := done.wait(t)
		if err != nil || node.Path != path || names != nil {
			t.Errorf("found %s, %v, with siblings %v", node.Path, err, names)
		}
	})
}
