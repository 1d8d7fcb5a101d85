package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"slices"
	"time"

	"github.com/docent-io/docent/cmd/docent/internal/bench"
)

// campaign is what all measurements share.
type campaign struct {
	ctx    context.Context
	docent string // the binary
	root   string // of the repository
	docs   string // folder for the page and the figures
	work   string // folder of the servers' data
	file   string // of the samples
	rounds int
	scale  float64 // of all durations; less than 1 to try whether it works
	have   []sample
	began  time.Time
}

// sample is one measurement, as it is kept as a line of JSON.
type sample struct {
	Row    string             `json:"row"` // or the figure
	System string             `json:"system"`
	Round  int                `json:"round"`
	At     time.Time          `json:"at"`
	Value  float64            `json:"value"`
	More   map[string]float64 `json:"more,omitempty"` // what else was seen
	Args   []string           `json:"args,omitempty"` // of docent bench
	Line   []float64          `json:"line,omitempty"` // of a time line: requests per second in each interval
	Events []event            `json:"events,omitempty"`
}

// event is something done to the servers, at seconds of a time line.
type event struct {
	At   float64 `json:"at"`
	What string  `json:"what"`
}

// load reads the samples that are there, in place of those it read before.
func (c *campaign) load() error {
	c.have = nil
	f, err := os.Open(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var s sample
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		c.have = append(c.have, s)
	}
	return in.Err()
}

// save keeps a sample.
func (c *campaign) save(s sample) error {
	s.At = time.Now().UTC().Truncate(time.Second)
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		f.Close()
		return err
	}
	c.have = append(c.have, s)
	return f.Close()
}

// find returns the samples of a row and a system, in the order of their rounds.
func (c *campaign) find(row, system string) (list []sample) {
	for _, s := range c.have {
		if s.Row == row && s.System == system {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b sample) int { return a.Round - b.Round })
	return list
}

// median returns that of the values of a row, with the least and the largest; ok is false if there are none.
func (c *campaign) median(row, system string) (mid, low, high float64, ok bool) {
	var values []float64
	for _, s := range c.find(row, system) {
		values = append(values, s.Value)
	}
	if len(values) == 0 {
		return 0, 0, 0, false
	}
	slices.Sort(values)
	return quantile(values, 0.5), values[0], values[len(values)-1], true
}

// quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// measured tells whether a sample is there.
func (c *campaign) measured(row, system string, round int) bool {
	return slices.ContainsFunc(c.have, func(s sample) bool { return s.Row == row && s.System == system && s.Round == round })
}

// complete tells whether all samples of a row are there.
func (c *campaign) complete(row string, rounds int, systems ...string) bool {
	for round := range rounds {
		for _, system := range systems {
			if !c.measured(row, system, round) {
				return false
			}
		}
	}
	return true
}

// once takes a sample unless it is there. A measurement that fails is tried once more, and its first error is told.
func (c *campaign) once(row, system string, round int, measure func() (sample, error)) error {
	if c.measured(row, system, round) {
		return nil
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	s, err := measure()
	if err != nil && c.ctx.Err() == nil {
		log.Printf("%s, %s, round %d: %v; once more", row, system, round, err)
		s, err = measure()
	}
	if err != nil {
		return fmt.Errorf("%s, %s, round %d: %w", row, system, round, err)
	}
	s.Row, s.System, s.Round = row, system, round
	log.Printf("%6.0f s  %-28s %-10s round %d: %.4g", time.Since(c.began).Seconds(), row, system, round, s.Value)
	return c.save(s)
}

// lasting scales a duration.
func (c *campaign) lasting(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*c.scale), 200*time.Millisecond).Round(time.Millisecond)
}

// bench runs docent bench on servers.
func (c *campaign) bench(e *ensemble, time, warmUp time.Duration, args ...string) (*bench.Result, []string, error) {
	args = append(args, "--time", c.lasting(time).String(), "--warm-up", c.lasting(warmUp).String())
	out, err := output(c.docent, append([]string{"bench", "--json", "--dsn", e.dsn(), "--session", "30s", "--pid", e.pids()}, args...)...)
	if err != nil {
		return nil, nil, err
	}
	res := new(bench.Result)
	if err := json.Unmarshal(out, res); err != nil {
		return nil, nil, fmt.Errorf("docent bench: %w", err)
	}
	return res, args, nil
}

// warm gives servers that run in a virtual machine the load they need before they are as fast as they get.
func (c *campaign) warm(e *ensemble) error {
	if e.warm || e.system != zookeeper {
		return nil
	}
	e.warm = true
	log.Printf("%6.0f s  warming up %d ZooKeeper servers", time.Since(c.began).Seconds(), len(e.servers))
	for _, mix := range []string{"0", "100", "50"} {
		if _, _, err := c.bench(e, 6*time.Second, 0, "--load", "9x100", "--mix", mix); err != nil {
			return err
		}
	}
	return nil
}

// both starts the same ensemble of both systems; they take turns under load, and cost next to nothing between.
func (c *campaign) both(n int) (map[string]*ensemble, func(), error) {
	all := make(map[string]*ensemble)
	closeAll := func() {
		for _, e := range all { // the caller may have added to them
			e.close()
		}
	}
	for _, system := range []string{docent, zookeeper} {
		e, err := c.newEnsemble(system, n, nil)
		if err == nil {
			all[system] = e
			err = c.warm(e)
		}
		if err != nil {
			closeAll()
			return nil, nil, err
		}
	}
	return all, closeAll, nil
}

// systems are those compared; every second round begins with the other one.
func systems(round int) []string {
	if round%2 == 0 {
		return []string{docent, zookeeper}
	}
	return []string{zookeeper, docent}
}
