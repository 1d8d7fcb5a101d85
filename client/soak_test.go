package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// soakCycles is how many cycles a soak test makes: few in every day's tests, a million by make soak.
func soakCycles(t *testing.T) int {
	t.Helper()
	text := os.Getenv("DOCENT_SOAK")
	switch {
	case text == "" && (raceEnabled || testing.Short()):
		return 1000
	case text == "":
		return 10_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 {
		t.Fatalf("DOCENT_SOAK=%s: not a number of cycles", text)
	}
	return n
}

// soakWorkers is how many goroutines make the cycles.
const soakWorkers = 8

// footprint is what must not grow. The server is in this process, too.
type footprint struct {
	heap       uint64
	goroutines int
}

func measureFootprint() footprint {
	runtime.GC()
	runtime.GC() // empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{m.HeapAlloc, runtime.NumGoroutine()}
}

// heapNoise is by how much the heap may differ between two moments of rest: in the daily 10,000 cycles, a leak of 200 bytes
// in each is more; in a million, one of two bytes.
const heapNoise = 2 << 20

// soakServer is a server whose log is in memory, and so is part of the footprint: it is cut often.
func soakServer(t *testing.T) *servertest.Server {
	return servertest.New(t, servertest.WithConfig(func(cfg *server.Config) { cfg.SnapshotBytes = 128 << 10 }))
}

// soak runs a cycle from some goroutines, and checks that the footprint is that of the first tenth.
func soak(t *testing.T, cycle func(rnd *rand.Rand), settled func()) {
	n := soakCycles(t)
	run := func(n int) {
		var wg sync.WaitGroup
		for i := range soakWorkers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				for range n / soakWorkers {
					cycle(rnd)
				}
			})
		}
		wg.Wait()
		settled()
	}
	run(n / 10)
	before := measureFootprint()
	run(n)
	after := measureFootprint()
	t.Logf("%d cycles: heap %d to %d KiB, goroutines %d to %d", n, before.heap>>10, after.heap>>10, before.goroutines, after.goroutines)
	if grown := int64(after.heap) - int64(before.heap); grown > heapNoise {
		t.Errorf("the heap grew by %d KiB in %d cycles", grown>>10, n)
	}
	if after.goroutines > before.goroutines+2 {
		t.Errorf("%d goroutines became %d", before.goroutines, after.goroutines)
	}
}

// a watch that was closed, given up or told leaves nothing behind, in the client and on the server.
func TestSoak_R5_Watches(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := soakServer(t)
	c := srv.Dial(t)
	s := session(t, c)
	paths := []string{"/", "/a", "/b", "/c"}
	must(s.Create(t.Context(), "/a", nil))(t)
	must(s.Create(t.Context(), "/b", nil))(t)
	soak(t, func(rnd *rand.Rand) {
		ctx := t.Context()
		if rnd.IntN(4) == 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(300))*time.Microsecond)
			defer cancel()
		}
		path := paths[rnd.IntN(len(paths))]
		var closing interface{ Close() error }
		var err error
		if rnd.IntN(10) == 0 {
			closing, err = s.AddWatch(ctx, path, client.PersistentRecursive)
		} else {
			_, _, closing, err = s.ExistsW(ctx, path)
		}
		if rnd.IntN(10) == 0 { // an event, which may meet the Close
			if _, err := s.Set(t.Context(), paths[rnd.IntN(3)], nil, -1); err != nil {
				t.Error(err)
			}
		}
		if err == nil {
			err = closing.Close()
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}, func() {
		testkit.Eventually(t, "no watch is left", func() bool {
			if err := s.Sync(t.Context(), "/"); err != nil {
				t.Fatal(err)
			}
			return c.Stats().WatchesOpen == 0 && watchesOf(t, srv.Addr()) == 0
		})
	})
}

// A lock that was given up or held and released leaves no node, no watch, no goroutine and no memory behind.
func TestSoak_Locks(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := soakServer(t)
	c := srv.Dial(t)
	s := session(t, c)
	soak(t, func(rnd *rand.Rand) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(3000))*time.Microsecond)
		defer cancel()
		held, err := lock.New(c, "/soak").Lock(ctx)
		if err == nil {
			err = held.Unlock(t.Context())
		} else if errors.Is(err, context.DeadlineExceeded) {
			for err = nil; err == nil && len(s.Pending()) > 2*soakWorkers; { // giving up is faster than cleaning up
				err = s.Sync(t.Context(), "/")
			}
		}
		if err != nil {
			t.Error(err)
		}
	}, func() {
		testkit.Eventually(t, "no contender, no watch and no deletion is left", func() bool {
			names, _, err := s.Children(t.Context(), "/soak", client.Fresh())
			if err != nil && !errors.Is(err, client.ErrNoNode) {
				t.Fatal(err)
			}
			return len(names) == 0 && len(s.Pending()) == 0 && c.Stats().WatchesOpen == 0 && watchesOf(t, srv.Addr()) == 0
		})
	})
}
