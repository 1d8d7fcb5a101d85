package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// The whole suite passes against Apache ZooKeeper 3.8 and against docent, one server and three.

func TestSuite_Zookeeper(t *testing.T) {
	t.Parallel()
	suite(t, []string{peers.Zookeeper(t)})
}

// a server in this process is enough for all of it.
func TestSuite_Docent(t *testing.T) {
	t.Parallel()
	suite(t, []string{servertest.New(t).Addr()})
}

func TestSuite_DocentCluster(t *testing.T) {
	t.Parallel()
	suite(t, servertest.NewCluster(t, 3).Addrs())
}

// env is one ensemble; every test has a chroot of its own.
type env struct {
	servers []string
}

// proxy stands before the first server, for cutting the test's own connections.
func (e *env) proxy(t *testing.T) *peers.Proxy { return peers.NewProxy(t, e.servers[0]) }

func suite(t *testing.T, servers []string) {
	e := &env{servers: servers}
	alone := map[string]bool{"Close": true, "Cancel": true} // they count all watches of a server
	for name, test := range map[string]func(*testing.T, *env){
		"Create": testCreate, "Data": testData, "Children": testChildren, "ACL": testACL, "Txn": testTxn, "Batch": testBatch,
		"Watches": testWatches, "Streams": testStreams, "WatchesSurvive": testWatchesSurvive, "Sessions": testSessions,
		"Errors": testErrors, "Sub": testSub, "Many": testMany, "Large": testLarge, "Queries": testQueries, "Close": testCloseCycles, "Cancel": testCancelCycles,
	} {
		t.Run(name, func(t *testing.T) {
			if !alone[name] {
				t.Parallel() // behind those that are alone
			}
			test(t, e)
		})
	}
}

// dial connects a client with a chroot of the test's own.
func (e *env) dial(t *testing.T, set ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{Servers: e.servers, Chroot: "/suite/" + strings.ReplaceAll(t.Name(), "/", "-"), SessionTimeout: 6 * time.Second}
	for _, f := range set {
		f(&cfg)
	}
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Create(t.Context(), "/", nil, client.Parents()); err != nil && !errors.Is(err, client.ErrNodeExists) {
		t.Fatal(err)
	}
	return c
}

// must returns the value of a call that must succeed.
func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	var op *client.OpError
	if !errors.Is(err, want) || !errors.As(err, &op) && !errors.As(err, new(*client.TxnError)) {
		t.Errorf("%s: error = %v, want %v in an OpError", what, err, want)
	}
	if op != nil && op.MaybeApplied {
		t.Errorf("%s: error = %v, which a server has answered", what, err)
	}
}

// every kind of node.
func testCreate(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	s := session(t, c)
	plain := must(c.Create(ctx, "plain", []byte("v")))(t)
	if plain.Path != "/plain" || plain.Stat.Czxid == 0 || plain.Stat.Czxid != plain.Stat.Mzxid || plain.Stat.EphemeralOwner != 0 {
		t.Errorf("created %+v", plain)
	}
	eph := must(s.Create(ctx, "eph", nil, client.Ephemeral()))(t)
	if eph.Stat.EphemeralOwner != s.ID() {
		t.Errorf("owner = %#x, want %#x", eph.Stat.EphemeralOwner, s.ID())
	}
	one := must(c.Create(ctx, "plain/n-", nil, client.Sequential()))(t)
	two := must(c.Create(ctx, "plain/", nil, client.Sequential()))(t)
	if one.Path != "/plain/n-0000000000" || two.Path != "/plain/0000000001" {
		t.Errorf("sequential nodes %s, %s", one.Path, two.Path)
	}
	box := must(c.Create(ctx, "box", []byte("c"), client.Container()))(t)
	if got := must(c.Get(ctx, box.Path))(t); string(got.Data) != "c" || got.Stat.EphemeralOwner != 0 {
		t.Errorf("container = %+v", got)
	}
	deep := must(c.Create(ctx, "a/b/c/d", nil, client.Parents(), client.Ephemeral()))(t)
	if deep.Path != "/a/b/c/d" {
		t.Errorf("path = %s", deep.Path)
	}
	prot := must(s.Create(ctx, "a/lock-", nil, client.Protected(), client.Ephemeral(), client.Sequential()))(t)
	if !strings.HasPrefix(prot.Path, "/a/_c_") || !strings.HasSuffix(prot.Path, "-lock-0000000001") {
		t.Errorf("path = %s", prot.Path)
	}
	if _, err := c.Create(ctx, "ttl", nil, client.TTL(time.Minute)); err != nil && !errors.Is(err, client.ErrUnimplemented) {
		t.Error(err) // Apache has it switched off, and the connection stays
	}
	_, err := c.Create(ctx, "plain", nil)
	wantErr(t, "twice", err, client.ErrNodeExists)
	_, err = c.Create(ctx, "no/parent", nil)
	wantErr(t, "no parent", err, client.ErrNoNode)
	_, err = c.Create(ctx, "eph/child", nil)
	wantErr(t, "below an ephemeral", err, client.ErrNoChildrenEphemeral)
}

