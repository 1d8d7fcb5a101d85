package interop_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
)

// ourClient runs the checks of docent's client. (Its own tests, a longer list, run against the same servers in the package
// client.)
func ourClient(t *testing.T, at target) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	proxy := peers.NewProxy(t, at.addr)
	o := &our{t: t, ctx: ctx, root: "/interop-docent-" + rand.Text()[:12], report: report{client: "docent"}}
	o.other = o.dial(client.Config{Servers: []string{at.other}})
	o.must(o.other.Create(ctx, o.root, nil))
	o.c = o.dial(client.Config{Servers: []string{proxy.Addr}, Chroot: o.root, Auth: []client.Auth{{Scheme: "digest", Data: []byte("u:p")}}})
	o.must(nil, o.c.Sync(ctx, "/"))
	var err error
	o.s, err = o.c.Session(ctx)
	o.must(nil, err)
	o.nodes()
	o.kinds()
	o.acls()
	o.transactions()
	o.watches()
	o.reattach(at, proxy)
	o.expiry(at)
	o.done(t, at)
}

type our struct {
	report
	t     *testing.T
	ctx   context.Context
	root  string
	c     *client.Client // its paths begin at root
	s     *client.Session
	other *client.Client // without chroot, through the other server
}

func (o *our) dial(cfg client.Config) *client.Client {
	o.t.Helper()
	cfg.SessionTimeout = sessionTimeout
	c, err := client.Dial(o.ctx, cfg)
	o.must(nil, err)
	o.t.Cleanup(func() { c.Close() })
	return c
}

// must is for the steps between checks.
func (o *our) must(_ any, err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *our) eq(name string, got, want any) {
	o.t.Helper()
	o.is(o.t, name, got, want)
}

func (o *our) fails(name string, err, want error) {
	o.t.Helper()
	o.is(o.t, name, errors.Is(err, want), true)
}

func statOf(st client.Stat) string {
	return fmt.Sprint(st.Version, st.Cversion, st.Aversion, st.DataLength, st.NumChildren)
}

func (o *our) nodes() {
	c, ctx := o.c, o.ctx
	n, err := c.Create(ctx, "/a", []byte("one"))
	o.must(n, err)
	o.eq("create: path and Stat", n.Path+" "+statOf(n.Stat), "/a 0 0 0 3 0")
	o.eq("create: zxids", n.Stat.Mzxid == n.Stat.Czxid && n.Stat.Pzxid == n.Stat.Czxid && n.Stat.Czxid > 0, true)
	got, err := c.Get(ctx, "/a")
	o.must(nil, err)
	o.eq("get", string(got.Data)+" "+fmt.Sprint(got.Stat), "one "+fmt.Sprint(n.Stat))
	_, ok, err := c.Exists(ctx, "/none")
	o.eq("exists: no node", fmt.Sprint(ok, err), "false <nil>")
	_, err = c.Create(ctx, "/a", nil)
	o.fails("create: exists", err, client.ErrNodeExists)
	_, err = c.Create(ctx, "/gap/a", nil)
	o.fails("create: no parent", err, client.ErrNoNode)
	_, err = c.Get(ctx, "/none")
	o.fails("get: no node", err, client.ErrNoNode)
	st, err := c.Set(ctx, "/a", []byte("second"), 0)
	o.must(nil, err)
	o.eq("set: the Stat", statOf(st), "1 0 0 6 0")
	_, err = c.Set(ctx, "/a", nil, 0)
	o.fails("set: a wrong version", err, client.ErrBadVersion)
	o.must(c.Create(ctx, "/a/kid", nil))
	names, st, err := c.Children(ctx, "/a")
	o.must(nil, err)
	o.eq("children: names and Stat", fmt.Sprint(names, statOf(st)), "[kid]1 1 0 6 1")
	o.fails("delete: not empty", c.Delete(ctx, "/a", -1), client.ErrNotEmpty)
	o.fails("delete: a wrong version", c.Delete(ctx, "/a/kid", 3), client.ErrBadVersion)
	o.must(nil, c.Delete(ctx, "/a/kid", 0))
	o.fails("delete: no node", c.Delete(ctx, "/a/kid", -1), client.ErrNoNode)
	count, err := c.CountDescendants(ctx, "/")
	o.must(nil, err)
	o.eq("count of descendants", count >= 1, true)
	o.must(c.Set(ctx, "/a", nil, -1))
	got, err = c.Get(ctx, "/a")
	o.must(nil, err)
	o.eq("null is not empty", got.Data == nil, true)
	o.must(nil, o.other.Sync(ctx, o.root))
	got, err = o.other.Get(ctx, o.root+"/a")
	o.must(nil, err)
	o.eq("sync: the other server has it", got.Stat.Version, 2)
}

