package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// watchOn sets a watch by getData, and plays the server's part.
func watchOn(t testing.TB, s *client.Session, p *peer, path string) *client.Watch {
	t.Helper()
	g := begin(func() (*client.Watch, error) { _, w, err := s.GetW(t.Context(), path); return w, err })
	p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
	w, err := g.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func existsOn(t testing.TB, s *client.Session, p *peer, path string, code wire.Code) *client.Watch {
	t.Helper()
	g := begin(func() (*client.Watch, error) { _, _, w, err := s.ExistsW(t.Context(), path); return w, err })
	p.reply(p.want(wire.OpExists), code, bodyIf(code, &wire.Stat{}))
	w, err := g.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func childrenOn(t testing.TB, s *client.Session, p *peer, path string) *client.Watch {
	t.Helper()
	g := begin(func() (*client.Watch, error) { _, _, w, err := s.ChildrenW(t.Context(), path); return w, err })
	p.reply(p.want(wire.OpGetChildren2), 0, &wire.ChildrenResponse{})
	w, err := g.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func bodyIf(code wire.Code, body appender) appender {
	if code != 0 {
		return nil
	}
	return body
}

func streamOn(t testing.TB, s *client.Session, p *peer, path string, m client.WatchMode) *client.Stream {
	t.Helper()
	g := begin(func() (*client.Stream, error) { return s.AddWatch(t.Context(), path, m) })
	p.reply(p.want(wire.OpAddWatch), 0, nil)
	st, err := g.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func wantEvent(t testing.TB, w *client.Watch, typ client.EventType, path string) {
	t.Helper()
	ev, err := w.Wait(t.Context())
	if err != nil || ev.Type != typ || ev.Path != path {
		t.Errorf("watch ended with %v %v, %v; want %v %v", ev.Type, ev.Path, err, typ, path)
	}
}

func open(w *client.Watch) bool {
	select {
	case <-w.Done():
		return false
	default:
		return true
	}
}

// C3, R-3: an event ends all watches it is for, once, and no others.
func TestWatch_R3_Events(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{Chroot: "/app"})
		s := session(t, c)
		data, again := watchOn(t, s, p, "/x"), watchOn(t, s, p, "x")
		absent := existsOn(t, s, p, "/y", wire.ErrNoNode)
		kids := childrenOn(t, s, p, "/x")
		other := watchOn(t, s, p, "/xx")
		p.notify(wire.EventDataChanged, "/app/nobody/waits")
		p.notify(wire.EventDataChanged, "/app/x")
		p.notify(wire.EventCreated, "/app/y")
		wantEvent(t, data, client.EventDataChanged, "/x")
		wantEvent(t, again, client.EventDataChanged, "/x")
		wantEvent(t, absent, client.EventCreated, "/y")
		synctest.Wait()
		if !open(kids) || !open(other) {
			t.Error("an event ended a watch it is not for")
		}
		data = watchOn(t, s, p, "/x")
		p.notify(wire.EventDeleted, "/app/x")
		wantEvent(t, data, client.EventDeleted, "/x")
		wantEvent(t, kids, client.EventDeleted, "/x")
		wantEvent(t, kids, client.EventDeleted, "/x") // the outcome stays
		kids = childrenOn(t, s, p, "/x")
		p.notify(wire.EventChildrenChanged, "/app/x")
		wantEvent(t, kids, client.EventChildrenChanged, "/x")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := other.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait with a context that has ended: %v", err)
		}
		c.Close()
		if _, err := other.Wait(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("watch of a closed client: %v", err)
		}
		other.Close()
		if _, err := other.Wait(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a watch that had ended changed its outcome to %v", err)
		}
	})
}

func TestWatch_NoneOnAbsentNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{})
		s := session(t, c)
		get := begin(func() (*client.Watch, error) { _, w, err := s.GetW(t.Context(), "/x"); return w, err })
		p.reply(p.want(wire.OpGetData), wire.ErrNoNode, nil)
		if w, err := get.wait(t); w != nil || !errors.Is(err, client.ErrNoNode) {
			t.Errorf("GetW = %v, %v", w, err)
		}
		kids := begin(func() (*client.Watch, error) { _, _, w, err := s.ChildrenW(t.Context(), "/x"); return w, err })
		p.reply(p.want(wire.OpGetChildren2), wire.ErrNoNode, nil)
		if w, err := kids.wait(t); w != nil || !errors.Is(err, client.ErrNoNode) {
			t.Errorf("ChildrenW = %v, %v", w, err)
		}
		if n := c.Stats().WatchesOpen; n != 0 {
			t.Errorf("%d watches open", n)
		}
	})
}

