package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/docent-io/docent/cmd/docent/internal/bench"
)

// row is a line of the table that docent bench measures.
type row struct {
	name, what, unit string
	target           target
	servers          int                                                        // rows with as many are measured on the same ensembles
	bounded          bool                                                       // by what a bare server reaches, which is measured, too
	args             func(*campaign, *ensemble, int) (args []string, err error) // of docent bench, in a round
	value            func(*bench.Result) float64                                // nil: requests per second
}

// target is what a row is to reach: a ratio to ZooKeeper, or a limit for docent itself.
type target struct {
	ratio float64 // docent / ZooKeeper
	limit float64 // docent alone
	less  bool    // at most, in place of at least
	text  string  // as the issue has it
}

// flags makes the same arguments for every round.
func flags(args ...string) func(*campaign, *ensemble, int) ([]string, error) {
	return func(*campaign, *ensemble, int) ([]string, error) { return args, nil }
}

// anyMember puts the load on one server, another one in each round.
func anyMember(args ...string) func(*campaign, *ensemble, int) ([]string, error) {
	return func(_ *campaign, e *ensemble, round int) ([]string, error) {
		return append([]string{"--dsn", "zk://" + e.servers[round%len(e.servers)].addr}, args...), nil
	}
}

// loadRows are measured by docent bench on ensembles of 3 and on single servers.
func loadRows() []row {
	atLeast := func(x float64) target { return target{ratio: x, text: fmt.Sprintf("≥ %g×", x)} }
	list := []row{
		{name: "writes", what: "writes, 9 × 100", servers: 3, target: atLeast(6), args: flags("--load", "9x100", "--mix", "0")},
		{name: "mixed", what: "50 % reads, 9 × 100", servers: 3, target: atLeast(6), args: flags("--load", "9x100", "--mix", "50")},
		{name: "reads", what: "reads, 9 × 100", servers: 3, target: atLeast(20), args: flags("--load", "9x100", "--mix", "100")},
	}
	for i, n := range []string{"1", "16", "64"} {
		writes := row{name: "sync-writes-" + n, what: "synchronous writes, " + n, servers: 3, target: atLeast([]float64{1.2, 1.5, 2}[i]), args: flags("--load", n+"x1", "--mix", "0")}
		reads := row{name: "sync-reads-" + n, what: "synchronous reads, " + n, servers: 3, target: atLeast([]float64{5, 3, 3}[i]), args: flags("--load", n+"x1", "--mix", "100")}
		if n == "1" {
			writes.args, reads.args = anyMember("--load", "1x1", "--mix", "0"), anyMember("--load", "1x1", "--mix", "100")
		}
		reads.bounded = true
		list = append(list, writes, reads)
	}
	list = append(list,
		row{name: "create", what: "create + delete, 9 × 100", servers: 3, target: atLeast(5), args: flags("--load", "9x100", "--mix", "create")},
		row{name: "ephemeral", what: "ephemeral sequential create + delete, 9 × 100", servers: 3, target: atLeast(5), args: flags("--load", "9x100", "--mix", "ephemeral")},
		row{name: "cpu", what: "CPU of all servers per pipelined write", unit: "µs", servers: 3, target: target{ratio: 1.0 / 6, less: true, text: "≤ 1/6"},
			value: func(r *bench.Result) float64 { return r.CPUPerOp }, args: flags("--load", "9x100", "--mix", "0")},
		row{name: "p99", what: "p99 of writes at half of ZooKeeper's peak rate", unit: "ms", servers: 3, target: target{ratio: 1.0 / 3, less: true, text: "≤ 1/3"},
			value: func(r *bench.Result) float64 { return r.Latency.P99 / 1000 }, args: halfOfZookeeper},
		row{name: "memory", what: "resident memory per server after the runs", unit: "MiB", servers: 3, target: target{ratio: 2.0 / 3, less: true, text: "≤ 2/3"},
			value: residentMemory, args: flags("--load", "9x100", "--mix", "50")},
		row{name: "standalone-writes", what: "standalone: writes, 9 × 100", servers: 1, target: atLeast(4), args: flags("--load", "9x100", "--mix", "0")},
		row{name: "standalone-sync", what: "standalone: synchronous writes, 1", servers: 1, target: atLeast(2), bounded: true, args: flags("--load", "1x1", "--mix", "0")},
	)
	return list
}

func residentMemory(r *bench.Result) (mib float64) {
	for _, p := range r.Processes {
		mib += float64(p.RSS) / (1 << 20) / float64(len(r.Processes))
	}
	return mib
}

// halfOfZookeeper is the rate that both get; ZooKeeper's writes are measured before.
func halfOfZookeeper(c *campaign, _ *ensemble, _ int) ([]string, error) {
	peak, _, _, ok := c.median("writes", zookeeper)
	if !ok {
		return nil, errors.New("the row writes must be measured before")
	}
	return []string{"--load", "9x1000", "--mix", "0", "--rate", strconv.Itoa(int(peak / 2))}, nil
}

// systems are those of a row in a round.
func (r *row) systems(round int) []string {
	list := systems(round)
	if r.bounded {
		list = append(list, bare)
	}
	return list
}

// loads measures the rows of a group, all systems in turns.
func (c *campaign) loads(rows []row, servers int) error {
	todo := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return c.complete(r.name, c.rounds, r.systems(0)...) })
	if len(todo) == 0 {
		return nil
	}
	all, closeAll, err := c.both(servers)
	if err != nil {
		return err
	}
	defer closeAll()
	if slices.ContainsFunc(todo, func(r row) bool { return r.bounded }) {
		e, err := c.newBare()
		if err != nil {
			return err
		}
		all[bare] = e
	}
	for round := range c.rounds {
		for _, r := range todo {
			for _, system := range r.systems(round) {
				if err := c.once(r.name, system, round, func() (sample, error) { return c.byBench(r, all[system], round) }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *campaign) byBench(r row, e *ensemble, round int) (sample, error) {
	args, err := r.args(c, e, round)
	if err != nil {
		return sample{}, err
	}
	res, args, err := c.bench(e, 3*time.Second, time.Second, args...)
	if err != nil {
		return sample{}, err
	}
	value := res.Rate
	if r.value != nil {
		value = r.value(res)
	}
	return sample{Value: value, Args: args, More: map[string]float64{
		"rate": res.Rate, "p50_us": res.Latency.P50, "p99_us": res.Latency.P99, "p999_us": res.Latency.P999, "cpu_us": res.CPUPerOp, "rss_mib": residentMemory(res),
	}}, nil
}