func (o *our) kinds() {
	s, ctx := o.s, o.ctx
	o.must(s.Create(ctx, "/q", nil))
	n, err := s.Create(ctx, "/q/s-", nil, client.Sequential())
	o.must(nil, err)
	o.eq("sequential", n.Path, "/q/s-0000000000")
	n, err = s.Create(ctx, "/q/p-", nil, client.Protected(), client.Ephemeral(), client.Sequential())
	o.must(nil, err)
	o.eq("protected: its name", regexp.MustCompile(`^/q/_c_[0-9a-f-]{36}-p-0000000001$`).MatchString(n.Path), true)
	o.eq("ephemeral: its owner", n.Stat.EphemeralOwner, s.ID())
	_, err = s.Create(ctx, n.Path+"/kid", nil)
	o.fails("ephemeral: no children", err, client.ErrNoChildrenEphemeral)
	mine, err := s.Ephemerals(ctx, "/q")
	o.must(nil, err)
	o.eq("ephemerals of the session", mine, n.Path)
	n, err = s.Create(ctx, "/box/deep/er", nil, client.Container(), client.Parents())
	o.must(nil, err)
	o.eq("container: with its parents", fmt.Sprint(n.Path, n.Stat.EphemeralOwner), "/box/deep/er0")
}

func (o *our) acls() {
	c, ctx := o.c, o.ctx
	o.must(c.Create(ctx, "/acl", nil))
	st, err := c.SetACL(ctx, "/acl", client.WorldACL(client.PermRead|client.PermAdmin), 0)
	o.must(nil, err)
	o.eq("setACL: the Stat", statOf(st), "0 0 1 0 0")
	acl, _, err := c.GetACL(ctx, "/acl")
	o.must(nil, err)
	o.eq("getACL: read back", acl, client.WorldACL(client.PermRead|client.PermAdmin))
	_, err = c.Set(ctx, "/acl", nil, -1)
	o.fails("set: not allowed", err, client.ErrNoAuth)
	o.must(c.Create(ctx, "/mine", []byte("secret"), client.WithACL(client.CreatorACL(client.PermAll))))
	acl, _, err = c.GetACL(ctx, "/mine")
	o.must(nil, err)
	o.eq("auth: stored as the digest", acl, client.DigestACL(client.PermAll, "u", "p"))
	ids, err := c.WhoAmI(ctx)
	o.must(nil, err)
	o.eq("whoAmI", slices.Contains(ids, client.ID{Scheme: "digest", Name: "u"}), true)
	o.must(nil, o.other.Sync(ctx, o.root))
	_, err = o.other.Get(ctx, o.root+"/mine")
	o.fails("auth: a stranger may not read", err, client.ErrNoAuth)
	found, err := c.GetAll(ctx, "/mine", "/none")
	o.must(nil, err)
	o.eq("multiRead", string(found[0].Node.Data)+fmt.Sprint(errors.Is(found[1].Err, client.ErrNoNode)), "secrettrue")
}

func (o *our) transactions() {
	c, ctx := o.c, o.ctx
	r, err := c.Txn().Create("/m", nil).Create("/m/s-", nil, client.Sequential()).Set("/m", []byte("x"), 0).Check("/m", 1).
		Delete("/m/s-0000000000", 0).Commit(ctx)
	o.must(nil, err)
	o.eq("multi: results", r[0].Path+r[1].Path+fmt.Sprint(r[2].Stat.Version), "/m/m/s-00000000001")
	st, _, err := c.Exists(ctx, "/m")
	o.must(nil, err)
	o.eq("multi: one zxid", st.Mzxid == st.Czxid && st.Pzxid == st.Czxid, true)
	_, err = c.Txn().Create("/m/kid", nil).Check("/m", 7).Delete("/m", -1).Commit(ctx)
	var failed *client.TxnError
	o.eq("multi: who is to blame", errors.As(err, &failed) && failed.Index == 1 && errors.Is(err, client.ErrBadVersion), true)
	after, _, err := c.Exists(ctx, "/m")
	o.must(nil, err)
	o.eq("multi: nothing happened", after, st)
	b := o.s.Batch()
	var sets []*client.Future[client.Stat]
	for i := range int32(50) {
		sets = append(sets, b.Set("/m", nil, 1+i))
	}
	read := b.Get("/m")
	o.must(nil, b.Do(ctx))
	last, err := sets[49].Get()
	o.must(nil, err)
	now, err := read.Get()
	o.must(nil, err)
	o.eq("batch: fifty writes and a read, in order", fmt.Sprint(last.Version, now.Node.Stat.Version), "51 51")
}

