package groups_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/server/servertest"
)

// A service whose instances flap: what each change costs each who watches, and that nobody sees an empty service.
func TestDiscoverUnderChurn(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	const instances, watchers, flaps = 100, 10, 50
	a := srv.Dial(t)
	var all []*groups.Registration
	for i := range instances {
		all = append(all, register(ctx, t, a, manager(fmt.Sprintf("am-%03d", i), i)))
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var watching sync.WaitGroup
	var directories []*groups.Directory
	for range watchers {
		d := discover(ctx, t, srv.Dial(t), groups.WithSettle(20*time.Millisecond))
		directories = append(directories, d)
		watching.Go(func() {
			for list, err := range d.Changes(ctx) {
				if err != nil {
					return
				}
				if len(list) < instances-flaps {
					t.Errorf("shows %d of %d instances", len(list), instances)
				}
			}
		})
	}
	before := srv.Count()
	for i := range flaps {
		must(t, all[i%10].Close())
		all[i%10] = register(ctx, t, a, manager(fmt.Sprintf("am-%03d", i%10), i))
	}
	for _, d := range directories {
		for list, err := range d.Changes(ctx) {
			must(t, err)
			if len(list) == instances && list[9].Port == flaps-1 { // as it was registered last
				break
			}
		}
	}
	stop()
	watching.Wait()
	after := srv.Count()
	changes := 3 * flaps // to drain, to go, to come
	reads := after.Requests["getData"] + after.Requests["getChildren2"] + after.Requests["exists"] -
		before.Requests["getData"] - before.Requests["getChildren2"] - before.Requests["exists"]
	per := float64(reads) / float64(changes*watchers)
	t.Logf("%.2f reads for each change and watcher, %.2f events", per, float64(after.Events-before.Events)/float64(changes*watchers))
	if per > 2 {
		t.Errorf("%.2f reads for each change and watcher; want 2 at most", per)
	}
}
