package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// contender is a program that takes turns under locks at our orders, with one library's recipe; see
// internal/interop/contend.
type contender struct {
	name   string
	system string // of the ensemble it works on: each library has that of its own kind
	cmd    *exec.Cmd
	orders io.WriteCloser
	lines  *bufio.Scanner
}

// The libraries whose locks are compared.
const (
	gozk    = "go-zookeeper"
	curator = "Curator"
)

func libraries() []string { return []string{docent, curator, gozk} }

// startContender builds and starts the program of a library.
func (c *campaign) startContender(name string) (*contender, error) {
	line, err := c.contenderCommand(name)
	if err != nil {
		return nil, fmt.Errorf("locks of %s: %w", name, err)
	}
	p := &contender{name: name, system: zookeeper, cmd: exec.Command(line[0], line[1:]...)}
	if name == docent {
		p.system = docent
	}
	p.cmd.SysProcAttr, p.cmd.Stderr = dieWithUs(), os.Stderr
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, p.await("ready")
}

func (c *campaign) contenderCommand(name string) ([]string, error) {
	bin := filepath.Join(c.work, "contend-"+name)
	interop := filepath.Join(c.root, "internal", "interop")
	switch name {
	case docent:
		return []string{bin}, c.build(interop, "./contend", bin)
	case gozk:
		return []string{bin}, c.build(filepath.Join(interop, "gozk"), "./contend", bin)
	}
	const java = "/usr/share/java/"
	path := strings.Join([]string{java + "curator-recipes.jar", java + "curator-framework.jar", java + "curator-client.jar", zookeeperJar, java + "slf4j-nop.jar"}, ":")
	if _, err := output("javac", "-cp", path, "-d", c.work, filepath.Join(interop, "testdata", "Contend.java")); err != nil {
		return nil, err
	}
	return []string{"java", "-Xmx256m", "-cp", path + ":" + c.work, "Contend"}, nil
}

// build builds a program of the module in dir.
func (c *campaign) build(dir, pkg, bin string) error {
	cmd := exec.CommandContext(c.ctx, "go", "build", "-o", bin, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// await reads up to a line that begins with a word, and fails if there is none.
func (p *contender) await(word string) error {
	for p.lines.Scan() {
		if strings.HasPrefix(p.lines.Text(), word) {
			return nil
		}
	}
	return fmt.Errorf("%s ended", p.name)
}

// rate is how many turns a second the contenders of a case take.
func (p *contender) rate(addrs, path string, l lockCase, lasts time.Duration) (float64, error) {
	order := "bench"
	if l.relock && p.name == docent {
		order = "relock"
	}
	if l.own {
		path += "-%d" // a lock for each
	}
	if _, err := fmt.Fprintln(p.orders, order, addrs, path, l.contenders, lasts.Milliseconds()); err != nil {
		return 0, err
	}
	if err := p.await("done"); err != nil {
		return 0, err
	}
	var n, ns int64
	if _, err := fmt.Sscanf(p.lines.Text(), "done %d %d", &n, &ns); err != nil {
		return 0, fmt.Errorf("%s: %q: %w", p.name, p.lines.Text(), err)
	}
	return float64(n) / time.Duration(ns).Seconds(), nil
}

func (p *contender) close() {
	_ = p.orders.Close() // ends it
	_ = p.cmd.Wait()
}

// lockCase is a number of contenders for one lock, or for one each.
type lockCase struct {
	row, what  string
	contenders int
	own        bool
	relock     bool // docent's send a release and the next acquire in one flight; no other library does
	ratio      float64
}

func lockRows() []lockCase {
	return []lockCase{
		{"lock-1", "lock: 1 client", 1, true, false, 1.3},
		{"lock-1-again", "lock: 1 client, each release with the next acquire (Relock)", 1, true, true, 2},
		{"lock-50-own", "locks: 50 clients, own locks", 50, true, false, 2.5},
		{"lock-50-one", "lock: 50 clients, one lock", 50, false, false, 1.7},
		{"lock-50-one-again", "lock: 50 clients, one lock, each release with the next acquire (Relock)", 50, false, true, 1.7},
	}
}

// lockCurve is figure (e).
func lockCurve() (list []lockCase) {
	for _, n := range []int{1, 2, 5, 10, 20, 50} {
		list = append(list, lockCase{row: fmt.Sprintf("fig-e-%d", n), contenders: n})
	}
	return list
}

// locks measures the cases with all libraries in turns, each on an ensemble of 3 of its kind.
func (c *campaign) locks(cases []lockCase) error {
	done := true
	for _, l := range cases {
		done = done && c.complete(l.row, c.rounds, libraries()...)
	}
	if done {
		return nil
	}
	all, closeAll, err := c.both(3)
	if err != nil {
		return err
	}
	defer closeAll()
	var programs []*contender
	for _, name := range libraries() {
		p, err := c.startContender(name)
		if err != nil {
			return err
		}
		defer p.close()
		programs = append(programs, p)
		if _, err := p.rate(all[p.system].addrs(), "/warm-"+name, lockCase{contenders: 10}, c.lasting(5*time.Second)); err != nil {
			return err
		}
	}
	for round := range c.rounds {
		for _, l := range cases {
			for i := range programs {
				p := programs[(i+round)%len(programs)]
				path := fmt.Sprintf("/locks-%s-%s-%d", p.name, l.row, round)
				if err := c.once(l.row, p.name, round, func() (sample, error) {
					rate, err := p.rate(all[p.system].addrs(), path, l, c.lasting(3*time.Second))
					return sample{Value: rate}, err
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
