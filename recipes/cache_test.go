package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

func mustSync(t testing.TB, k *recipes.Cache) *recipes.Cache {
	t.Helper()
	t.Cleanup(k.Close)
	if err := k.Synced(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	return k
}

// content is a snapshot as text: path=data, in order.
func content(s recipes.Snapshot) string {
	var all []string
	for n := range s.All() {
		all = append(all, n.Path+"="+string(n.Data))
	}
	return strings.Join(all, " ")
}

// waitContent waits until the cache holds what is wanted.
func waitContent(t testing.TB, k *recipes.Cache, want string) {
	t.Helper()
	last := ""
	for snap, err := range k.Changes(within(t, soon)) {
		if err != nil {
			t.Fatalf("waiting for %q: %v; it is %q", want, err, last)
		}
		if last = content(snap); last == want {
			return
		}
	}
}

func TestNodeCache(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	k := mustSync(t, recipes.NewNodeCache(c, "a/b")) // CURATOR-240, -328: a missing node is no obstacle
	if _, ok := k.Snapshot().Root(); ok || k.Stale() {
		t.Errorf("root exists: %v, stale: %v", ok, k.Stale())
	}
	create(t, other, "/a/b", "1")
	waitContent(t, k, "/a/b=1")
	create(t, other, "/a/b/c", "not ours")
	set(t, other, "/a/b", "2")
	waitContent(t, k, "/a/b=2")
	remove(t, other, "/a/b/c")
	remove(t, other, "/a/b")
	waitContent(t, k, "")
	create(t, other, "/a/b", "3") // kazoo #29, #63: the watch survives deletion
	waitContent(t, k, "/a/b=3")
	if n, ok := k.Snapshot().Node("a/b"); !ok || string(n.Data) != "3" || n.Stat.Version != 0 {
		t.Errorf("Node = %+v, %v", n, ok)
	}
}

func TestChildrenCache(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/g/a", "1")
	create(t, other, "/g/a/deep", "not ours")
	k := mustSync(t, recipes.NewChildrenCache(c, "/g"))
	waitContent(t, k, "/g= /g/a=1")
	create(t, other, "/g/b", "2")
	set(t, other, "/g/a", "3")
	waitContent(t, k, "/g= /g/a=3 /g/b=2")
	var names []string
	for _, n := range k.Snapshot().Children("g") {
		names = append(names, n.Path)
	}
	if want := []string{"/g/a", "/g/b"}; !slices.Equal(names, want) {
		t.Errorf("Children = %q", names)
	}
	remove(t, other, "/g/b")
	waitContent(t, k, "/g= /g/a=3")
	if k.Snapshot().Len() != 2 {
		t.Errorf("Len = %d", k.Snapshot().Len())
	}
}

func TestTreeCache_RootOfAll(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t, func(c *client.Config) { c.Chroot = "/top" })
	create(t, srv.Dial(t), "/top/a/b", "x")
	k := mustSync(t, recipes.NewTreeCache(c, "/"))
	waitContent(t, k, "/= /a= /a/b=x")
	create(t, c, "/c", "y")
	waitContent(t, k, "/= /a= /a/b=x /c=y")
}

// CuratorCache takes equal versions for equal nodes; kazoo #151 and #218 lose watches. While the connection is down a node is
// deleted and made anew, with the same version, and one comes and one goes; servers tell nothing of it.
func TestTreeCache_ComparesAfterAReconnect(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/t/same", "old")
	create(t, other, "/t/goes/below", "")
	k := mustSync(t, recipes.NewTreeCache(c, "/t"))
	waitContent(t, k, "/t= /t/goes= /t/goes/below= /t/same=old")

	srv.Cut() // what follows may come before or after c is back
	other = srv.Dial(t)
	remove(t, other, "/t/same")
	create(t, other, "/t/same", "new")
	remove(t, other, "/t/goes/below")
	remove(t, other, "/t/goes")
	create(t, other, "/t/comes/below", "")
	waitContent(t, k, "/t= /t/comes= /t/comes/below= /t/same=new")
}