func testData(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	must(c.Create(ctx, "x", []byte{}))(t)
	if n := must(c.Get(ctx, "x"))(t); n.Data == nil || len(n.Data) != 0 || n.Path != "/x" {
		t.Errorf("empty data came back as %+v", n)
	}
	st := must(c.Set(ctx, "/x", nil, 0))(t)
	if n := must(c.Get(ctx, "x", client.Fresh()))(t); n.Data != nil || n.Stat != st || st.Version != 1 {
		t.Errorf("no data came back as %+v, stat %+v", n, st)
	}
	_, err := c.Set(ctx, "x", []byte("v"), 0)
	wantErr(t, "old version", err, client.ErrBadVersion)
	must(c.Set(ctx, "x", []byte("v"), -1))(t)
	st, ok, err := c.Exists(ctx, "x")
	if err != nil || !ok || st.Version != 2 || st.DataLength != 1 {
		t.Errorf("exists = %+v, %v, %v", st, ok, err)
	}
	if _, ok, err := c.Exists(ctx, "y", client.Fresh()); ok || err != nil {
		t.Errorf("exists of an absent node = %v, %v", ok, err)
	}
	_, err = c.Get(ctx, "y")
	wantErr(t, "absent", err, client.ErrNoNode)
	wantErr(t, "old version", c.Delete(ctx, "x", 1), client.ErrBadVersion)
	if err := c.Delete(ctx, "x", 2); err != nil {
		t.Error(err)
	}
	wantErr(t, "deleted twice", c.Delete(ctx, "x", -1), client.ErrNoNode)
	if err := c.Sync(ctx, "/nowhere"); err != nil {
		t.Error(err)
	}
}

func testChildren(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	for _, name := range []string{"b", "a", "ü"} {
		must(c.Create(ctx, "dir/"+name, nil, client.Parents()))(t)
	}
	names, st, err := c.Children(ctx, "dir")
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"a", "b", "ü"}) || st.NumChildren != 3 {
		t.Errorf("children = %v, %+v, %v", names, st, err)
	}
	names, _, err = c.Children(ctx, "dir/a")
	if err != nil || len(names) != 0 {
		t.Errorf("children of a leaf = %v, %v", names, err)
	}
	wantErr(t, "not empty", c.Delete(ctx, "dir", -1), client.ErrNotEmpty)
	if names, _, err := c.Children(ctx, "/"); err != nil || !slices.Equal(names, []string{"dir"}) {
		t.Errorf("children of the chroot = %v, %v", names, err)
	}
}

