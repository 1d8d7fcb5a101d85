package groups_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/server/servertest"
)

// fullEnv makes this test as large as docs/groups.md tells of; otherwise it is a fifth of that.
const fullEnv = "DOCENT_FULL"

// A tenth of the instances of a service flap: what each change costs each scheduler that watches, that views keep the
// settle window apart, and that nobody sees an empty service, nor less than the nine tenths that live.
func TestDiscoverUnderChurn(t *testing.T) {
	instances, schedulers, rounds := 200, 20, 5
	if os.Getenv(fullEnv) != "" {
		instances, schedulers, rounds = 1000, 100, 1
	}
	const settle = 200 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		srv := servertest.New(t, servertest.NoSockets())
		a := srv.Dial(t)
		name := func(i int) string { return fmt.Sprintf("am-%04d", i) }
		var all []*groups.Registration
		for i := range instances {
			all = append(all, register(ctx, t, a, manager(name(i), i)))
		}
		watchingCtx, stop := context.WithCancel(ctx)
		defer stop()
		var watching sync.WaitGroup
		var mu sync.Mutex // guards views
		views := 0
		for range schedulers {
			d := discover(ctx, t, srv.Dial(t), groups.WithSettle(settle))
			watching.Go(func() {
				var last time.Time
				for list, err := range d.Changes(watchingCtx) {
					if err != nil {
						return
					}
					if len(list) < instances-instances/10 {
						t.Errorf("shows %d of %d instances", len(list), instances)
					}
					if gap := time.Since(last); gap < settle {
						t.Errorf("a view %v after the one before", gap)
					}
					last = time.Now()
					mu.Lock()
					views++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		before, changes, first := srv.Count(), 0, views
		for range rounds {
			for i := range instances / 10 {
				must(t, all[i*10].Close()) // it drains, and goes,
				pause := time.NewTimer(10 * time.Millisecond)
				<-pause.C
				all[i*10] = register(ctx, t, a, manager(name(i*10), i)) // and comes
				changes += 3
			}
		}
		synctest.Wait()
		settled := time.NewTimer(2 * settle)
		<-settled.C
		synctest.Wait()
		stop()
		watching.Wait()
		after := srv.Count()
		reads := 0
		for _, op := range []string{"getData", "getChildren2", "exists"} {
			reads += after.Requests[op] - before.Requests[op]
		}
		per := func(n int) float64 { return float64(n) / float64(changes*schedulers) }
		t.Logf("%d instances, %d schedulers, %d changes: for each change and scheduler %.2f requests, %.2f events, %.3f views",
			instances, schedulers, changes, per(reads), per(after.Events-before.Events), per(views-first))
		if per(reads) > 2 {
			t.Errorf("%.2f requests for each change and scheduler; want 2 at most", per(reads))
		}
		if views == first {
			t.Error("no change was seen")
		}
	})
}
