package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// created reads a create request and returns the path asked for.
func (p *peer) created(req request) string {
	var m wire.CreateRequest
	m.Decode(req.body, req.Op)
	return m.Path
}

type created = *going[client.Node]

func beginCreate(ctx context.Context, s client.Ops, path string, o ...client.CreateOption) created {
	return begin(func() (client.Node, error) { return s.Create(ctx, path, []byte("d"), o...) })
}

// A protected create whose reply is lost finds its node behind a sync, on the same session.
func TestProtected_LostReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{Chroot: "/app"})
		g := beginCreate(t.Context(), session(t, c), "locks/l-", client.Protected(), client.Ephemeral(), client.Sequential())
		path := p.created(p.want(wire.OpCreate2))
		if !strings.HasPrefix(path, "/app/locks/_c_") || !strings.HasSuffix(path, "-l-") || len(path) != len("/app/locks/_c_-l-")+36 {
			t.Errorf("path = %s", path)
		}
		p.nc.Close()
		p = f.reattach(timeout)
		sync := p.want(wire.OpSync)
		list := p.want(wire.OpGetChildren2)
		p.reply(sync, 0, &wire.PathRecord{Path: "/app/locks"})
		name := strings.TrimPrefix(path, "/app/locks/")
		p.reply(list, 0, &wire.ChildrenResponse{Names: []string{"_c_other-l-0000000001", name + "0000000003", name + "0000000002"}})
		stat := &wire.Stat{Czxid: 99, EphemeralOwner: sessionID}
		p.reply(p.want(wire.OpExists), 0, stat)
		del := p.want(wire.OpDelete)
		if got := del.path(); got != path+"0000000003" {
			t.Errorf("deleted %s, want the later one of the two", got)
		}
		p.reply(del, 0, nil)
		n, err := g.wait(t)
		if err != nil || n.Path != "/locks/"+name+"0000000002" || n.Stat.Czxid != 99 || string(n.Data) != "d" {
			t.Errorf("create = %+v, %v", n, err)
		}
	})
}

func TestProtected_AbsentMeansAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		g := beginCreate(t.Context(), session(t, c), "/l-", client.Protected(), client.Ephemeral())
		path := p.created(p.want(wire.OpCreate2))
		p.nc.Close()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpSync), 0, &wire.PathRecord{Path: "/"})
		p.reply(p.want(wire.OpGetChildren2), 0, &wire.ChildrenResponse{Names: []string{strings.TrimPrefix(path, "/")}})
		p.reply(p.want(wire.OpExists), 0, &wire.Stat{EphemeralOwner: 5}) // a dying node of another session: none of ours
		req := p.want(wire.OpCreate2)
		if again := p.created(req); again != path {
			t.Errorf("second create of %s, want the same name", again)
		}
		p.reply(req, 0, &wire.Create2Response{Path: path})
		if n, err := g.wait(t); err != nil || n.Path != path {
			t.Errorf("create = %+v, %v", n, err)
		}
	})
}

// Who gives up leaves nothing behind: the node is looked for, behind the create, and deleted.
func TestProtected_GivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		g := beginCreate(ctx, s, "/d/l-", client.Protected(), client.Ephemeral(), client.Sequential())
		create := p.want(wire.OpCreate2)
		path := p.created(create)
		cancel()
		if _, err := g.wait(t); !errors.Is(err, context.Canceled) || !errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("create = %v", err)
		}
		if got := s.Pending(); len(got) != 1 || !strings.HasPrefix(path, got[0]) {
			t.Errorf("pending = %v, want the beginning of %s", got, path)
		}
		p.reply(create, 0, &wire.Create2Response{Path: path + "0000000007"})
		p.nc.Close()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpSync), 0, &wire.PathRecord{Path: "/d"})
		p.reply(p.want(wire.OpGetChildren2), 0, &wire.ChildrenResponse{Names: []string{strings.TrimPrefix(path, "/d/") + "0000000007", "x"}})
		del := p.want(wire.OpDelete)
		if got := del.path(); got != path+"0000000007" {
			t.Errorf("deleted %s", got)
		}
		p.reply(del, 0, nil)
		synctest.Wait()
		if got := s.Pending(); len(got) != 0 {
			t.Errorf("pending = %v", got)
		}
	})
}

