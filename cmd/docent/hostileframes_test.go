//go:build unix

package main_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// TestHostile_Frames sends frames that were mutated at random to the leader and its followers, many on their way at once, while
// well-behaved clients work. DOCENT_HOSTILE_FRAMES is how many, DOCENT_HOSTILE_SEED where the random numbers begin.
func TestHostile_Frames(t *testing.T) {
	frames, seed, long := 21_000, uint64(time.Now().UnixNano()), false
	if s := os.Getenv("DOCENT_HOSTILE_FRAMES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		frames, long = n, true
	} else if testing.Short() || raceEnabled {
		frames = 2100
	}
	if s := os.Getenv("DOCENT_HOSTILE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	e := startEnsemble(t)
	leader := e.leader(t)
	healthy := startHealthy(t, e)
	var wg sync.WaitGroup
	attackers := make([]*attacker, len(e))
	began := time.Now()
	for i, m := range e {
		a := &attacker{t: t, m: m, rng: rand.New(rand.NewPCG(seed, uint64(i))), valid: validRequests()}
		for op := range a.valid {
			a.ops = append(a.ops, op)
		}
		slices.Sort(a.ops) // the same requests for the same seed
		attackers[i] = a
		wg.Go(func() { a.attack(frames / len(e)) })
	}
	wg.Wait()
	took := time.Since(began)
	p99 := healthy.stop(t)
	if long && p99 > 100*time.Millisecond {
		t.Errorf("p99 of healthy clients is %v", p99)
	}
	var sent, closed int64
	for i, a := range attackers {
		role := "follower"
		if e[i] == leader {
			role = "leader"
		}
		t.Logf("%s, %s: %d frames, %d connections closed by the server", e[i].name, role, a.sent.Load(), a.closed)
		sent, closed = sent+a.sent.Load(), closed+int64(a.closed)
	}
	t.Logf("hostile frames: %d in %.0f s, %d connections closed, seed %d", sent, took.Seconds(), closed, seed)
	for _, m := range e {
		m.alive()
		if log := m.stderr.String(); strings.Contains(log, "panic") {
			t.Errorf("%s panicked:\n%s", m.name, log)
		}
	}
	e.sameTrees(t)
}

// attacker sends hostile frames to one member over one connection after the other.
type attacker struct {
	t      *testing.T
	m      *member
	rng    *rand.Rand
	valid  map[wire.Op][]byte
	ops    []wire.Op
	sent   atomic.Int64 // frames the server has come to: it answered them, or closed the connection on them
	closed int
}

func (a *attacker) attack(frames int) {
	for a.sent.Load() < int64(frames) && !a.t.Failed() {
		if err := a.connection(frames); err != nil {
			a.t.Errorf("%s: %v", a.m.name, err)
		}
	}
}

// connection works on one connection as long as that lasts.
func (a *attacker) connection(frames int) error {
	c := rawDial(a.t, a.m.addr)
	defer c.Close()
	if a.rng.IntN(20) == 0 { // not even the first frame is right
		c.Write(mutate(a.rng, connectRequest(0, make([]byte, wire.PasswordLen))))
		c.Write(mutate(a.rng, request(1, wire.OpExists, 0)))
		a.sent.Add(2)
		return nil
	}
	c.attach(a.t)
	for a.sent.Load() < int64(frames) {
		last := a.rng.IntN(8) == 0
		b := a.batch(last)
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		// The server may close while we write, or before.
		_, err := c.Write(b)
		if last && err == nil {
			err = c.Conn.(*net.TCPConn).CloseWrite()
		}
		for err == nil {
			var h wire.ReplyHeader
			if h, err = c.reply(); err == nil && h.Xid == marker {
				break
			}
			a.sent.Add(1)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("neither answered nor closed: %x", b)
		}
		if err != nil {
			a.closed++
			return nil
		}
	}
	return nil
}

const marker = 1 << 20

// batch is up to 64 frames, and one behind them that is known to be answered; or, if it is the last, one whose length and header
// are mutated, too.
func (a *attacker) batch(last bool) (b []byte) {
	for i := range 1 + a.rng.IntN(64) {
		b = append(b, a.frame(int32(i+1))...)
	}
	if last {
		op := a.ops[a.rng.IntN(len(a.ops))]
		return append(b, mutate(a.rng, request(1, op, a.valid[op]...))...)
	}
	read := wire.PathWatchRequest{Path: "/"}
	return append(b, request(marker, wire.OpExists, read.Append(nil)...)...)
}

// frame is a request of a random kind, mostly mutated.
func (a *attacker) frame(xid int32) []byte {
	op := a.ops[a.rng.IntN(len(a.ops))]
	body := a.valid[op]
	switch n := a.rng.IntN(200); {
	case n == 0:
		return request(int32(a.rng.Uint32()), wire.Op(int32(a.rng.Uint32())), mutate(a.rng, body)...)
	case n < 20:
		return request(xid, op, body...)
	default:
		return request(xid, op, mutate(a.rng, body)...)
	}
}