// the last watch of a kind on a node takes it off the server; never one that somebody still needs.
func TestWatch_R5_Close(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{})
		s := session(t, c)
		nothing := func(when string) {
			t.Helper()
			if synctest.Wait(); len(p.in) != 0 {
				t.Fatalf("%s: %v was sent", when, (<-p.in).Op)
			}
		}
		removal := func(path string, typ wire.WatcherType, code wire.Code) {
			t.Helper()
			req := p.want(wire.OpRemoveWatches)
			var m wire.RemoveWatchesRequest
			if m.Decode(req.body); m.Path != path || m.Type != typ {
				t.Errorf("removal = %+v, want %s, %d", m, path, typ)
			}
			p.reply(req, code, nil)
		}
		a, b := watchOn(t, s, p, "/x"), existsOn(t, s, p, "/x", 0)
		kids := childrenOn(t, s, p, "/x")
		a.Close()
		a.Close()
		nothing("one of two closed")
		if _, err := a.Wait(t.Context()); !errors.Is(err, client.ErrWatchClosed) {
			t.Errorf("closed watch: %v", err)
		}
		b.Close()
		removal("/x", wire.WatcherData, 0)
		kids.Close()
		removal("/x", wire.WatcherChildren, wire.ErrNoWatcher)

		a = watchOn(t, s, p, "/x")
		p.notify(wire.EventDataChanged, "/x")
		wantEvent(t, a, client.EventDataChanged, "/x")
		a.Close()
		nothing("closed behind its event")

		a = watchOn(t, s, p, "/x")
		coming := begin(func() (*client.Watch, error) { _, w, err := s.GetW(t.Context(), "/x"); return w, err })
		req := p.want(wire.OpGetData)
		a.Close()
		nothing("closed while another is on its way")
		p.reply(req, wire.ErrNoNode, nil)
		coming.wait(t)
		removal("/x", wire.WatcherData, 0)

		ctx, cancel := context.WithCancel(t.Context())
		given := begin(func() (*client.Watch, error) { _, w, err := s.GetW(ctx, "/x"); return w, err })
		req = p.want(wire.OpGetData)
		cancel()
		given.wait(t)
		p.reply(req, 0, &wire.GetDataResponse{})
		removal("/x", wire.WatcherData, 0)

		st := streamOn(t, s, p, "/x", client.PersistentRecursive)
		a = watchOn(t, s, p, "/x")
		a.Close()
		nothing("a lasting watch stands on the node, too")
		st.Close()
		removal("/x", wire.WatcherAny, 0) // both
		streamOn(t, s, p, "/x", client.PersistentRecursive).Close()
		removal("/x", wire.WatcherRecursive, 0)
		if n := c.Stats().WatchesOpen; n != 0 {
			t.Errorf("%d watches open", n)
		}
	})
}

// Old servers do not know the types of lasting watches.
func TestStream_CloseOnOldServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{})
		st := streamOn(t, session(t, c), p, "/x", client.Persistent)
		st.Close()
		var m wire.RemoveWatchesRequest
		req := p.want(wire.OpRemoveWatches)
		m.Decode(req.body)
		p.reply(req, wire.ErrMarshalling, nil)
		if m.Type != wire.WatcherPersistent {
			t.Errorf("type = %d", m.Type)
		}
		req = p.want(wire.OpRemoveWatches)
		m.Decode(req.body)
		p.reply(req, 0, nil)
		if m.Type != wire.WatcherAny || m.Path != "/x" {
			t.Errorf("second removal = %+v", m)
		}
	})
}

