//go:build unix

package main_test

import (
	"bytes"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
)

// Thousands connect and say nothing, a part of their first request, a byte now and then, or half of a later request: all are
// closed when their time is up, and a healthy client is served as ever.
func TestCrowd_IdleConnections(t *testing.T) {
	n, full := crowdSize(t, 200), crowdSize(t, 0) > 0
	const handshake, session = 3 * time.Second, 4 * time.Second
	m := standalone(t)
	admin := freeAddrs(t, 1)[0]
	m.args = append(m.args, "--admin-listen", admin, "--admin-pprof", "--4lw-whitelist", "*", "--handshake-timeout", handshake.String(), "--max-session-timeout", session.String())
	m.start()
	m.ready()
	before := scrape(t, admin, true)
	healthy := startHealthy(t, ensemble{m})
	var wg sync.WaitGroup
	var mu sync.Mutex // guards worst
	var worst time.Duration
	connect := connectRequest(0, make([]byte, wire.PasswordLen))
	each(t, n, func(i int) error {
		c := rawDial(t, m.addr)
		if i%4 == 3 {
			c.attach(t)
		}
		opened := time.Now()
		wg.Go(func() {
			defer c.Close()
			// Writes may fail, for the server may have had enough.
			switch i % 4 {
			case 1:
				c.Write(connect[:1+i%(len(connect)-1)])
			case 2:
				go drip(c, connect, 200*time.Millisecond)
			case 3:
				c.Write(request(1, wire.OpGetData, 0, 0, 0, 9)[:10])
			}
			if !c.closedByPeer() {
				t.Errorf("connection %d is still open after %v", i, time.Since(opened))
			}
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, time.Since(opened))
		})
		return nil
	})
	during := scrape(t, admin, true)
	wg.Wait()
	p99 := healthy.stop(t)
	after := scrape(t, admin, true)
	t.Logf("idle connections: %d, the last closed after %v (deadlines %v and %v), %.0f bytes each; healthy p99 %v; memory %.1f MB before, %.1f after",
		n, worst.Round(time.Millisecond), handshake, session, (during.memory()-before.memory())/float64(n), p99, before.memory()/1e6, after.memory()/1e6)
	if worst > 2*session+time.Second {
		t.Errorf("one was closed after %v", worst)
	}
	if full && p99 > 100*time.Millisecond {
		t.Errorf("p99 of a healthy client is %v", p99)
	}
	// Go keeps some hundred bytes of every goroutine there ever was at once, for the next ones.
	if limit := 1.1*before.memory() + 5e6 + 1000*float64(n); after.memory() > limit {
		t.Errorf("%.0f bytes of heap and stacks in the end, %.0f before", after.memory(), before.memory())
	}
}

// drip writes b one byte at a time, until it is written or the connection is closed.
func drip(w io.Writer, b []byte, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return
		}
		<-tick.C
	}
}

// Clients that ask for 100 MB and read nothing cost the server a few MB each; who reads in the end gets all of it, and others are
// served meanwhile.
func TestCrowd_SlowReaders(t *testing.T) {
	readers, requests := 4, 100
	if crowdSize(t, 0) > 0 {
		readers = 50
	}
	m := standalone(t)
	admin := freeAddrs(t, 1)[0]
	m.args = append(m.args, "--admin-listen", admin, "--admin-pprof")
	m.start()
	m.ready()
	boss := dial(t, 30*time.Second, m.addr)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	if _, err := boss.Create(t.Context(), "/big", big); err != nil {
		t.Fatal(err)
	}
	before := scrape(t, admin, true)
	healthy := startHealthy(t, ensemble{m})
	conns := make([]rawConn, readers)
	read := wire.PathWatchRequest{Path: "/big"}
	for i := range conns {
		conns[i] = rawDial(t, m.addr)
		defer conns[i].Close()
		conns[i].attach(t)
		for xid := range int32(requests) {
			if _, err := conns[i].Write(request(xid, wire.OpGetData, read.Append(nil)...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	testkit.Eventually(t, "the server reads no more of what they ask", func() bool {
		return scrape(t, admin, false)["docent_connections_held_total"] >= float64(readers)
	})
	during := scrape(t, admin, true)
	each := (during.memory() - before.memory()) / float64(readers)
	if err := conns[0].SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for xid := range int32(requests) {
		frame, err := wire.ReadFrame(conns[0], nil, 2<<20)
		if err != nil {
			t.Fatalf("answer %d: %v", xid, err)
		}
		var h wire.ReplyHeader
		r := wire.NewReader(frame)
		if h.Decode(r); h.Xid != xid || h.Err != wire.OK || !bytes.Equal(r.Buffer(), big) {
			t.Fatalf("answer %d is not what was asked for: %+v", xid, h)
		}
	}
	p99 := healthy.stop(t)
	t.Logf("slow readers: %d of %d MB each, %.1f MB of memory each; one read all of it in the end; healthy p99 %v", readers, requests, each/1e6, p99)
	if each > 8e6 {
		t.Errorf("each costs %.0f bytes", each)
	}
}

// A server that is told how much memory it may use (GOMEMLIMIT) stays near that while clients send much more at once than it
// can hold: requests of 1 MB, one behind the other, and frames that are announced and half sent.
func TestCrowd_Memory(t *testing.T) {
	flooders, halves := 4, 100
	if crowdSize(t, 0) > 0 {
		flooders, halves = 16, 5000
	}
	const limit = 512e6
	m := standalone(t)
	admin := freeAddrs(t, 1)[0]
	m.args = append(m.args, "--admin-listen", admin)
	cmd := exec.Command(docent(t), m.args...)
	cmd.Env = append(cmd.Environ(), "GOMEMLIMIT=256MiB")
	m.process = run(t, m.name, cmd)
	m.ready()
	boss := dial(t, 30*time.Second, m.addr)
	if _, err := boss.Create(t.Context(), "/flood", nil); err != nil {
		t.Fatal(err)
	}
	for range halves { // before a session is opened nobody may announce as much as a request may be
		c := rawDial(t, m.addr)
		defer c.Close()
		c.Write(append(int32s(1<<20-1), make([]byte, 64<<10)...))
	}
	set := wire.SetDataRequest{Path: "/flood", Data: make([]byte, 1_000_000), Version: -1}
	frame := request(1, wire.OpSetData, set.Append(nil)...)
	const writes = 100
	var wg sync.WaitGroup
	for range flooders {
		c := rawDial(t, m.addr)
		defer c.Close()
		c.attach(t)
		if err := c.SetDeadline(time.Now().Add(3 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range writes {
				if _, err := c.Write(frame); err != nil {
					t.Errorf("a flooder: %v", err)
					return
				}
			}
		})
		wg.Go(func() {
			for range writes {
				if h, err := c.reply(); err != nil || h.Err != wire.OK {
					t.Errorf("a flooder's answer: %+v, %v", h, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	peak := 0.0
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(20 * time.Millisecond): // how often it is looked at
		}
		f := scrape(t, admin, false)
		peak = max(peak, f["process_resident_memory_bytes"], f.memory())
	}
	m.alive()
	t.Logf("memory: %d clients wrote %d MB each, %d announced 1 MB without a session; at most %.0f MB resident with GOMEMLIMIT=256MiB", flooders, writes, halves, peak/1e6)
	if peak > limit {
		t.Errorf("%.0f MB were resident", peak/1e6)
	}
}
