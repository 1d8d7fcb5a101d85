package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/cmd/docent/internal/bench"
)

// benchSession is patient: a server that is overloaded is to be measured, and not to lose its sessions.
const benchSession = 30 * time.Second

// benchOptions is what the flags of docent bench are read into.
type benchOptions struct {
	cfg             bench.Config
	load, mix, idle string
}

func benchVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "load servers, and measure them", Args: noArgs,
		Long:    "Loads the servers of the URL, all alike, checks every reply, and measures.",
		Example: "  docent bench --load 9x100 --mix 75 --pid $(pidof docent | tr ' ' ,)",
	}
	r, out, o := addRemote(cmd, e), &output{}, &benchOptions{}
	fs, cfg := cmd.Flags(), &o.cfg
	fs.SortFlags = false
	fs.StringVar(&o.load, "load", "9x100", "connections, and requests each: `CxR`")
	fs.StringVar(&o.mix, "mix", "50", "% get, the rest set; or `weights`: get=7,set=2,exists, children,sync,create,ephemeral")
	fs.IntVar(&cfg.Nodes, "nodes", 1000, "`number` of nodes that are there")
	fs.IntVar(&cfg.Size, "size", 1024, "`bytes` in a node")
	fs.Float64Var(&cfg.Zipf, "zipf", 0, "`exponent` of a Zipf choice of nodes; 0: all alike")
	fs.Float64Var(&cfg.Rate, "rate", 0, "`requests` due per second; 0: as many as go")
	fs.DurationVar(&cfg.Duration, "time", 10*time.Second, "how long to measure")
	fs.DurationVar(&cfg.WarmUp, "warm-up", 2*time.Second, "how long before, not measured")
	fs.DurationVar(&cfg.Timeline, "timeline", 0, "`interval` of a time line, on which servers may fail")
	fs.StringVar(&o.idle, "idle", "0,0", "idle sessions and their watches: `S,W`")
	fs.IntSliceVar(&cfg.Pids, "pid", nil, "`processes` whose CPU and memory to tell: 12,34,56")
	fs.BoolVar(&cfg.Keep, "keep", false, "leave the nodes there")
	fs.BoolVar(&out.json, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.complete(r); err != nil {
			return usageError(byBenchFlag(err))
		}
		// A client finds out what is wrong with servers, names, certificates or rights, and tells by the exit code.
		c, err := r.dial(cmd.Context())
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
		if _, ok := terminal(e.stderr); ok {
			cfg.Progress = func(s string) { fmt.Fprintln(e.stderr, s) }
		}
		res, err := bench.Run(cmd.Context(), *cfg)
		if res != nil { // even if its nodes could not be deleted
			err = errors.Join(err, out.one(e.stdout, res, res.Text))
		}
		return err
	}
	return cmd
}

// byBenchFlag names the flags in what is wrong with a configuration.
func byBenchFlag(err error) error {
	for field, flag := range map[string]string{
		"nodes:": "--nodes:", "size:": "--size:", "Zipf exponent:": "--zipf:", "rate:": "--rate:", "durations:": "--warm-up and --time:", "time line ": "--timeline: ",
	} {
		if rest, ok := strings.CutPrefix(err.Error(), field); ok {
			return &refusal{err, flag + rest}
		}
	}
	return err
}

// complete reads what the flags say, and checks it as a whole.
func (o *benchOptions) complete(r *remote) (err error) {
	cfg := &o.cfg
	if cfg.Conns, cfg.InFlight, err = twoNumbers(o.load, "x"); err != nil {
		return fmt.Errorf("--load %q: want CONNECTIONSxREQUESTS", o.load)
	}
	if cfg.Sessions, cfg.Watches, err = twoNumbers(o.idle, ","); err != nil {
		return fmt.Errorf("--idle %q: want SESSIONS,WATCHES", o.idle)
	}
	if percent, e := strconv.ParseFloat(o.mix, 64); e == nil {
		cfg.Mix, err = bench.Reads(percent)
	} else {
		cfg.Mix, err = bench.ParseMix(o.mix)
	}
	if err != nil {
		return fmt.Errorf("--mix: %w", err)
	}
	cc, err := r.config()
	if err != nil {
		return err
	}
	o.reach(cc)
	return cfg.Check()
}

func twoNumbers(s, between string) (a, b int, err error) {
	first, second, ok := strings.Cut(s, between)
	if !ok {
		return 0, 0, errors.New("want two numbers")
	}
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(second)
	return a, b, errors.Join(errA, errB)
}

// reach takes over how a client would reach the ensemble.
func (o *benchOptions) reach(cc client.Config) {
	cfg := &o.cfg
	for _, s := range cc.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "2181")
		}
		cfg.Addrs = append(cfg.Addrs, s)
	}
	cfg.TLS = cc.TLS
	for _, a := range cc.Auth {
		cfg.Auth = append(cfg.Auth, bench.Auth{Scheme: a.Scheme, Data: a.Data})
	}
	if cfg.Session = cc.SessionTimeout; cfg.Session == 0 {
		cfg.Session = benchSession
	}
	cfg.Root = strings.TrimSuffix(cc.Chroot, "/") + "/bench-" + strings.ToLower(rand.Text()[:10])
}
