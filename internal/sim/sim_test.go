package sim

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
)

var (
	seedsFlag = flag.String("seeds", "", "which seeds TestSim runs: 4711, or 1-20000; default: a few fresh ones")
	logFlag   = flag.String("log", "", "a file for a line per seed; seeds that have one are not run again")
	spoilFlag = flag.String("spoil", "", "what to do wrong on purpose, in the words of sabotage.go")
	forFlag   = flag.Duration("for", 0, "how long TestSim begins new schedules")
	tellFlag  = flag.String("tell", "", "a file for what the servers tell; for one seed")
)

// fresh is how many schedules of new seeds each run of the tests makes, unless DOCENT_SCHEDULES says otherwise.
const fresh = 24

// TestSim runs schedules of fresh seeds, or of those asked for.
func TestSim(t *testing.T) {
	first := rand.Uint64N(1 << 48)
	last := first + uint64(testkit.Count(t, fresh)) - 1
	if *forFlag > 0 {
		last = first + 1<<20 // more than there is time for
	}
	if *seedsFlag != "" {
		from, to, ranged := strings.Cut(*seedsFlag, "-")
		var err1, err2 error
		first, err1 = strconv.ParseUint(from, 10, 64)
		if last = first; ranged {
			last, err2 = strconv.ParseUint(to, 10, 64)
		}
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	}
	out, done := openLog(t, *logFlag)
	var seeds []uint64
	for s := first; s <= last; s++ {
		if !done[s] {
			seeds = append(seeds, s)
		}
	}
	sum := runAll(t, seeds, out, *forFlag)
	if *forFlag > 0 {
		last = seeds[max(sum.ran, 1)-1]
	}
	t.Logf("seeds %d-%d: %v", first, last, sum)
	if sum.counted*2 < sum.ran {
		t.Errorf("too few schedules count: %v", sum)
	}
}

// TestKept runs all seeds that have ever failed.
func TestKept(t *testing.T) {
	b, err := os.ReadFile("testdata/failed-seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	var seeds []uint64
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			s, err := strconv.ParseUint(f[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			seeds = append(seeds, s)
		}
	}
	t.Log(runAll(t, seeds, nil, 0))
}

// openLog opens the file for lines, and reads which seeds it has.
func openLog(t *testing.T, name string) (out *os.File, done map[uint64]bool) {
	done = make(map[uint64]bool)
	if name == "" {
		return nil, done
	}
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		first, _, _ := strings.Cut(line, " ")
		if s, err := strconv.ParseUint(first, 10, 64); err == nil && strings.HasSuffix(line, "\n") {
			done[s] = true
		}
	}
	out, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out, done
}

// TestSabotage sees that what is wrong on purpose is found, by what the checks say of it, in processes of their own whose
// tests fail.
func TestSabotage(t *testing.T) {
	if *spoilFlag != "" || *seedsFlag != "" {
		t.Skip("this is such a process")
	}
	if testkit.Count(t, 10) < 10 {
		t.Skip("under the race detector, which some bubbles at once break: what is wrong is wrong without it, too")
	}
	for how, say := range map[sabotage]string{
		doubleEvents: "which no watch waits for",
		loseEvents:   "before the event for|no event for",
		lateEvents:   "before the event for|behind an answer",
		staleReads:   "are not linearizable",
		fastClocks:   "could rely on being alive until",
		noSync:       "where another one had|and no server has it|trees differ|has \"\"|out of thin air|not linearizable|damaged",
		tornMulti:    "together|was acknowledged with",
		noFence:      "was written with token",
	} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			for from := 1; from < 200; from += 4 {
				cmd := exec.Command(os.Args[0], "-test.run=^TestSim$", "-seeds", fmt.Sprintf("%d-%d", from, from+3), "-spoil", string(how))
				out, err := cmd.CombinedOutput()
				if err == nil {
					continue
				}
				if !regexp.MustCompile(say).Match(out) {
					t.Errorf("found, but not %q:\n%.4000s", say, out)
				}
				return
			}
			t.Error("not found in 200 schedules")
		})
	}
}

// runAll runs schedules, as many at a time as there are processors. It begins none when the time is over, if there is a limit.
func runAll(t *testing.T, seeds []uint64, out *os.File, limit time.Duration) *total {
	var sum total
	var mu sync.Mutex // guards next, and the file
	next, began := 0, time.Now()
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(seeds) || limit > 0 && time.Since(began) > limit {
			return 0, false
		}
		next++
		return seeds[next-1], true
	}
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for s, ok := take(); ok; s, ok = take() {
					r := one(t, draw(s).spoiled(sabotage(*spoilFlag)))
					sum.add(r)
					mu.Lock()
					if out != nil {
						fmt.Fprintln(out, r)
					}
					mu.Unlock()
				}
			})
		}
	})
	return &sum
}

// one runs one schedule, and tells how to repeat it if it fails.
func one(t *testing.T, p plan) *result {
	var res result
	if *tellFlag != "" {
		f, err := os.Create(*tellFlag)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p.logs = f
	}
	again := fmt.Sprintf("repeat: go test ./internal/sim -run '^TestSim$' -args -seeds %d", p.seed)
	defer func() {
		if p := recover(); p != nil { // a deadlock: nothing else will tell
			fmt.Fprintln(os.Stderr, again)
			panic(p)
		}
	}()
	t.Run(strconv.FormatUint(p.seed, 10), func(t *testing.T) {
		defer func() {
			if t.Failed() {
				t.Log(again)
			}
		}()
		run(t, p, &res)
	})
	return &res
}
