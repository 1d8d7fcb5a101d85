package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/docent-io/docent/cmd/docent/internal/bench"
)

// steady is the load under which servers fail: as in PERFORMANCE.md, 20 connections that ask for 2,000 writes/s.
var steady = []string{"--load", "20x200", "--mix", "0", "--rate", "2000", "--nodes", "100", "--timeline", "100ms", "--keep"}

// running is a docent bench that has been started.
type running struct {
	cmd         *exec.Cmd
	out, stderr bytes.Buffer
	ended       chan error
}

// startBench starts docent bench, and returns when its load is on the servers.
func (c *campaign) startBench(e *ensemble, lasts time.Duration, args ...string) (*running, error) {
	const warmUp = 2 * time.Second
	args = append([]string{"bench", "--json", "--dsn", e.dsn(), "--session", "10s", "--time", lasts.String(), "--warm-up", warmUp.String()}, args...)
	b := &running{cmd: exec.Command(c.docent, args...), ended: make(chan error, 1)}
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.SysProcAttr = &b.out, &b.stderr, dieWithUs()
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { b.ended <- b.cmd.Wait() }()
	// It takes a moment to create its nodes. Its result tells when it began to count, and what happens before that does not.
	select {
	case err := <-b.ended:
		return nil, fmt.Errorf("docent bench: %w\n%s", err, b.stderr.Bytes())
	case <-time.After(warmUp + 2*time.Second):
	}
	return b, nil
}

// result waits for the end.
func (b *running) result() (*bench.Result, error) {
	if err := <-b.ended; err != nil {
		return nil, fmt.Errorf("docent bench: %w\n%s", err, b.stderr.Bytes())
	}
	res := new(bench.Result)
	return res, json.Unmarshal(b.out.Bytes(), res)
}

// stop ends it early, without a result.
func (b *running) stop() {
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	<-b.ended
}

// fault is a way to take a leader away, and to bring it back.
type fault struct {
	name, what string
	target     target
	take       func(*ensemble, *server) error
	back       func(*ensemble, *server) error
	down       time.Duration // how long it is away
	times      map[string]int
}

func signalLeader(sig syscall.Signal) func(*ensemble, *server) error {
	return func(_ *ensemble, s *server) error { s.stop(sig); return nil }
}

func restart(_ *ensemble, s *server) error { return s.start() }

const cutOff = "cut-off"

// faults of a leader among five servers.
func faults() []fault {
	return []fault{
		{name: "killed", what: "leader killed among 5, to the next acknowledged write", target: target{limit: 50, less: true, text: "median < 50 ms, p90 < 250 ms"},
			take: signalLeader(syscall.SIGKILL), back: restart, down: 2 * time.Second, times: map[string]int{docent: 15, zookeeper: 5}},
		{name: "terminated", what: "SIGTERM of the leader under load, longest gap between writes", target: target{limit: 30, less: true, text: "< 30 ms"},
			take: signalLeader(syscall.SIGTERM), back: restart, down: 2 * time.Second, times: map[string]int{docent: 10, zookeeper: 3}},
		{name: cutOff, what: "leader's machine cut off among 5, to the next acknowledged write", target: target{limit: 1000, less: true, text: "median < 1 s"},
			take: (*ensemble).cut, back: (*ensemble).join, down: 10 * time.Second, times: map[string]int{docent: 5, zookeeper: 3}},
	}
}

// fail measures a fault so many times under one load. Each time is a sample.
func (c *campaign) fail(f fault, system string) error {
	times := f.times[system]
	if c.scale < 1 {
		times = 2
	}
	if c.complete(f.name, times, system) {
		return nil
	}
	var net *network
	if f.name == cutOff {
		var err error
		if net, err = newNetwork(5); err != nil {
			return err
		}
		defer net.close()
	}
	e, err := c.newEnsemble(system, 5, net)
	if err != nil {
		return err
	}
	defer e.close()
	if err := c.warm(e); err != nil {
		return err
	}
	const pause = 4 * time.Second
	recovery := map[string]time.Duration{docent: 3 * time.Second, zookeeper: 12 * time.Second}[system]
	b, err := c.startBench(e, time.Duration(times+1)*(f.down+pause+recovery), steady...)
	if err != nil {
		return err
	}
	var at []time.Time
	for range times {
		t, err := c.failOnce(f, e, pause)
		if err != nil {
			b.stop()
			return err
		}
		at = append(at, t)
	}
	res, err := b.result()
	if err != nil {
		return err
	}
	return c.outages(f, system, res, at)
}

// failOnce takes the leader away when all is well, and brings it back.
func (c *campaign) failOnce(f fault, e *ensemble, pause time.Duration) (time.Time, error) {
	if err := e.serve(); err != nil {
		return time.Time{}, err
	}
	time.Sleep(pause) // for the servers to be in step again; no event tells
	lead, err := e.leader()
	if err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	if err := f.take(e, lead); err != nil {
		return at, err
	}
	time.Sleep(f.down - time.Since(at))
	return at, f.back(e, lead)
}

// outages saves one sample for each fault.
func (c *campaign) outages(f fault, system string, res *bench.Result, at []time.Time) error {
	for i, t := range at {
		from := t.Sub(res.Start).Seconds()
		if from < 0 || from > res.Seconds-2 {
			return fmt.Errorf("fault %d was at %.1f s of a load of %.1f s", i, from, res.Seconds)
		}
		longest := bench.Gap{From: from, To: from + 0.005} // shorter gaps are not told
		// The outage begins with the fault, or when the last answers under way have come; what comes later has other causes.
		for _, g := range res.Timeline.Gaps {
			g.From = max(g.From, from)
			if g.From < from+1 && g.To-g.From > longest.To-longest.From {
				longest = g
			}
		}
		value := longest.To - longest.From
		var failed float64
		for _, n := range res.Errors {
			failed += float64(n)
		}
		more := map[string]float64{"began_ms": (longest.From - from) * 1000, "error_replies": failed, "lost": float64(res.Lost), "reconnects": float64(res.Reconnects), "expired": float64(res.Expired)}
		if err := c.once(f.name, system, i, func() (sample, error) { return sample{Value: value * 1000, More: more, Args: steady}, nil }); err != nil {
			return err
		}
	}
	return nil
}

// falseElections counts elections among five servers while two processes keep the processors busy.
func (c *campaign) falseElections() error {
	return c.once("false-elections", docent, 0, func() (sample, error) {
		e, err := c.newEnsemble(docent, 5, nil)
		if err != nil {
			return sample{}, err
		}
		defer e.close()
		before := e.elections()
		var spinning []*exec.Cmd
		defer func() {
			for _, cmd := range spinning {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		}()
		for range 2 {
			cmd := exec.Command("sh", "-c", "while :; do :; done")
			cmd.SysProcAttr = dieWithUs()
			if err := cmd.Start(); err != nil {
				return sample{}, err
			}
			spinning = append(spinning, cmd)
		}
		lasts := c.lasting(10 * time.Minute)
		select {
		case <-time.After(lasts):
		case <-c.ctx.Done():
			return sample{}, errors.New("interrupted")
		}
		return sample{Value: float64(e.elections() - before), More: map[string]float64{"seconds": lasts.Seconds()}}, nil
	})
}

// elections counts how often a server has said that it leads.
func (e *ensemble) elections() (n int) {
	for _, s := range e.servers {
		n += strings.Count(s.logged(), "msg=leading")
	}
	return n
}
