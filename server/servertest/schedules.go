package servertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
)

// Plan says what Schedules runs. Its zero value is 100 schedules of up to 4 faults on one server each.
type Plan struct {
	// Schedules is how many must count. Default 100.
	Schedules int
	// Servers is the size of the cluster that each schedule gets. Default 1.
	Servers int
	// Faults is the largest number of steps in a schedule. Default 4; each does at least one.
	Faults int
	// Steps returns the steps to draw from. Default: all of Cluster.Steps; of Server.Steps for a single server.
	Steps func(s *Schedule) []Step
	// Options are for the servers.
	Options []Option
	// Limit is how much of its virtual time a schedule may take. Default 10 minutes.
	Limit time.Duration
}

// SeedEnv is the environment variable that chooses the seeds of Schedules: one, or a range such as 1-100000.
const SeedEnv = "DOCENT_SEED"

// Schedule is one random, replayable run of a test against servers and faults of its own, on virtual time.
type Schedule struct {
	*Cluster
	Seed uint64
	// Rand is for the test's own draws; the faults have another one.
	Rand *rand.Rand

	ctx  context.Context
	plan Plan
	run  *Run
}

// Context ends when the schedule has taken longer than its limit: whoever waits with it fails instead of hanging.
func (s *Schedule) Context() context.Context { return s.ctx }

// Dial connects a client that knows all servers. Its session times out after 2 s unless an option says otherwise.
func (s *Schedule) Dial(t testing.TB, o ...func(*client.Config)) *client.Client {
	t.Helper()
	short := func(c *client.Config) { c.SessionTimeout = 2 * time.Second }
	return s.Cluster.Dial(t, append([]func(*client.Config){short}, o...)...)
}

// Begin lets the faults begin, whose script it returns. Without Begin there are none. The test's own steps, which know
// its clients and contexts, are drawn from together with the plan's; their moments are those of all servers.
func (s *Schedule) Begin(own ...Step) *Run {
	s.run = newRun(s.Seed, append(s.plan.Steps(s), own...), func(r *rand.Rand) int { return 1 + r.IntN(s.plan.Faults) })
	return s.run
}

// Schedules runs body in bubbles of testing/synctest, once for each of the seeds 1, 2, 3 …, several at once, until as
// many as planned have counted: body tells whether its run did, since a schedule whose faults came before or after
// everything of interest shows nothing. body must wait for its goroutines, and should wait for nothing longer than
// Schedule.Context.
//
// The first seed that fails ends the test, which then tells how to run it alone: with DOCENT_SEED. DOCENT_SEED may be a
// range, too; then that are the seeds, and as many count as do.
func Schedules(t *testing.T, p Plan, body func(t *testing.T, s *Schedule) bool) {
	t.Helper()
	p = p.withDefaults()
	q, err := newSeeds(p.Schedules, os.Getenv(SeedEnv))
	if err != nil {
		t.Fatalf("servertest: %s: %v", SeedEnv, err)
	}
	oneProcessor()
	start := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for seed, ok := q.next(); ok; seed, ok = q.next() {
					q.report(p.schedule(t, q, seed, body))
				}
			})
		}
	})
	took := time.Since(start)
	t.Logf("servertest: %v in %v (%.0f/s)", q, took.Round(time.Millisecond), float64(q.counted)/took.Seconds())
	if q.short() && !t.Failed() {
		t.Errorf("servertest: too few schedules count: %v", q)
	}
}

func (p Plan) withDefaults() Plan {
	if p.Schedules == 0 {
		p.Schedules = 100
	}
	if p.Servers == 0 {
		p.Servers = 1
	}
	if p.Faults == 0 {
		p.Faults = 4
	}
	if p.Limit == 0 {
		p.Limit = 10 * time.Minute
	}
	if p.Steps == nil {
		p.Steps = func(s *Schedule) []Step {
			if len(s.Servers) == 1 {
				return s.Servers[0].Steps()
			}
			return s.Cluster.Steps()
		}
	}
	p.Options = append([]Option{NoSockets()}, p.Options...)
	return p
}

// schedule runs one seed.
func (p Plan) schedule(t *testing.T, q *seeds, seed uint64, body func(*testing.T, *Schedule) bool) (counts bool, trace []Happening) {
	again := fmt.Sprintf("repeat: %s=%d %s", SeedEnv, seed, command(t))
	slow := time.AfterFunc(slowSeed, func() { fmt.Fprintf(os.Stderr, "servertest: still at it after %v; %s\n", slowSeed, again) })
	defer func() {
		slow.Stop()
		p := recover()
		if p != nil || t.Failed() {
			q.stop()
			t.Log(again)
		}
		if p != nil { // of the test, or a deadlock: the log is lost
			fmt.Fprintln(os.Stderr, again)
			panic(p)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		s := &Schedule{Seed: seed, Rand: rand.New(rand.NewPCG(seed, 1)), plan: p}
		s.Cluster = NewCluster(t, p.Servers, p.Options...)
		ctx, cancel := context.WithTimeoutCause(context.Background(), p.Limit, fmt.Errorf("servertest: the schedule took longer than %v", p.Limit))
		s.ctx = ctx
		defer func() {
			cancel()
			if s.run != nil {
				s.run.Stop()
				trace = s.run.Trace()
			}
			if t.Failed() {
				t.Logf("servertest: %v", s.run)
			}
		}()
		counts = body(t, s)
	})
	return counts, trace
}

// slowSeed is how much real time a schedule may take before its seed is told, in case it hangs.
const slowSeed = 20 * time.Second

// command returns what runs the test that runs Schedules.
func command(t *testing.T) string {
	top, _, _ := strings.Cut(t.Name(), "/seeds/")
	pkg := "."
	if info, ok := debug.ReadBuildInfo(); ok {
		pkg = strings.TrimSuffix(info.Path, ".test")
	}
	return fmt.Sprintf("go test -run '^%s$' %s", strings.ReplaceAll(top, "/", "$/^"), pkg)
}
