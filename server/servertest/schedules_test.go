package servertest_test

import (
	"errors"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// counterSchedule lets two clients add to a counter by compare-and-set, and compares what they know with what is there.
func counterSchedule(t *testing.T, s *servertest.Schedule) bool {
	a, b := s.Dial(t), s.Dial(t)
	if _, err := a.Create(s.Context(), "/n", nil); err != nil {
		t.Fatal(err)
	}
	run := s.Begin()
	type sum struct{ sure, maybe int }
	sums := make(chan sum, 2)
	for _, c := range []*client.Client{a, b} {
		go func() {
			var got sum
			defer func() { sums <- got }()
			for got.sure < 20 {
				n, err := c.Get(s.Context(), "/n", client.Fresh())
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				_, err = c.Set(s.Context(), "/n", nil, n.Stat.Version)
				switch {
				case err == nil:
					got.sure++
				case errors.Is(err, client.ErrMaybeApplied):
					got.maybe++
				case !errors.Is(err, client.ErrBadVersion):
					t.Errorf("set: %v", err)
					return
				}
			}
		}()
	}
	x, y := <-sums, <-sums
	n, err := a.Get(s.Context(), "/n", client.Fresh())
	if err != nil {
		t.Errorf("final get: %v", err)
		return false
	}
	sure, most := x.sure+y.sure, x.sure+y.sure+x.maybe+y.maybe
	if v := int(n.Stat.Version); v < sure || v > most {
		t.Errorf("version %d after %d writes, %d at most", v, sure, most)
	}
	return run.Injected() > 0
}

func TestSchedules(t *testing.T) {
	servertest.Schedules(t, servertest.Plan{Schedules: 60}, counterSchedule)
}

func TestSchedulesOfACluster(t *testing.T) {
	servertest.Schedules(t, servertest.Plan{Schedules: 12, Servers: 3}, counterSchedule)
}