func testACL(t *testing.T, e *env) {
	proxy := e.proxy(t)
	ctx := t.Context()
	owner := e.dial(t, func(cfg *client.Config) {
		cfg.Servers = []string{proxy.Addr}
		cfg.Auth = []client.Auth{{Scheme: "digest", Data: []byte("bob:pw")}}
		cfg.ACL = func(path string) []client.ACL {
			if path == "/secret" {
				return client.CreatorACL(client.PermAll)
			}
			return client.WorldACL(client.PermAll)
		}
	})
	stranger := e.dial(t)
	must(owner.Create(ctx, "secret", []byte("s")))(t)
	_, err := stranger.Get(ctx, "secret", client.Fresh())
	wantErr(t, "stranger reads", err, client.ErrNoAuth)
	acl, st, err := owner.GetACL(ctx, "secret")
	if want := client.DigestACL(client.PermAll, "bob", "pw"); err != nil || !slices.Equal(acl, want) || st.Aversion != 0 {
		t.Errorf("acl = %v, %v, want %v", acl, err, want)
	}
	proxy.Cut(e.servers[0]) // identities are given again
	if n, err := owner.Get(ctx, "secret"); err != nil || string(n.Data) != "s" {
		t.Errorf("after a reconnect: %v, %v", n, err)
	}
	if st, err := owner.SetACL(ctx, "secret", client.WorldACL(client.PermRead), 0); err != nil || st.Aversion != 1 {
		t.Errorf("setACL = %+v, %v", st, err)
	}
	if n, err := stranger.Get(ctx, "secret", client.Fresh()); err != nil || string(n.Data) != "s" {
		t.Errorf("stranger may read now: %v, %v", n, err)
	}
	_, err = stranger.Create(ctx, "bad", nil, client.WithACL([]client.ACL{{Perms: 1, Scheme: "nonsense", ID: "x"}}))
	wantErr(t, "unknown scheme", err, client.ErrInvalidACL)
}

// what came to the protocol after 3.5.
func testQueries(t *testing.T, e *env) {
	ctx := t.Context()
	c := e.dial(t, func(cfg *client.Config) { cfg.Auth = []client.Auth{{Scheme: "digest", Data: []byte("bob:pw")}} })
	for _, path := range []string{"a", "a/b", "a/b/c", "d"} {
		must(c.Create(ctx, path, []byte(path)))(t)
	}
	if n := must(c.CountDescendants(ctx, "/", client.Fresh()))(t); n != 4 {
		t.Errorf("%d descendants, want 4", n)
	}
	_, err := c.CountDescendants(ctx, "nowhere")
	wantErr(t, "descendants of an absent node", err, client.ErrNoNode)

	found := must(c.GetAll(ctx, "a/b", "nowhere", "d"))(t)
	if len(found) != 3 || found[0].Node.Path != "/a/b" || string(found[2].Node.Data) != "d" || found[0].Node.Stat.NumChildren != 1 || found[2].Err != nil {
		t.Errorf("found %+v", found)
	}
	wantErr(t, "the absent one of many", found[1].Err, client.ErrNoNode)
	_, err = c.GetAll(ctx, "d", "a//b")
	wantErr(t, "bad path", err, client.ErrBadArguments)
	if found, err := session(t, c).GetAll(ctx); err != nil || len(found) != 0 {
		t.Errorf("no paths: %v, %v", found, err)
	}

	s := session(t, c)
	must(s.Create(ctx, "a/one", nil, client.Ephemeral()))(t)
	must(s.Create(ctx, "ab", nil, client.Ephemeral()))(t)
	must(session(t, c.Sub("/")).Create(ctx, "d/x", nil, client.Ephemeral()))(t)
	for prefix, want := range map[string]int{"": 3, "/": 3, "/a": 2, "a/": 1, "/x": 0} {
		if names, err := s.Ephemerals(ctx, prefix); err != nil || len(names) != want {
			t.Errorf("ephemerals below %q = %v, %v, want %d", prefix, names, err, want)
		}
	}
	if names, err := session(t, c.Sub("a")).Ephemerals(ctx, ""); err != nil || !slices.Equal(names, []string{"/one"}) {
		t.Errorf("ephemerals of a view = %v, %v", names, err)
	}
	if ids := must(c.WhoAmI(ctx))(t); !slices.Contains(ids, client.ID{Scheme: "digest", Name: "bob"}) {
		t.Errorf("we are %v", ids)
	}
	if _, err := s.Reconfigure(ctx, client.Members{Leaving: "99", IfConfig: -1}); err == nil {
		t.Error("a member that is not there has left")
	}
}