// When the session ends, a protected ephemeral of a Client begins anew under another name.
func TestProtected_ClientGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		g := beginCreate(t.Context(), c, "/l-", client.Protected(), client.Ephemeral())
		first := p.created(p.want(wire.OpCreate2))
		p.nc.Close()
		p = f.next()
		p.hello()
		p.expired()
		p = f.next()
		p.hello()
		p.grant(sessionID+1, timeout)
		req := p.want(wire.OpCreate2)
		second := p.created(req)
		p.reply(req, 0, &wire.Create2Response{Path: second})
		if n, err := g.wait(t); err != nil || n.Path != second || first == second {
			t.Errorf("create = %+v, %v", n, err)
		}
	})
}

func TestDeleteGuaranteed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{Chroot: "/app"})
		s := session(t, c)
		del := func(ctx context.Context, path string) *going[struct{}] {
			return begin(func() (struct{}, error) { return struct{}{}, s.DeleteGuaranteed(ctx, path) })
		}
		answer := func(p *peer, path string, code wire.Code) {
			t.Helper()
			req := p.want(wire.OpDelete)
			if got := req.path(); got != path {
				t.Errorf("deleted %s, want %s", got, path)
			}
			p.reply(req, code, nil)
		}
		g := del(t.Context(), "/a")
		answer(p, "/app/a", wire.ErrNoNode)
		if _, err := g.wait(t); err != nil {
			t.Errorf("no such node: %v", err)
		}
		g = del(t.Context(), "/a")
		answer(p, "/app/a", wire.ErrNotEmpty)
		if _, err := g.wait(t); !errors.Is(err, client.ErrNotEmpty) || len(s.Pending()) != 0 {
			t.Errorf("refused: %v, pending %v", err, s.Pending())
		}
		g = del(t.Context(), "/a")
		p.want(wire.OpDelete)
		p.nc.Close()
		p = f.reattach(timeout)
		answer(p, "/app/a", 0)
		if _, err := g.wait(t); err != nil {
			t.Errorf("lost once: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.DeleteGuaranteed(ctx, "/b"); !errors.Is(err, client.ErrDeletePending) || !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		if got := s.Pending(); !slices.Equal(got, []string{"/b"}) || c.Stats().PendingDeletes != 1 {
			t.Errorf("pending = %v", got)
		}
		answer(p, "/app/b", 0)
		synctest.Wait()
		if got := s.Pending(); len(got) != 0 {
			t.Errorf("pending = %v", got)
		}
	})
}

func TestCreate_Parents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{Chroot: "/app"})
		g := beginCreate(t.Context(), c, "/a/x", client.Parents())
		step := func(op wire.Op, path string, code wire.Code) {
			t.Helper()
			req := p.want(op)
			got := p.created(req)
			if got != path {
				t.Errorf("created %s, want %s", got, path)
			}
			p.reply(req, code, bodyIf(code, &wire.Create2Response{Path: path}))
		}
		step(wire.OpCreate2, "/app/a/x", wire.ErrNoNode)
		step(wire.OpCreateContainer, "/app/a", wire.ErrNoNode)
		step(wire.OpCreateContainer, "/app", wire.ErrUnimplemented)
		step(wire.OpCreate2, "/app", 0)
		step(wire.OpCreateContainer, "/app/a", 0)
		step(wire.OpCreate2, "/app/a/x", wire.ErrNoNode) // an empty container was cleaned up
		step(wire.OpCreateContainer, "/app/a", wire.ErrNodeExists)
		step(wire.OpCreate2, "/app/a/x", 0)
		if n, err := g.wait(t); err != nil || n.Path != "/a/x" {
			t.Errorf("create = %+v, %v", n, err)
		}
	})
}
