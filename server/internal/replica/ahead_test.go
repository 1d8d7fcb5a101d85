package replica_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
)

// While the leader's disk hangs, its entries get to the others, and nobody takes them for committed.
func TestLeaderWhoseDiskHangs(t *testing.T) {
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n, " voters"), func(t *testing.T) {
			var mu sync.Mutex // guards hung
			hung := make(map[uint64]chan struct{})
			stores := make(map[uint64]*storage.Store)
			c := newCluster(t, n, false, func(cfg *replica.Config) {
				id := cfg.ID
				stores[id] = cfg.Store
				cfg.Store.BeforeStore(func() {
					mu.Lock()
					wait := hung[id]
					mu.Unlock()
					if wait != nil {
						<-wait
					}
				})
			})
			lead := c.leader()
			follower := c.other(lead)
			write(t, follower, 1, 1, 1)
			c.same(map[uint64]uint64{1: 1})

			was, err := stores[lead.id].Log().LastIndex()
			if err != nil {
				t.Fatal(err)
			}
			works := make(chan struct{})
			mu.Lock()
			hung[lead.id] = works
			mu.Unlock()
			release := sync.OnceFunc(func() { close(works) })
			t.Cleanup(release)
			answered := make(chan struct{})
			if err := follower.r.Propose(answered, command(1, 2)); err != nil {
				t.Fatal(err)
			}
			for _, nd := range c.nodes {
				if nd == lead {
					continue
				}
				testkit.Eventually(t, fmt.Sprintf("member %d has stored it", nd.id), func() bool {
					at, err := stores[nd.id].Log().LastIndex()
					return err == nil && at > was
				})
			}
			// Much passes between them meanwhile, a commit index every 5 ms too.
			for range 30 {
				for _, nd := range c.nodes {
					if _, err := nd.r.Call(withTimeout(t, 20*time.Second), []byte("who leads?")); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, nd := range c.nodes {
				if nd.m.state()[1] != 1 {
					t.Errorf("member %d has applied what its leader has not stored", nd.id)
				}
			}
			select {
			case <-answered:
				t.Error("it is answered")
			default:
			}
			if !lead.r.IsLeader() {
				t.Error("it has lost the lead")
			}
			release()
			await(t, answered)
			c.same(map[uint64]uint64{1: 2})
		})
	}
}