func testTxn(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	must(c.Create(ctx, "a", []byte("0")))(t)
	_, err := c.Txn().Check("a", 0).Create("b/", nil).Commit(ctx)
	wantErr(t, "bad path", err, client.ErrBadArguments)
	results, err := c.Txn().Check("a", 0).Create("b", nil).Create("s-", []byte("x"), client.Sequential()).Set("a", []byte("1"), 0).
		Create("b/box", nil, client.Container()).Delete("b/box", -1).Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 6 || results[1].Path != "/b" || results[2].Path != "/s-0000000002" || results[3].Stat.Version != 1 || results[4].Path != "/b/box" {
		t.Errorf("results = %+v", results)
	}
	_, err = c.Txn().Set("a", nil, -1).Check("a", 0).Delete("b", -1).Commit(ctx)
	var txn *client.TxnError
	if wantErr(t, "refused", err, client.ErrBadVersion); !errors.As(err, &txn) || txn.Index != 1 || txn.Path != "/a" || txn.Errs[0] != nil || txn.Errs[2] == nil {
		t.Errorf("error = %#v", txn)
	}
	if n := must(c.Get(ctx, "a"))(t); string(n.Data) != "1" {
		t.Errorf("a refused transaction left %q", n.Data)
	}
	if results, err := session(t, c).Txn().Commit(ctx); err != nil || len(results) != 0 {
		t.Errorf("empty transaction: %v, %v", results, err)
	}
}

func testBatch(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	s := session(t, c)
	b := s.Batch()
	create := b.Create("x-", []byte("v"), client.Sequential())
	missing := b.Get("nowhere")
	set := b.Set("/", []byte("d"), -1)
	get, gone, kids := b.GetW("/"), b.ExistsW("gone"), b.ChildrenW("/")
	bad := b.Get("a//b")
	del, sync := b.Delete("nowhere", -1), b.Sync("/")
	if err := b.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if n := must(create.Get())(t); n.Path != "/x-0000000000" || n.Stat.Czxid == 0 {
		t.Errorf("create = %+v", n)
	}
	_, err := missing.Get()
	wantErr(t, "get", err, client.ErrNoNode)
	_, err = del.Get()
	wantErr(t, "delete", err, client.ErrNoNode)
	_, err = bad.Get()
	wantErr(t, "bad path", err, client.ErrBadArguments)
	must(set.Get())(t)
	must(sync.Get())(t)
	r, x, l := must(get.Get())(t), must(gone.Get())(t), must(kids.Get())(t)
	if string(r.Node.Data) != "d" || x.OK || len(l.Names) != 1 {
		t.Errorf("reads = %+v, %+v, %+v", r, x, l)
	}
	must(c.Set(ctx, "/", nil, -1))(t)
	must(c.Create(ctx, "gone", nil))(t)
	wantEvent(t, r.Watch, client.EventDataChanged, "/")
	wantEvent(t, x.Watch, client.EventCreated, "/gone")
	wantEvent(t, l.Watch, client.EventChildrenChanged, "/")
}