func TestWatch_ClosedWhileSuspended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		early, late := watchOn(t, s, p, "/early"), watchOn(t, s, p, "/late")
		kept := existsOn(t, s, p, "/kept", wire.ErrNoNode)
		kids := childrenOn(t, s, p, "/kids")
		p.nc.Close()
		p = f.next()
		p.hello()
		early.Close()
		p.grant(sessionID, timeout)
		set := p.want(wire.OpSetWatches)
		late.Close()
		var m wire.SetWatchesRequest
		m.Decode(set.body, wire.OpSetWatches)
		if fmt.Sprint(m.Data, m.Exist, m.Child) != "[/late] [/kept] [/kids]" {
			t.Errorf("watches set again = %+v", m)
		}
		p.notify(wire.EventCreated, "/kept")
		p.reply(set, 0, nil)
		if path := p.want(wire.OpRemoveWatches).path(); path != "/late" {
			t.Errorf("removed %s", path)
		}
		wantEvent(t, kept, client.EventCreated, "/kept")
		if !open(kids) {
			t.Error("a watch did not survive the reconnect")
		}
	})
}

func TestStream_R6(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{Chroot: "/app"})
		s := session(t, c)
		node, tree := streamOn(t, s, p, "/x", client.Persistent), streamOn(t, s, p, "/", client.PersistentRecursive)
		want := func(st *client.Stream, typ client.EventType, path string) {
			t.Helper()
			ev, err := st.Next(t.Context())
			if err != nil || ev.Type != typ || ev.Path != path {
				t.Errorf("next = %v %v, %v; want %v %v", ev.Type, ev.Path, err, typ, path)
			}
		}
		p.notify(wire.EventCreated, "/app/x/y/z")
		p.notify(wire.EventChildrenChanged, "/app/x")
		p.notify(wire.EventDataChanged, "/app/x")
		p.notify(wire.EventDataChanged, "/apple")
		p.notify(wire.EventDeleted, "/app")
		want(tree, client.EventCreated, "/x/y/z")
		want(tree, client.EventDataChanged, "/x")
		want(tree, client.EventDeleted, "/")
		want(node, client.EventChildrenChanged, "/x")
		want(node, client.EventDataChanged, "/x")

		p.nc.Close()
		p = f.reattach(timeout)
		set := p.want(wire.OpSetWatches2)
		var m wire.SetWatchesRequest
		m.Decode(set.body, wire.OpSetWatches2)
		if fmt.Sprint(m.Persistent, m.Recursive) != "[/app/x] [/app]" {
			t.Errorf("watches set again = %+v", m)
		}
		p.reply(set, 0, nil)
		want(node, client.EventResync, "/x")
		want(tree, client.EventResync, "/")

		for i := range 5000 {
			p.notify(wire.EventDataChanged, fmt.Sprint("/app/n", i))
		}
		p.notify(wire.EventDeleted, "/app/x")
		want(node, client.EventDeleted, "/x")
		want(tree, client.EventResync, "/")
		want(tree, client.EventDataChanged, "/n4097")

		c.Close()
		if _, err := node.Next(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("stream of a closed client: %v", err)
		}
	})
}

// A request that sets watches again stays below the frame that servers take; so there are many of them.
func TestReconnect_WatchesInPortions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 10_000
		if raceEnabled {
			n = 4000
		}
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		path := func(i int) string { return fmt.Sprintf("/a/path/of/some/length/in/a/large/tree/node-%010d", i) }
		watches := make([]*client.Watch, n)
		for i := range watches {
			watches[i] = existsOn(t, s, p, path(i), wire.ErrNoNode)
		}
		p.nc.Close()
		p = f.reattach(timeout)
		left := make(map[string]bool)
		for i := range watches {
			left[path(i)] = true
		}
		for portions := 0; len(left) > 0; portions++ {
			set := p.want(wire.OpSetWatches)
			if size := set.body.Len(); size > 128<<10 {
				t.Errorf("portion of %d bytes", size)
			}
			var m wire.SetWatchesRequest
			m.Decode(set.body, wire.OpSetWatches)
			for _, path := range m.Exist {
				delete(left, path)
			}
			p.notify(wire.EventCreated, m.Exist[0])
			p.reply(set, 0, nil)
		}
		synctest.Wait()
		if c.State() != client.Connected {
			t.Errorf("state = %v", c.State())
		}
		if open := c.Stats().WatchesOpen; open >= n || open < n-20 {
			t.Errorf("%d watches open", open)
		}
	})
}
