//go:build unix

package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// A quiet session costs the server little. What 10,000 of them cost BenchmarkIdleSessions says.
func TestIdleSessions_Memory(t *testing.T) {
	f := measureIdle(t, 1000, 0)
	t.Logf("%.0f bytes a session", f.bytes)
	if limit := 20 << 10; !raceEnabled && f.bytes > float64(limit) {
		t.Errorf("a session costs %.0f bytes of heap and stacks, want at most %d", f.bytes, limit)
	}
}

// BenchmarkIdleSessions is 10,000 sessions of docent's client with timeouts of 30 s, which ping every 5 s: what each
// costs the server in memory, and all of them in time.
func BenchmarkIdleSessions(b *testing.B) {
	for b.Loop() {
		f := measureIdle(b, 10000, 20*time.Second)
		b.ReportMetric(f.bytes, "B/session")
		b.ReportMetric(f.percent, "%cpu")
	}
}

type idleFigures struct{ bytes, percent float64 }

// measureIdle connects n clients to a server in a process of its own, and asks it what they cost over a time.
func measureIdle(t testing.TB, n int, over time.Duration) (f idleFigures) {
	t.Helper()
	admin := freeAddrs(t, 1)[0]
	m := members(t, 1, "--admin-listen", admin, "--admin-pprof")[0]
	m.start()
	m.ready()
	before := scrape(t, admin, true)
	var wg sync.WaitGroup
	clients := make([]*client.Client, n)
	errs := make(chan error, n)
	const dialers = 32
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n; i += dialers {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				c, err := client.Dial(ctx, client.Config{Servers: []string{m.addr}, SessionTimeout: 30 * time.Second})
				cancel()
				if err != nil {
					errs <- err
					return
				}
				clients[i] = c
			}
		})
	}
	wg.Wait()
	defer func() {
		m.kill() // not one by one
		for _, c := range clients {
			if c != nil {
				c.Close()
			}
		}
	}()
	select {
	case err := <-errs:
		t.Fatalf("connect: %v", err)
	default:
	}
	start := scrape(t, admin, true)
	if got := start["docent_sessions"]; got < float64(n) {
		t.Fatalf("%v sessions, want %d", got, n)
	}
	if over > 0 { // the time is what is measured, there is no event to wait for
		select {
		case <-time.After(over):
		case <-t.Context().Done():
		}
	}
	late := scrape(t, admin, false)
	end := scrape(t, admin, true)
	f.bytes = (end.memory() - before.memory()) / float64(n)
	if over > 0 {
		f.percent = 100 * (late["process_cpu_seconds_total"] - start["process_cpu_seconds_total"]) / over.Seconds()
	}
	if got := end["docent_connections"]; got != float64(n) {
		t.Errorf("%v connections in the end, want %d", got, n)
	}
	return f
}

type metrics map[string]float64

// memory is what the process uses: live heap and stacks.
func (m metrics) memory() float64 {
	return m["go_memstats_heap_alloc_bytes"] + m["go_memstats_stack_inuse_bytes"]
}

// scrape reads a server's metrics, if asked to after a garbage collection.
func scrape(t testing.TB, admin string, collect bool) metrics {
	t.Helper()
	if collect {
		fetch(t, "http://"+admin+"/debug/pprof/heap?gc=1")
	}
	m := make(metrics)
	for line := range strings.Lines(fetch(t, "http://"+admin+"/metrics")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			m[name] = v
		}
	}
	return m
}

func fetch(t testing.TB, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return string(text)
}