func (o *our) event(name string, w *client.Watch, want string) {
	o.t.Helper()
	e, err := w.Wait(o.ctx)
	o.must(nil, err)
	o.eq(name, fmt.Sprint(e.Type, " ", e.Path), want)
}

func (o *our) watches() {
	s, ctx := o.s, o.ctx
	o.must(s.Create(ctx, "/w", nil))
	o.must(nil, o.other.Sync(ctx, o.root))
	w := o.root + "/w"
	_, data, err := s.GetW(ctx, "/w")
	o.must(nil, err)
	_, _, list, err := s.ChildrenW(ctx, "/w")
	o.must(nil, err)
	_, _, later, err := s.ExistsW(ctx, "/w/kid")
	o.must(nil, err)
	o.must(o.other.Set(ctx, w, nil, -1))
	o.must(o.other.Create(ctx, w+"/kid", nil))
	o.event("watch: data", data, fmt.Sprint(client.EventDataChanged, " /w"))
	o.event("watch: children", list, fmt.Sprint(client.EventChildrenChanged, " /w"))
	o.event("watch: created", later, fmt.Sprint(client.EventCreated, " /w/kid"))
	_, gone, err := s.GetW(ctx, "/w/kid")
	o.must(nil, err)
	o.must(nil, o.other.Delete(ctx, w+"/kid", -1))
	o.event("watch: deleted", gone, fmt.Sprint(client.EventDeleted, " /w/kid"))
	stream, err := s.AddWatch(ctx, "/w", client.PersistentRecursive)
	o.must(nil, err)
	o.must(o.other.Create(ctx, w+"/deep", nil))
	o.must(o.other.Create(ctx, w+"/deep/er", nil))
	var seen []string
	for range 2 {
		e, err := stream.Next(ctx)
		o.must(nil, err)
		seen = append(seen, e.Path)
	}
	o.eq("watch: recursive", seen, "/w/deep | /w/deep/er")
	o.must(nil, stream.Close())
	o.must(nil, s.Sync(ctx, "/"))
}

// reattach loses the connection and comes back at the other server, with the same session.
func (o *our) reattach(at target, proxy *peers.Proxy) {
	s, ctx := o.s, o.ctx
	o.must(s.Create(ctx, "/kept", nil, client.Ephemeral()))
	o.must(s.Create(ctx, "/changed", nil))
	o.must(nil, o.other.Sync(ctx, o.root))
	_, changed, err := s.GetW(ctx, "/changed")
	o.must(nil, err)
	_, _, coming, err := s.ExistsW(ctx, "/coming")
	o.must(nil, err)
	proxy.Cut("")
	o.must(o.other.Set(ctx, o.root+"/changed", nil, -1))
	o.must(o.other.Create(ctx, o.root+"/coming", nil))
	proxy.Lead(at.other)
	o.event("re-attach: what changed meanwhile", changed, fmt.Sprint(client.EventDataChanged, " /changed"))
	o.event("re-attach: what was created meanwhile", coming, fmt.Sprint(client.EventCreated, " /coming"))
	st, _, err := s.Exists(ctx, "/kept")
	o.must(nil, err)
	o.eq("re-attach: the same session and its ephemeral", st.EphemeralOwner, s.ID())
	_, err = s.Get(ctx, "/mine")
	o.eq("re-attach: authenticated again", err, nil)
}

// expiry: a session that somebody else ends, and one that is closed.
func (o *our) expiry(at target) {
	_, _, kept, err := o.session(o.other).ExistsW(o.ctx, o.root+"/kept")
	o.must(nil, err)
	ticket := o.s.Ticket()
	peers.EndSession(o.t, at.other, ticket.SessionID, ticket.Password)
	o.event("session: its end deletes the ephemeral", kept, fmt.Sprint(client.EventDeleted, " ", o.root, "/kept"))
	select {
	case <-o.s.Context().Done():
	case <-o.ctx.Done():
	}
	o.fails("session: it is told", context.Cause(o.s.Context()), client.ErrSessionExpired)
	again := o.session(o.c)
	o.eq("session: the client goes on with a new one", again.ID() != o.s.ID(), true)
	_, err = again.Create(o.ctx, "/kept", nil, client.Ephemeral())
	o.eq("session: which takes the name again", err, nil)
	o.must(nil, o.other.Sync(o.ctx, o.root))
	_, _, kept, err = o.session(o.other).ExistsW(o.ctx, o.root+"/kept")
	o.must(nil, err)
	o.must(nil, o.c.Close())
	o.event("close: the ephemeral goes at once", kept, fmt.Sprint(client.EventDeleted, " ", o.root, "/kept"))
}

func (o *our) session(c *client.Client) *client.Session {
	o.t.Helper()
	s, err := c.Session(o.ctx)
	o.must(nil, err)
	return s
}