func testWatches(t *testing.T, e *env) {
	c, other, ctx := e.dial(t), e.dial(t), t.Context()
	s := session(t, c)
	_, ok, created, err := s.ExistsW(ctx, "x")
	if err != nil || ok {
		t.Fatalf("exists = %v, %v", ok, err)
	}
	must(other.Create(ctx, "x", nil))(t)
	wantEvent(t, created, client.EventCreated, "/x")
	if err := s.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	_, data, err := s.GetW(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	_, _, kids, err := s.ChildrenW(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	must(other.Create(ctx, "x/k", nil))(t)
	wantEvent(t, kids, client.EventChildrenChanged, "/x")
	must(other.Set(ctx, "x", nil, -1))(t)
	wantEvent(t, data, client.EventDataChanged, "/x")

	// Of two watches one is closed: the other still fires. Both closed: the server forgets, and a new one works.
	for range 3 {
		_, one, err := s.GetW(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, two, err := s.GetW(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		one.Close()
		must(other.Set(ctx, "x", nil, -1))(t)
		wantEvent(t, two, client.EventDataChanged, "/x")
		if err := s.Sync(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		_, three, err := s.GetW(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		three.Close()
	}
	if n := c.Stats().WatchesOpen; n != 0 {
		t.Errorf("%d watches open", n)
	}
	_, _, err = s.GetW(ctx, "absent")
	wantErr(t, "watch on an absent node", err, client.ErrNoNode)
}

func testStreams(t *testing.T, e *env) {
	proxy := e.proxy(t)
	c, ctx := e.dial(t, func(cfg *client.Config) { cfg.Servers = []string{proxy.Addr} }), t.Context()
	s := session(t, c)
	tree := must(s.AddWatch(ctx, "/", client.PersistentRecursive))(t)
	node := must(s.AddWatch(ctx, "/d", client.Persistent))(t)
	want := func(st *client.Stream, events ...string) {
		t.Helper()
		for _, w := range events {
			ev, err := st.Next(ctx)
			if got := fmt.Sprint(ev.Type, " ", ev.Path); err != nil || got != w {
				t.Errorf("next = %s, %v; want %s", got, err, w)
			}
		}
	}
	must(c.Create(ctx, "d", nil))(t)
	must(c.Create(ctx, "d/k", nil))(t)
	must(c.Set(ctx, "d", nil, -1))(t)
	must(c.Set(ctx, "d/k", nil, -1))(t)
	want(tree, "created /d", "created /d/k", "data changed /d", "data changed /d/k")
	want(node, "created /d", "children changed /d", "data changed /d")
	proxy.Cut(e.servers[0])
	want(tree, "resync /")
	want(node, "resync /d")
	if err := c.Delete(ctx, "d/k", -1); err != nil {
		t.Error(err)
	}
	want(tree, "deleted /d/k")
	want(node, "children changed /d")
	node.Close()
	tree.Close()
	if _, err := tree.Next(ctx); !errors.Is(err, client.ErrWatchClosed) {
		t.Errorf("closed stream: %v", err)
	}
}

// C3: what changes while the connection is away fires at once when it is back.
func testWatchesSurvive(t *testing.T, e *env) {
	ctx := t.Context()
	proxy := e.proxy(t)
	c := e.dial(t, func(cfg *client.Config) { cfg.Servers = []string{proxy.Addr} })
	other := e.dial(t, func(cfg *client.Config) { cfg.Servers = e.servers[:1] })
	s := session(t, c)
	for _, name := range []string{"changed", "deleted", "dir", "same"} {
		must(c.Create(ctx, name, nil))(t)
	}
	watch := func(name string) *client.Watch {
		_, w, err := s.GetW(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	changed, deleted, same := watch("changed"), watch("deleted"), watch("same")
	_, _, dir, err := s.ChildrenW(ctx, "dir")
	if err != nil {
		t.Fatal(err)
	}
	_, _, coming, err := s.ExistsW(ctx, "coming")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Cut("")
	for state := range c.States(ctx) {
		if state == client.Suspended {
			break
		}
	}
	must(other.Set(ctx, "changed", nil, -1))(t)
	must(other.Create(ctx, "coming", nil))(t)
	must(other.Create(ctx, "dir/k", nil))(t)
	if err := other.Delete(ctx, "deleted", -1); err != nil {
		t.Error(err)
	}
	proxy.Lead(e.servers[0])
	wantEvent(t, changed, client.EventDataChanged, "/changed")
	wantEvent(t, coming, client.EventCreated, "/coming")
	wantEvent(t, dir, client.EventChildrenChanged, "/dir")
	wantEvent(t, deleted, client.EventDeleted, "/deleted")
	if _, err := s.Get(ctx, "same"); err != nil {
		t.Fatal(err)
	}
	if !open(same) {
		t.Error("a watch fired though nothing changed")
	}
	must(other.Set(ctx, "same", nil, -1))(t)
	wantEvent(t, same, client.EventDataChanged, "/same")
	if got := session(t, c); got != s {
		t.Error("the session did not survive")
	}
}

func testSessions(t *testing.T, e *env) {
	ctx := t.Context()
	c, other := e.dial(t), e.dial(t)
	s := session(t, c)
	if d := time.Until(s.Deadline()); s.Timeout() != 6*time.Second || d <= 2*time.Second || d > 4*time.Second {
		t.Errorf("timeout %v, deadline in %v", s.Timeout(), d)
	}
	must(s.Create(ctx, "eph", nil, client.Ephemeral()))(t)
	_, w, err := s.GetW(ctx, "eph")
	if err != nil {
		t.Fatal(err)
	}
	lease := s.Lease()
	ticket := s.Ticket()
	thief, err := client.Dial(ctx, client.Config{Servers: e.servers, Resume: &ticket, SessionTimeout: 6 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if got := session(t, thief).ID(); got != s.ID() {
		t.Errorf("resumed %#x, want %#x", got, s.ID())
	}
	if err := thief.Close(); err != nil { // ends the session of both, unless the first has just taken it back
		peers.EndSession(t, e.servers[0], ticket.SessionID, ticket.Password)
	}
	<-s.Context().Done()
	// Apache may drop the requests of an ended session for a while in place of hanging up: then the lease ends first.
	cause, leaseCause := context.Cause(s.Context()), context.Cause(lease)
	if cause != client.ErrSessionExpired || leaseCause != cause && leaseCause != client.ErrSessionDeadline {
		t.Errorf("causes = %v, %v", cause, leaseCause)
	}
	if _, err := w.Wait(ctx); !errors.Is(err, client.ErrSessionExpired) && err != nil { // or the deletion was quicker
		t.Errorf("watch: %v", err)
	}
	_, err = s.Get(ctx, "/")
	wantErr(t, "ended session", err, client.ErrSessionExpired)
	if _, ok, err := other.Exists(ctx, "eph", client.Fresh()); ok || err != nil {
		t.Errorf("ephemeral of an ended session: %v, %v", ok, err)
	}
	if again := session(t, c); again == s || again.ID() == s.ID() {
		t.Error("the client goes on with the session that has ended")
	}
	if _, err := c.Get(ctx, "/"); err != nil {
		t.Error(err)
	}
}

func testErrors(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	for _, path := range []string{"a//b", "a/", "/a/./b", "..", "a\x00b"} {
		_, err := c.Get(ctx, path)
		wantErr(t, fmt.Sprintf("path %q", path), err, client.ErrBadArguments)
	}
	_, err := c.Create(ctx, "x", nil, client.Container(), client.Ephemeral())
	wantErr(t, "options", err, client.ErrBadArguments)
	_, err = c.Create(ctx, "x", bytes.Repeat([]byte("x"), 1<<20))
	wantErr(t, "too large", err, client.ErrBadArguments)
	var op *client.OpError
	if _, err := c.Get(ctx, "no/such"); !errors.As(err, &op) || op.Path != "/no/such" || op.Op != "getData" || op.Session == 0 {
		t.Errorf("error = %#v", op)
	}
}

// a view has its own root, in what goes in, comes back, fires and fails.
func testSub(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	sub := c.Sub("/team").Sub("a")
	n := must(sub.Create(ctx, "x", nil, client.Parents()))(t)
	if _, ok, err := c.Exists(ctx, "/team/a/x"); n.Path != "/x" || !ok || err != nil {
		t.Errorf("created %s; there from above: %v, %v", n.Path, ok, err)
	}
	s := session(t, sub)
	if s.ID() != session(t, c).ID() || s.Client() != sub {
		t.Error("a view has another session, or another client")
	}
	_, w, err := s.GetW(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	must(c.Set(ctx, "team/a/x", nil, -1))(t)
	wantEvent(t, w, client.EventDataChanged, "/x")
	if got := must(sub.Txn().Create("y", nil).Commit(ctx))(t); got[0].Path != "/y" {
		t.Errorf("transaction created %s", got[0].Path)
	}
	if names, _, err := sub.Children(ctx, "/"); err != nil || len(names) != 2 {
		t.Errorf("children = %v, %v", names, err)
	}
}

// C2: every answer reaches its own caller.
func testMany(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			path := fmt.Sprint("n", i)
			if _, err := c.Create(ctx, path, []byte(path)); err != nil {
				t.Error(err)
				return
			}
			for v := range 50 {
				want := fmt.Sprint(path, "-", v)
				st, err := c.Set(ctx, path, []byte(want), int32(v))
				if err != nil || st.Version != int32(v+1) {
					t.Errorf("set = %+v, %v", st, err)
					return
				}
				if n, err := c.Get(ctx, path); err != nil || string(n.Data) != want || n.Stat != st {
					t.Errorf("get = %q %+v, %v; want %q %+v", n.Data, n.Stat, err, want, st)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Replies may be larger than the client's buffer, and than a server's limit for requests.
func testLarge(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	data := bytes.Repeat([]byte("0123456789abcdef"), 60_000)
	must(c.Create(ctx, "x", data))(t)
	if n := must(c.Get(ctx, "x"))(t); !bytes.Equal(n.Data, data) {
		t.Errorf("got %d bytes", len(n.Data))
	}
	long := strings.Repeat("n", 4000)
	s := session(t, c)
	for i := 0; i < 300; i += 100 {
		b := s.Batch()
		for k := range 100 {
			b.Create(fmt.Sprint(long, i+k), nil)
		}
		if err := b.Do(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if names, _, err := c.Children(ctx, "/"); err != nil || len(names) != 301 {
		t.Errorf("%d children, %v", len(names), err)
	}
}

// cycles of watch and close leave nothing behind.
func testCloseCycles(t *testing.T, e *env) {
	c, ctx := e.dial(t), t.Context()
	s := session(t, c)
	cycles := 10_000
	if raceEnabled {
		cycles = 1000
	}
	for range cycles {
		_, _, w, err := s.ExistsW(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	if err := s.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats(); st.WatchesOpen != 0 || st.InFlight != 0 {
		t.Errorf("stats = %+v", st)
	}
	for _, addr := range e.servers {
		if n := watchesOf(t, addr); n != 0 {
			t.Errorf("server %s keeps %d watches", addr, n)
		}
	}
}

// testCancelCycles gives up reads that set a watch, at random moments: none stays on the server.
func testCancelCycles(t *testing.T, e *env) {
	c := e.dial(t)
	s := session(t, c)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*50*time.Microsecond)
				if _, _, w, err := s.ExistsW(ctx, "x"); err == nil {
					w.Close()
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	testkit.Eventually(t, "no server keeps a watch", func() bool {
		if err := s.Sync(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, addr := range e.servers {
			n += watchesOf(t, addr)
		}
		return n == 0
	})
}

// watchesOf asks a server how many watches it keeps.
func watchesOf(t testing.TB, addr string) (n int) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "wchs")
	text, err := io.ReadAll(nc)
	_, count, ok := strings.Cut(string(text), "Total watches:")
	if !ok {
		t.Fatalf("wchs answered %q, %v", text, err)
	}
	fmt.Sscan(count, &n)
	return n
}
