package servertest_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// clusterBubble runs f with three servers on virtual time. lead is the index of the leader, rest are the others.
func clusterBubble(t *testing.T, f func(t *testing.T, cl *servertest.Cluster, lead int, rest []int)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := servertest.NewCluster(t, 3, servertest.NoSockets())
		lead := slices.Index(cl.Servers, cl.Leader())
		f(t, cl, lead, slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == lead }))
	})
}

func TestLag(t *testing.T) {
	clusterBubble(t, func(t *testing.T, cl *servertest.Cluster, lead int, rest []int) {
		leader, behind := cl.Servers[lead].Dial(t), session(t, cl.Servers[rest[0]].Dial(t))
		cl.Lag(rest[0], 100*time.Millisecond)
		create(t, leader, "/a")
		if exists(t, behind, "/a") {
			t.Error("a server that lags knows what has just been written")
		}
		start := time.Now()
		if !exists(t, behind, "/a", client.Fresh()) {
			t.Error("not there after a sync")
		}
		if d := time.Since(start); d < 100*time.Millisecond {
			t.Errorf("a sync took %v, with a lag of 100ms", d)
		}
		cl.Lag(rest[0], 0)
	})
}

func TestHoldApplies(t *testing.T) {
	clusterBubble(t, func(t *testing.T, cl *servertest.Cluster, lead int, rest []int) {
		leader, behind := cl.Servers[lead].Dial(t), session(t, cl.Servers[rest[0]].Dial(t))
		release := cl.Servers[rest[0]].HoldApplies()
		create(t, leader, "/a")
		time.Sleep(time.Second) // virtual: the ensemble is idle again
		if exists(t, behind, "/a") {
			t.Error("a server that applies nothing knows what was written")
		}
		release()
		if !exists(t, behind, "/a", client.Fresh()) {
			t.Error("not there after a sync")
		}
	})
}

func TestPartitionOneWay(t *testing.T) {
	for name, cut := range map[string]func(cl *servertest.Cluster, lead int, rest []int){
		"mute": func(cl *servertest.Cluster, lead int, rest []int) { cl.PartitionOneWay([]int{lead}, rest) },
		"deaf": func(cl *servertest.Cluster, lead int, rest []int) { cl.PartitionOneWay(rest, []int{lead}) },
	} {
		t.Run(name, func(t *testing.T) {
			clusterBubble(t, func(t *testing.T, cl *servertest.Cluster, lead int, rest []int) {
				alone, other := cl.Servers[lead].Dial(t), cl.Servers[rest[0]].Dial(t)
				cut(cl, lead, rest)
				short, cancel := context.WithTimeout(ctx(t), time.Second)
				defer cancel()
				if err := alone.Sync(short, "/"); err == nil {
					t.Error("a leader that is half cut off answered a sync")
				}
				create(t, other, "/a")
				cl.Heal()
				if !exists(t, alone, "/a", client.Fresh()) {
					t.Error("not there after healing")
				}
			})
		})
	}
}

func TestPause(t *testing.T) {
	clusterBubble(t, func(t *testing.T, cl *servertest.Cluster, lead int, rest []int) {
		alone, other := cl.Servers[lead].Dial(t), cl.Servers[rest[0]].Dial(t)
		resume := cl.Pause(lead)
		short, cancel := context.WithTimeout(ctx(t), time.Second)
		defer cancel()
		if _, _, err := alone.Exists(short, "/a"); err == nil {
			t.Error("a paused server answered")
		}
		create(t, other, "/a")
		resume()
		if !exists(t, alone, "/a", client.Fresh()) {
			t.Error("not there after the pause")
		}
	})
}

// Disks are allowed in a bubble: nobody waits for a disk for ever.
func TestOnDiskOnVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := servertest.NewCluster(t, 3, servertest.NoSockets(), servertest.OnDisk())
		c := cl.Dial(t)
		create(t, c, "/a")
		for _, s := range cl.Servers {
			s.Kill()
		}
		for _, s := range cl.Servers {
			s.Restart()
		}
		if !exists(t, c, "/a", client.Fresh()) {
			t.Error("lost by a restart of all")
		}
	})
}

func TestKillLeaderOnVirtualTime(t *testing.T) {
	clusterBubble(t, func(t *testing.T, cl *servertest.Cluster, _ int, _ []int) {
		c := cl.Dial(t)
		for _, path := range []string{"/a", "/b", "/c"} {
			dead := cl.KillLeader()
			if _, err := c.Create(ctx(t), path, nil, client.Protected()); err != nil {
				t.Fatal(err)
			}
			dead.Restart()
		}
		if all, _, err := c.Children(ctx(t), "/", client.Fresh()); err != nil || len(all) != 4 { // and /zookeeper
			t.Errorf("%v, %v, want three nodes", all, err)
		}
	})
}
