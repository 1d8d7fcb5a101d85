package servertest_test

import (
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// Not parallel: it looks at all goroutines.
func TestNothingIsLeftBehind(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	srv.Inject(servertest.DelayReply("create", 1, time.Hour))
	go c.Create(t.Context(), "/a", nil) // ends with the test
	srv.Restart()
	cl := servertest.NewCluster(t, 3)
	cl.Lag(0, time.Hour)
	cl.PartitionOneWay([]int{1}, []int{2})
	cl.Servers[2].HoldApplies()
	cl.KillLeader()
	servertest.Script(t, 1, srv.Steps()...)
}
