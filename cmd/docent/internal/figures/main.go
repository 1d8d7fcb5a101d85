// Figures measures docent beside Apache ZooKeeper, on this machine and in turns, draws the figures of docs/performance.md,
// and writes that page. It keeps each sample as a line of bin/figures/results.jsonl, and measures only what is not there.
//
//	make figures                           all of it, in something over an hour
//	make bench-table                       the rows of the table alone
//	make bench-table ROWS=writes,reads     some rows
//	make figures-try                       everything for a moment, elsewhere, to see that it works
//
// ZooKeeper is Debian's package zookeeper, Curator libcurator-recipes-java. Cutting a machine off needs root; what is not
// possible is told, and left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	var (
		only   = flag.String("rows", "", "only these `rows`, figures or groups, with commas; list shows them")
		rounds = flag.Int("rounds", 3, "times each is measured")
		try    = flag.Bool("try", false, "everything for a moment, and no results in docs")
		table  = flag.Bool("table", false, "the rows of the table, not the figures")
		inside = flag.Bool("behind-switch", false, "run in a network namespace of its own: used by itself")
		binary = flag.String("docent", "", "`file` of the docent to measure (default: built from this repository)")
		bareIn = flag.String("bare", "", "be a bare server, with its log in this `folder`: used by itself")
		page   = flag.Bool("page", false, "measure nothing, only draw and write the page")
	)
	flag.Parse()
	if *bareIn != "" {
		return serveBare(*bareIn)
	}
	c := &campaign{ctx: ctx, rounds: *rounds, scale: 1, began: time.Now()}
	if err := c.prepare(*try, *binary); err != nil {
		return err
	}
	defer os.RemoveAll(c.work)
	jobs := c.jobs()
	if *only == "list" {
		for _, j := range jobs {
			fmt.Println(j.name)
		}
		return nil
	}
	chosen, err := choose(jobs, *only, *table)
	if err != nil {
		return err
	}
	if *page {
		chosen = nil
	}
	if err := installed(zookeeper); err != nil {
		return err
	}
	var failed []error
	for _, j := range c.together(chosen) {
		run := j.run
		if j.name == cutOff && !*inside {
			run = behindSwitch
		}
		err := run()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil { // the others are worth measuring all the same
			log.Printf("%s: %v", j.name, err)
			failed = append(failed, fmt.Errorf("%s failed", j.name))
		}
	}
	if *inside {
		return errors.Join(failed...)
	}
	if err := c.load(); err != nil { // what was measured behind the switch, too
		return err
	}
	return errors.Join(errors.Join(failed...), c.drawAll(), c.report())
}

// prepare finds the repository, builds docent, and reads what was measured before.
func (c *campaign) prepare(try bool, binary string) (err error) {
	root, err := output("go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	c.root = strings.TrimSpace(string(root))
	c.docs = filepath.Join(c.root, "docs")
	dir := filepath.Join(c.root, "bin", "figures")
	if try {
		dir = filepath.Join(c.root, "bin", "figures-try")
		c.scale, c.rounds = 0.05, 1
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if c.work, err = os.MkdirTemp(dir, "work-"); err != nil {
		return err
	}
	c.file, c.docent = filepath.Join(dir, "results.jsonl"), filepath.Join(c.work, "docent")
	if binary != "" {
		if c.docent, err = filepath.Abs(binary); err != nil {
			return err
		}
	} else if err := c.build(c.root, "./cmd/docent", c.docent); err != nil {
		return err
	}
	if try {
		c.docs = filepath.Join(dir, "docs")
	}
	return c.load()
}

// job is what can be chosen: a row, or rows and figures that are measured together.
type job struct {
	name    string
	also    string // by which it can be chosen, too
	figure  bool
	run     func() error
	row     row // if it is one that docent bench measures, on so many servers
	servers int
}

func (c *campaign) jobs() (list []job) {
	for _, r := range loadRows() {
		list = append(list, job{name: r.name, row: r, servers: r.servers})
	}
	add := func(figure bool, name string, run func() error) {
		list = append(list, job{name: name, figure: figure, run: run})
	}
	add(false, "locks", func() error { return c.locks(lockRows()) })
	add(false, "clients", c.clients)
	add(false, "growth", c.grown)
	for _, f := range faults() {
		add(false, f.name, func() error {
			for _, system := range systems(0) {
				if err := c.fail(f, system); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, n := range sizes {
		list = append(list, job{name: fmt.Sprintf("fig-a-%d", n), also: "fig-a", figure: true, run: func() error { return c.readShares(n) }})
	}
	add(true, "fig-b", c.latencies)
	for _, system := range systems(0) {
		list = append(list, job{name: "fig-c-" + system, also: "fig-c", figure: true, run: func() error { return c.timeline(system) }})
	}
	add(true, "fig-d", c.growing)
	add(true, "fig-e", func() error { return c.locks(lockCurve()) })
	add(false, "false-elections", c.falseElections)
	return list
}

// together makes one job of the rows that are measured on the same servers.
func (c *campaign) together(jobs []job) (list []job) {
	rows := make(map[int][]row)
	for _, j := range jobs {
		if j.servers > 0 {
			rows[j.servers] = append(rows[j.servers], j.row)
		}
	}
	for _, j := range jobs {
		if j.servers == 0 {
			list = append(list, j)
		} else if all := rows[j.servers]; all != nil {
			rows[j.servers] = nil
			list = append(list, job{name: fmt.Sprintf("rows of %d servers", j.servers), run: func() error { return c.loads(all, j.servers) }})
		}
	}
	return list
}

// choose returns the jobs asked for.
func choose(jobs []job, only string, table bool) (chosen []job, err error) {
	for _, j := range jobs {
		if only == "" && !(table && j.figure) {
			chosen = append(chosen, j)
		}
	}
	if only == "" {
		return chosen, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		n := len(chosen)
		for _, j := range jobs {
			if j.name == name || j.also == name {
				chosen = append(chosen, j)
			}
		}
		if n == len(chosen) {
			return nil, fmt.Errorf("there is no row %q; ROWS=list lists them", name)
		}
	}
	return chosen, nil
}

// behindSwitch runs this program once more for the row that needs a network of its own.
func behindSwitch() error {
	if err := canCut(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"-n", self}, os.Args[1:]...)
	cmd := exec.Command("unshare", append(args, "-behind-switch", "-rows", cutOff)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, dieWithUs()
	return cmd.Run()
}
