package recipes_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

// byVersion is a copy of one node as CuratorCache keeps it: after a reconnect it takes a node with the version it knows for
// the node it knows.
type byVersion struct {
	version int32
	data    string
}

func (v *byVersion) refresh(ctx context.Context, c *client.Client, path string) error {
	node, err := c.Get(ctx, path, client.Fresh())
	if err == nil && node.Stat.Version != v.version {
		v.version, v.data = node.Stat.Version, string(node.Data)
	}
	return err
}

// While a client is away, a node is deleted and made anew, and so has the version it had before: CURATOR-311, CURATOR-331 and
// CURATOR-329 (a version that is 0 again is not taken for newer), kazoo #151, kazoo #218.
func TestCache_NaiveVersions(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/n", "old")
	k, naive := mustSync(t, recipes.NewNodeCache(c, "/n")), &byVersion{version: -1}
	if err := naive.refresh(within(t, soon), c, "/n"); err != nil || naive.data != "old" {
		t.Fatal(naive.data, err)
	}
	srv.Cut() // what follows may come before or after c is back
	other = srv.Dial(t)
	remove(t, other, "/n")
	create(t, other, "/n", "new")
	waitContent(t, k, "/n=new")
	if err := naive.refresh(within(t, soon), c, "/n"); err != nil || naive.data != "old" {
		t.Errorf("the naive one is not caught: %q, %v", naive.data, err)
	}
}

// A change was told, and the read that should fetch it fails: CuratorCache logs that, and stays as it was until the next
// event. The watch that told is gone, and the connection that comes back replays nothing that this client has seen
// (zookeeper PR #1950). Here what was told stays to be read.
func TestCache_AFailedReadIsRepeated(t *testing.T) {
	for _, fault := range []servertest.Fault{servertest.DropRequest("read", 1), servertest.DropReply("read", 1)} {
		synctest.Test(t, func(t *testing.T) {
			srv := servertest.New(t, servertest.NoSockets())
			c, other := srv.Dial(t), srv.Dial(t)
			create(t, other, "/t/a", "old")
			k := mustSync(t, recipes.NewTreeCache(c, "/t"))

			naive, told := "old", make(chan struct{})
			s := session(t, c)
			_, w, err := s.GetW(within(t, soon), "/t/a")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer close(told)
				<-w.Done()
				once, fail := context.WithCancel(context.Background())
				fail() // its only try
				if node, err := s.Get(once, "/t/a"); err == nil {
					naive = string(node.Data)
				}
			}()
			fault.Session = s.ID()
			srv.Inject(fault)
			set(t, other, "/t/a", "new")
			waitContent(t, k, "/t= /t/a=new")
			if <-told; naive == "new" {
				t.Error("the naive one is not caught")
			}
		})
	}
}

// CURATOR-328: the server is not there at the start, and the cache stays empty for ever. CURATOR-623, CURATOR-296: nobody
// compares after a reconnect, and nobody tells that the copy is complete again.
func TestCache_TheServerComesLater(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	create(t, c, "/t/a", "1")
	srv.Kill()
	k := recipes.NewTreeCache(c, "/t")
	defer k.Close()
	if !k.Stale() {
		t.Error("an empty copy is not called stale")
	}
	srv.Restart()
	mustSync(t, k)
	waitContent(t, k, "/t= /t/a=1")
}

// kazoo #29, kazoo #63: a watch does not outlive a deletion. CURATOR-388: the root is a container that is reaped and made again. kazoo #58: the parents of what is watched are not there.
func TestCache_TheRootComesAgain(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	k := mustSync(t, recipes.NewChildrenCache(c, "/p/q"))
	for i := range 5 {
		create(t, other, "/p/q", "", client.Container())
		create(t, other, "/p/q/a", fmt.Sprint(i))
		waitContent(t, k, fmt.Sprintf("/p/q= /p/q/a=%d", i))
		remove(t, other, "/p/q/a")
		remove(t, other, "/p/q")
		waitContent(t, k, "")
	}
}

// CURATOR-476, CURATOR-690: very many children. What is read at once is bounded, so that no frame grows beyond its limit.
func TestCache_ManyChildren(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/many", "")
	const n = 2000
	data := []byte(strings.Repeat("x", 1000)) // 2 MB in all: more than a frame holds
	for i := 0; i < n; i += 500 {
		batch := session(t, other).Batch()
		for j := range 500 {
			batch.Create(fmt.Sprintf("/many/%05d", i+j), data)
		}
		if err := batch.Do(within(t, soon)); err != nil {
			t.Fatal(err)
		}
	}
	k := recipes.NewChildrenCache(c, "/many")
	t.Cleanup(k.Close)
	if err := k.Synced(within(t, 3*soon)); err != nil {
		t.Fatal(err)
	}
	if got := k.Snapshot().Len(); got != n+1 {
		t.Errorf("%d nodes, want %d", got, n+1)
	}
}

