package servertest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/server/servertest"
)

// work reads until so many steps have been done. idle lets a bubble's clock go on: it stands still while anybody works.
func work(t *testing.T, srv *servertest.Server, run *servertest.Run, steps int, idle time.Duration) {
	t.Helper()
	c := srv.Dial(t)
	for run.Injected() < steps {
		exists(t, c, "/n")
		time.Sleep(idle)
	}
	run.Stop()
}

// replayed are the steps whose moments hang on requests alone.
func replayed(srv *servertest.Server) (steps []servertest.Step) {
	for _, s := range srv.Steps() {
		switch s.Name {
		case "cut", "drop request", "drop reply", "close after reply", "expire":
			steps = append(steps, s)
		}
	}
	return steps
}

func TestScriptReplays(t *testing.T) {
	traces := make(map[string]bool)
	for i := range 6 {
		synctest.Test(t, func(t *testing.T) {
			srv := servertest.New(t, servertest.NoSockets())
			run := servertest.Script(t, uint64(i/3), replayed(srv)...)
			work(t, srv, run, 5, 0)
			var all []string
			for _, h := range run.Trace()[:5] {
				all = append(all, h.Step+" "+h.Where)
			}
			traces[strings.Join(all, "\n")] = true
		})
	}
	if len(traces) != 2 {
		t.Errorf("two seeds, run three times each, made %d different traces: %v", len(traces), traces)
	}
}

func TestScriptOnSockets(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	run := servertest.Script(t, 1, replayed(srv)...)
	work(t, srv, run, 10, 0)
	n := run.Injected()
	create(t, srv.Dial(t), "/after")
	if run.Injected() != n {
		t.Error("the script went on after Stop")
	}
}

func TestScriptOfOwnSteps(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		var seen []string
		run := servertest.Script(t, 3, servertest.Step{Name: "own", At: []*servertest.Server{srv}, Do: func(m *servertest.Moment) {
			seen = append(seen, m.String())
			m.Wait(time.Duration(m.Rand.IntN(1000)))
		}})
		work(t, srv, run, 4, time.Millisecond)
		for i, h := range run.Trace() {
			if h.Step != "own" || i < len(seen) && h.Where != seen[i] {
				t.Errorf("%v, want own %s", h, seen[i])
			}
		}
	})
}

// TestSchedulesTellHowToRepeat runs itself, with a schedule that fails.
func TestSchedulesTellHowToRepeat(t *testing.T) {
	const inner = "SERVERTEST_INNER"
	if os.Getenv(inner) != "" {
		servertest.Schedules(t, servertest.Plan{}, func(t *testing.T, s *servertest.Schedule) bool {
			s.Begin()
			exists(t, s.Dial(t), "/a")
			if s.Seed == 7 {
				t.Errorf("not with this seed")
			}
			return true
		})
		return
	}
	for seed, want := range map[string]bool{"": true, "7": true, "6": false, "1-6": false, "5-9": true} {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inner+"=1", servertest.SeedEnv+"="+seed)
		out, err := cmd.CombinedOutput()
		line := fmt.Sprintf("repeat: DOCENT_SEED=7 go test -run '^%s$' github.com/docent-io/docent/server/servertest", t.Name())
		if got := strings.Contains(string(out), line); got != want || got != (err != nil) {
			t.Errorf("%s=%q: %v, told how to repeat: %v, want %v\n%s", servertest.SeedEnv, seed, err, got, want, out)
		}
	}
}
