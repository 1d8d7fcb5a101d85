package bench_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/cmd/docent/internal/bench"
	"github.com/docent-io/docent/server/servertest"
)

func mix(t *testing.T, text string) bench.Mix {
	t.Helper()
	m, err := bench.ParseMix(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// light is a load of a moment on servers.
func light(t *testing.T, addrs ...string) bench.Config {
	return bench.Config{
		Addrs: addrs, Root: "/load", Conns: 3, InFlight: 20, Mix: mix(t, "get=1,set=1"), Size: 100, Nodes: 250,
		WarmUp: 50 * time.Millisecond, Duration: 300 * time.Millisecond, Session: 10 * time.Second,
	}
}

func run(t *testing.T, cfg bench.Config) *bench.Result {
	t.Helper()
	res, err := bench.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// names returns the children of the root: what a run must not leave.
func names(t *testing.T, c *client.Client) string {
	t.Helper()
	list, _, err := c.Children(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func TestRun_AllKinds(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	before := names(t, c)
	for _, text := range []string{"get", "set", "exists", "children", "sync", "create", "ephemeral", "get=5,set=2,exists=1,children=1,sync=1,create=1,ephemeral=1"} {
		for _, rate := range []float64{0, 2000} {
			cfg := light(t, srv.Addr())
			cfg.Mix, cfg.Rate, cfg.Zipf = mix(t, text), rate, 0.99
			res := run(t, cfg)
			if res.Ops == 0 || res.Latency.Count == 0 || len(res.Errors) > 0 || res.Lost > 0 {
				t.Errorf("%s at %v/s: %+v", text, rate, res)
			}
			if l := res.Latency; !(l.P50 > 0 && l.P50 <= l.P99 && l.P99 <= l.Max && l.Max < 30e6) {
				t.Errorf("%s at %v/s: latencies %+v", text, rate, l)
			}
		}
	}
	if after := names(t, c); after != before {
		t.Errorf("runs left %q, before there was %q", after, before)
	}
}

func TestRun_OpenLoadKeepsItsRate(t *testing.T) {
	srv := servertest.New(t)
	cfg := light(t, srv.Addr())
	cfg.Rate, cfg.Duration = 500, time.Second
	if res := run(t, cfg); res.Latency.Count != 500 {
		t.Errorf("%d requests were due, want 500", res.Latency.Count)
	}
}

func TestRun_IdleSessionsAndWatches(t *testing.T) {
	srv := servertest.New(t)
	cfg := light(t, srv.Addr())
	cfg.Sessions, cfg.Watches = 40, 3000
	if res := run(t, cfg); res.Ops == 0 {
		t.Errorf("%+v", res)
	}
}

// A server that is killed costs a time line its connections, and nothing else.
func TestRun_TimelineSurvivesAServer(t *testing.T) {
	cluster := servertest.NewCluster(t, 3)
	cfg := light(t, cluster.Addrs()...)
	cfg.Rate, cfg.Timeline, cfg.Duration = 1000, 50*time.Millisecond, 2*time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Progress = func(s string) {
		if strings.HasPrefix(s, "warming") {
			go cluster.KillLeader()
		}
	}
	res, err := bench.Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if res.Reconnects == 0 || res.Timeline == nil || len(res.Timeline.Points) != 40 {
		t.Errorf("%+v", res)
	}
	if n := len(res.Timeline.Points); res.Timeline.Points[n-1].Writes+res.Timeline.Points[n-2].Writes == 0 {
		t.Errorf("nothing is acknowledged at the end: %+v", res.Timeline)
	}
}

func TestRun_WithoutTimelineALostServerIsAnError(t *testing.T) {
	srv := servertest.New(t)
	cfg := light(t, srv.Addr())
	cfg.Duration = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Progress = func(s string) {
		if strings.HasPrefix(s, "warming") {
			cancel()
		}
	}
	if res, err := bench.Run(ctx, cfg); err == nil {
		t.Errorf("%+v", res)
	}
}

func TestConfig_Check(t *testing.T) {
	good := light(t, "127.0.0.1:1")
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*bench.Config){
		"no server":       func(c *bench.Config) { c.Addrs = nil },
		"connections":     func(c *bench.Config) { c.Conns = 0 },
		"in flight":       func(c *bench.Config) { c.InFlight = 0 },
		"under way":       func(c *bench.Config) { c.InFlight, c.Size = 1000, 100_000 },
		"size":            func(c *bench.Config) { c.Size = -1 },
		"nodes":           func(c *bench.Config) { c.Nodes = 0 },
		"Zipf":            func(c *bench.Config) { c.Zipf = -1 },
		"rate":            func(c *bench.Config) { c.Rate = 0.1 },
		"durations":       func(c *bench.Config) { c.Duration = 0 },
		"time line":       func(c *bench.Config) { c.Timeline = 1 },
		"session timeout": func(c *bench.Config) { c.Session = 0 },
		"idle sessions":   func(c *bench.Config) { c.Sessions = -1 },
		"watches":         func(c *bench.Config) { c.Watches = -1 },
		"no mix":          func(c *bench.Config) { c.Mix = bench.Mix{} },
	} {
		cfg := light(t, "127.0.0.1:1")
		spoil(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseMix(t *testing.T) {
	for _, bad := range []string{"", "got", "get=", "get=x", "get=-1", "get=0", "get=NaN", "get=1,get=2", "delete", "get=1,,set=1"} {
		if m, err := bench.ParseMix(bad); err == nil {
			t.Errorf("%q is the mix %v", bad, m)
		}
	}
	for _, p := range []float64{-1, 101} {
		if _, err := bench.Reads(p); err == nil {
			t.Errorf("%v percent", p)
		}
	}
	if m, err := bench.Reads(100); err != nil || m.String() != "get=100,set=0" {
		t.Errorf("%v, %v", m, err)
	}
}