// CURATOR-240, CURATOR-312, CURATOR-105, Netflix #177, curator GH-1292, kazoo #524, kazoo #543: watches on paths that are not
// there, and of caches that are closed, stay. confd #550, gozk #140, samuel #110: a caller that asks again in a loop leaks
// one watch a time. (CURATOR-710, CURATOR-729: loops that go on after Close; see TestCache_CloseEndsEverything_CURATOR729.) Here Changes is an iterator, and one who looks a hundred times has set nothing.
func TestCache_LeavesNoWatches(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	create(t, c, "/t/a", "")
	for _, path := range []string{"/t", "/none", "/none/below"} {
		for _, make := range []func(*client.Client, string) *recipes.Cache{recipes.NewNodeCache, recipes.NewChildrenCache, recipes.NewTreeCache} {
			k := mustSync(t, make(c, path))
			before := c.Stats().WatchesOpen
			for range 100 {
				for range k.Changes(within(t, soon)) {
					break
				}
			}
			if n := c.Stats().WatchesOpen; n != before {
				t.Errorf("%d watches after a hundred looks, %d before", n, before)
			}
			k.Close()
			testkit.Eventually(t, "no watch is left", func() bool { return c.Stats().WatchesOpen == 0 })
		}
	}
}

// CURATOR-191, Netflix #246: events out of order, twice, or not at all. Snapshots promise less and keep it: what is shown
// is never older than before, and the last is what there is (see TestTreeCache_ConvergesUnderFaults_CURATOR191). A slow
// reader skips, and does not pile up.
func TestCache_ASlowReaderSkips(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/n", "0")
	k := mustSync(t, recipes.NewNodeCache(c, "/n"))
	seen := 0
	for snap, err := range k.Changes(within(t, soon)) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 1 {
			for i := range 200 {
				set(t, other, "/n", fmt.Sprint(i+1))
			}
			continue
		}
		if content(snap) == "/n=200" {
			break
		}
	}
	if seen > 201 {
		t.Errorf("%d snapshots of 200 changes", seen)
	}
}

// What caches stand upon. ZOOKEEPER-4475: a recursive watch is told of children, not of lists of children. ZOOKEEPER-4466,
// ZOOKEEPER-4471, ZOOKEEPER-4472: two watches on one path, of which one is removed, and not the other.
func TestRecursiveWatchBesideAnother(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/t/a", "")
	s, ctx := session(t, c), within(t, soon)
	tree, err := s.AddWatch(ctx, "/t/a", client.PersistentRecursive)
	if err != nil {
		t.Fatal(err)
	}
	node, err := s.AddWatch(ctx, "/t/a", client.Persistent)
	if err != nil {
		t.Fatal(err)
	}
	next := func(st *client.Stream, typ client.EventType, path string) {
		t.Helper()
		if ev, err := st.Next(ctx); err != nil || ev.Type != typ || ev.Path != path {
			t.Errorf("told %v of %s, %v; want %v of %s", ev.Type, ev.Path, err, typ, path)
		}
	}
	create(t, other, "/t/a/b", "")
	next(tree, client.EventCreated, "/t/a/b")
	next(node, client.EventChildrenChanged, "/t/a")
	node.Close()
	if err := c.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	set(t, other, "/t/a", "x")
	next(tree, client.EventDataChanged, "/t/a") // not the list of children; and this one is still there
}

// ZOOKEEPER-3145: what a server knows of a list of children is older after a restart, from snapshot and log, than before.
func TestPzxidSurvivesARestart(t *testing.T) {
	srv := servertest.New(t, servertest.OnDisk())
	c := srv.Dial(t)
	create(t, c, "/t/a", "")
	create(t, c, "/t/b", "")
	remove(t, c, "/t/a")
	before, _, err := c.Exists(within(t, soon), "/t")
	if err != nil {
		t.Fatal(err)
	}
	srv.Restart()
	if after, _, err := c.Exists(within(t, soon), "/t", client.Fresh()); err != nil || after != before {
		t.Errorf("%+v after the restart, %v; before %+v", after, err, before)
	}
}
