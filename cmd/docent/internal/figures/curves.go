package main

import (
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"
)

var (
	sizes  = []int{1, 3, 5, 7}
	shares = []int{0, 25, 50, 75, 100}
	rates  = []int{500, 1000, 2000, 4000, 8000, 12000, 16000, 24000, 32000, 48000, 64000, 96000, 128000, 192000}
)

// shareRow names a point of figure (a), which may be a row of the table.
func shareRow(servers, share int) string {
	switch {
	case servers == 3 && share == 0:
		return "writes"
	case servers == 3 && share == 50:
		return "mixed"
	case servers == 3 && share == 100:
		return "reads"
	case servers == 1 && share == 0:
		return "standalone-writes"
	}
	return fmt.Sprintf("fig-a-%d-%d", servers, share)
}

// readShares measures figure (a): throughput against the share of reads, with about 900 requests in flight.
func (c *campaign) readShares(servers int) error {
	var rows []row
	for _, share := range shares {
		load := map[int]string{1: "9x100", 3: "9x100", 5: "10x90", 7: "14x64"}[servers]
		rows = append(rows, row{name: shareRow(servers, share), args: flags("--load", load, "--mix", strconv.Itoa(share))})
	}
	return c.loads(rows, servers)
}

// latencies measures figure (b): latency of writes against their rate, up to what a system can do.
func (c *campaign) latencies() error {
	name := func(rate int) string { return fmt.Sprintf("fig-b-%d", rate) }
	saturated := func(system string) bool { // the last rate was not reached
		return slices.ContainsFunc(rates, func(rate int) bool {
			s := c.find(name(rate), system)
			return len(s) > 0 && s[0].More["rate"] < 0.9*float64(rate)
		})
	}
	done := true
	for _, system := range systems(0) {
		done = done && (saturated(system) || c.measured(name(rates[len(rates)-1]), system, 0)) && c.complete(name(rates[0]), c.rounds, system)
	}
	if done {
		return nil
	}
	all, closeAll, err := c.both(3)
	if err != nil {
		return err
	}
	defer closeAll()
	for _, rate := range rates {
		for _, system := range systems(0) {
			if saturated(system) {
				continue
			}
			for round := range c.rounds {
				r := row{args: flags("--load", "9x1000", "--mix", "0", "--rate", strconv.Itoa(rate))}
				if err := c.once(name(rate), system, round, func() (sample, error) { return c.byBench(r, all[system], round) }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// step is something done to five servers in figure (c).
type step struct {
	at   float64 // seconds
	what string
	do   func(e *ensemble, down map[string]*server) error
}

// story is the time line of ZooKeeper's paper of 2010: failures and recoveries, one after the other.
func story() []step {
	kill := func(name string, choose func(*ensemble, map[string]*server) (*server, error)) func(*ensemble, map[string]*server) error {
		return func(e *ensemble, down map[string]*server) error {
			s, err := choose(e, down)
			if err == nil {
				down[name] = s
				s.stop(syscall.SIGKILL)
			}
			return err
		}
	}
	back := func(names ...string) func(*ensemble, map[string]*server) error {
		return func(_ *ensemble, down map[string]*server) error {
			for _, n := range names {
				if err := down[n].start(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	follower := func(e *ensemble, down map[string]*server) (*server, error) { return e.follower(down["follower"]) }
	leader := func(e *ensemble, _ map[string]*server) (*server, error) { return e.leader() }
	return []step{
		{5, "a follower fails", kill("follower", follower)},
		{9, "it returns", back("follower")},
		{14, "another follower fails", kill("other", follower)},
		{18, "it returns", back("other")},
		{23, "the leader fails", kill("leader", leader)},
		{27, "it returns", back("leader")},
		{33, "two followers fail: the first", kill("first", follower)},
		{34, "the second", kill("second", follower)},
		{39, "both return", back("first", "second")},
		{45, "the leader fails", kill("leader", leader)},
		{50, "it returns", back("leader")},
	}
}

const storyTime = 56 * time.Second

// timeline measures figure (c).
func (c *campaign) timeline(system string) error {
	return c.once("fig-c", system, 0, func() (sample, error) {
		e, err := c.newEnsemble(system, 5, nil)
		if err != nil {
			return sample{}, err
		}
		defer e.close()
		if err := c.warm(e); err != nil {
			return sample{}, err
		}
		args := []string{"--load", "15x60", "--mix", "70", "--timeline", "250ms", "--keep"}
		b, err := c.startBench(e, storyTime+5*time.Second, args...)
		if err != nil {
			return sample{}, err
		}
		began, down, steps := time.Now(), make(map[string]*server), story()
		at := make([]time.Time, len(steps))
		for i, s := range steps {
			time.Sleep(time.Duration(s.at*float64(time.Second)) - time.Since(began))
			at[i] = time.Now()
			if err := s.do(e, down); err != nil {
				b.stop()
				return sample{}, fmt.Errorf("%s: %w", s.what, err)
			}
		}
		res, err := b.result()
		if err != nil {
			return sample{}, err
		}
		s := sample{Value: res.Rate, Args: args, More: map[string]float64{"interval": res.Timeline.Interval, "lost": float64(res.Lost), "reconnects": float64(res.Reconnects), "expired": float64(res.Expired)}}
		for _, p := range res.Timeline.Points {
			s.Line = append(s.Line, float64(p.Reads+p.Writes)/res.Timeline.Interval)
		}
		for i, t := range at {
			s.Events = append(s.Events, event{t.Sub(res.Start).Seconds(), steps[i].what})
		}
		longest := 0.0
		for _, g := range res.Timeline.Gaps {
			longest = max(longest, g.To-g.From)
		}
		s.More["longest_gap_s"] = longest
		return s, nil
	})
}

// growth is a way in which an ensemble gets larger, for figure (d).
type growth struct {
	name string
	x    []int
	args func(x int) []string
}

func growths() []growth {
	return []growth{
		{"znodes", []int{1000, 10_000, 100_000, 1_000_000}, func(x int) []string { return []string{"--nodes", strconv.Itoa(x)} }},
		{"sessions", []int{10, 100, 1000, 10_000}, func(x int) []string { return []string{"--idle", strconv.Itoa(x) + ",0"} }},
		{"watches", []int{100, 1000, 10_000, 100_000}, func(x int) []string { return []string{"--idle", "100," + strconv.Itoa(x)} }},
	}
}

var small = []string{"--load", "9x100", "--mix", "50", "--size", "100"}

func (g growth) row(x int) string { return fmt.Sprintf("fig-d-%s-%d", g.name, x) }

// growing measures figure (d), once, on one ensemble; what was measured with the most nodes comes last.
func (c *campaign) growing() error {
	list := growths()
	slices.Reverse(list)
	todo := false
	for _, g := range list {
		for _, x := range g.x {
			todo = todo || !c.complete(g.row(x), 1, docent, zookeeper)
		}
	}
	if !todo {
		return nil
	}
	all, closeAll, err := c.both(3)
	if err != nil {
		return err
	}
	defer closeAll()
	for _, g := range list {
		for _, x := range g.x {
			if c.scale < 1 && x > 10_000 {
				x = 10_000 // a try
			}
			r := row{args: flags(append(append([]string{"--keep"}, g.args(x)...), small...)...)}
			for _, system := range systems(0) {
				if err := c.once(g.row(x), system, 0, func() (sample, error) { return c.byBench(r, all[system], 0) }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// grown measures the row growth: docent with few and with many of everything, on fresh servers in each round, for long enough
// that snapshots are part of it.
func (c *campaign) grown() error {
	nodes, idle := "1000000", "10000,100000"
	if c.scale < 1 {
		nodes, idle = "20000", "100,1000"
	}
	load := []string{"--load", "9x100", "--mix", "50"}
	for round := range c.rounds {
		if c.measured("growth", docent, round) {
			continue
		}
		err := c.once("growth", docent, round, func() (sample, error) {
			e, err := c.newEnsemble(docent, 3, nil)
			if err != nil {
				return sample{}, err
			}
			defer e.close()
			few, _, err := c.bench(e, 10*time.Second, time.Second, append([]string{"--nodes", "1000"}, load...)...)
			if err != nil {
				return sample{}, err
			}
			many, args, err := c.bench(e, 10*time.Second, time.Second, append([]string{"--nodes", nodes, "--idle", idle, "--keep"}, load...)...)
			if err != nil {
				return sample{}, err
			}
			return sample{Value: 100 * many.Rate / few.Rate, Args: args, More: map[string]float64{"small": few.Rate, "large": many.Rate, "rss_mib": residentMemory(many)}}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
