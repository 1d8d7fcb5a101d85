package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
)

// clientCase is one figure of docent's client beside go-zookeeper/zk's, with the same server: the least one can do, so
// that the client is what is measured.
type clientCase struct {
	row, what string
	ours      string // case of clientbench, or batch
	theirs    string
	ratio     float64
	allocs    float64 // instead of a ratio: at most so many allocations per call
}

func clientRows() []clientCase {
	return []clientCase{
		{"client-1", "client: blocking gets of 1 goroutine", "get/1", "get/1", 1.3, 0},
		{"client-256", "client: blocking gets of 256 goroutines", "get/256", "get/256", 2.5, 0},
		{"client-batch", "client: pipelined batches of 100 gets, to go-zookeeper's blocking ones", "batch", "get/256", 6, 0},
		{"client-get-allocs", "client: allocations per get", "get/256", "get/256", 0, 3},
		{"client-set-allocs", "client: allocations per set", "set/256", "set/256", 0, 2},
	}
}

// figure is what the programs of both clients print.
type figure struct{ Rate, Allocs, Bytes, Usecs float64 }

func (c *campaign) clients() error {
	done := true
	for _, x := range clientRows() {
		done = done && c.complete(x.row, c.rounds, docent, gozk)
	}
	if done {
		return nil
	}
	interop := filepath.Join(c.root, "internal", "interop")
	ours, theirs := filepath.Join(c.work, "clientbench"), filepath.Join(c.work, "gozkbench")
	if err := c.build(interop, "./clientbench", ours); err != nil {
		return err
	}
	if err := c.build(filepath.Join(interop, "gozk"), "./bench", theirs); err != nil {
		return err
	}
	for round := range c.rounds {
		for _, x := range clientRows() {
			for _, name := range []string{docent, gozk} {
				if err := c.once(x.row, name, round, func() (sample, error) {
					f, err := c.client(x, name, ours, theirs)
					if x.allocs > 0 {
						return sample{Value: f.Allocs, More: map[string]float64{"bytes": f.Bytes}}, err
					}
					return sample{Value: f.Rate, More: map[string]float64{"cpu_us": f.Usecs, "allocs": f.Allocs}}, err
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// client measures one case of one client, with a server of its own.
func (c *campaign) client(x clientCase, name, ours, theirs string) (f figure, err error) {
	srv := exec.Command(ours, "-serve", "echo")
	srv.SysProcAttr, srv.Stderr = dieWithUs(), os.Stderr
	in, err := srv.StdinPipe()
	if err != nil {
		return f, err
	}
	out, err := srv.StdoutPipe()
	if err != nil {
		return f, err
	}
	if err := srv.Start(); err != nil {
		return f, err
	}
	defer func() {
		_ = in.Close() // ends it
		_ = srv.Wait()
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return f, err
	}
	addr = strings.TrimSpace(addr)
	lasts := c.lasting(2 * time.Second)
	line := []string{theirs, "-addr", addr, "-case", x.theirs}
	if name == docent {
		if x.ours == "batch" {
			return c.batches(addr, lasts)
		}
		line = []string{ours, "-measure", addr, "-case", x.ours}
	}
	text, err := output(line[0], append(line[1:], "-time", lasts.String())...)
	if err != nil {
		return f, err
	}
	return f, json.NewDecoder(bytes.NewReader(text)).Decode(&f)
}

// batches measures docent's client with batches of 100 gets, from four goroutines so that one is always under way.
func (c *campaign) batches(addr string, lasts time.Duration) (f figure, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, lasts+30*time.Second)
	defer cancel()
	cl, err := client.Dial(ctx, client.Config{Servers: []string{addr}})
	if err != nil {
		return f, err
	}
	defer cl.Close()
	const size, goroutines = 100, 4
	counts, errs := make(chan int, goroutines), make(chan error, goroutines)
	began := time.Now()
	for range goroutines {
		go func() {
			n, err := batchesUntil(ctx, cl, size, began.Add(lasts))
			counts <- n
			errs <- err
		}()
	}
	n := 0
	for range goroutines {
		n += <-counts
		if e := <-errs; e != nil {
			err = e
		}
	}
	f.Rate = float64(n) / time.Since(began).Seconds()
	return f, err
}

func batchesUntil(ctx context.Context, cl *client.Client, size int, end time.Time) (n int, err error) {
	for time.Now().Before(end) {
		s, err := cl.Session(ctx)
		if err != nil {
			return n, err
		}
		b := s.Batch()
		var last *client.Future[client.Reading]
		for range size {
			last = b.Get("/x")
		}
		if err := b.Do(ctx); err != nil {
			return n, err
		}
		if r, err := last.Get(); err != nil || len(r.Node.Data) != 1024 {
			return n, fmt.Errorf("a get in a batch: %d bytes, %w", len(r.Node.Data), err)
		}
		n += size
	}
	return n, nil
}