func TestTreeCache_NewSession(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/t/a", "1")
	k := mustSync(t, recipes.NewTreeCache(c, "/t"))
	for i := range 3 {
		srv.Expire(c)
		set(t, other, "/t/a", fmt.Sprint(i))
		waitContent(t, k, fmt.Sprintf("/t= /t/a=%d", i))
	}
	if err := k.Synced(within(t, soon)); err != nil || k.Stale() {
		t.Errorf("Synced = %v, stale %v", err, k.Stale())
	}
}

func TestCache_StaleWhileAway(t *testing.T) {
	srv := servertest.New(t, servertest.OnDisk())
	c := srv.Dial(t)
	create(t, c, "/t/a", "1")
	k := mustSync(t, recipes.NewTreeCache(c, "/t"))
	srv.Kill()
	testkit.Eventually(t, "stale", k.Stale)
	if got := content(k.Snapshot()); got != "/t= /t/a=1" {
		t.Errorf("the last good snapshot is %q", got)
	}
	srv.Restart()
	testkit.Eventually(t, "not stale", func() bool { return !k.Stale() })
	set(t, c, "/t/a", "2")
	waitContent(t, k, "/t= /t/a=2")
}

// CURATOR-729, -710, kazoo #524: after Close there is no goroutine, no watch, and an end to every loop.
func TestCache_CloseEndsEverything_CURATOR729(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	k := mustSync(t, recipes.NewTreeCache(c, "/t"))
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for _, err := range k.Changes(context.Background()) {
				if err != nil && !errors.Is(err, recipes.ErrReleased) {
					t.Errorf("Changes ended with %v", err)
				}
			}
		})
	}
	k.Close()
	readers.Wait()
	testkit.Eventually(t, "no watch is left", func() bool { return c.Stats().WatchesOpen == 0 })
	if err := k.Synced(within(t, soon)); !errors.Is(err, recipes.ErrReleased) {
		t.Errorf("Synced after Close = %v", err)
	}
	k.Close()

	k = mustSync(t, recipes.NewTreeCache(c, "/t"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range k.Changes(context.Background()) {
		if err != nil && !errors.Is(err, client.ErrClosed) {
			t.Errorf("Changes ended with %v", err)
		}
	}
}

// Random changes with connections cut and sessions expired: in the end the cache equals the tree, and what was seen on
// the way of a single node never went back in time (CURATOR-191, -311).
func TestTreeCache_R6_ConvergesUnderFaults_CURATOR191(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, other, "/t/end", "no")
	k := mustSync(t, recipes.NewTreeCache(c, "/t"))
	var reader sync.WaitGroup
	reader.Go(func() {
		newest := make(map[string]int64)
		for snap, err := range k.Changes(within(t, soon)) {
			if err != nil {
				t.Errorf("Changes: %v", err)
				return
			}
			for n := range snap.All() {
				if n.Stat.Mzxid < newest[n.Path] {
					t.Errorf("%s went back from %d to %d", n.Path, newest[n.Path], n.Stat.Mzxid)
				}
				newest[n.Path] = n.Stat.Mzxid
			}
			if n, _ := snap.Node("/t/end"); string(n.Data) == "yes" {
				return
			}
		}
	})
	for i := range 400 {
		path := fmt.Sprintf("/t/%d/%d", rand.IntN(4), rand.IntN(4))
		var err error
		switch rand.IntN(3) {
		case 0:
			_, err = other.Create(within(t, soon), path, nil, client.Parents())
		case 1:
			_, err = other.Set(within(t, soon), path, fmt.Append(nil, i), -1)
		case 2:
			if err = other.Delete(within(t, soon), path, -1); err == nil {
				err = other.Delete(within(t, soon), path[:4], -1)
			}
		}
		if err != nil && !errors.Is(err, client.ErrNoNode) && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrNotEmpty) && !errors.Is(err, client.ErrMaybeApplied) {
			t.Fatal(err)
		}
		switch i {
		case 100, 200:
			srv.Cut()
		case 150, 300:
			srv.Expire(c)
		}
	}
	set(t, other, "/t/end", "yes")
	reader.Wait()
	want := content(mustSync(t, recipes.NewTreeCache(other, "/t")).Snapshot())
	waitContent(t, k, want)
}
