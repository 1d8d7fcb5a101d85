//go:build linux

package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
)

var (
	seedsFlag   = flag.String("seeds", "", "which seeds TestFaults runs: 7, or 1-40; default: a fresh one, and a short one")
	minutesFlag = flag.Float64("minutes", 0, "run seeds from the first of -seeds, or 1, until all that the log has come to so many minutes")
	logFlag     = flag.String("log", "", "a file for a line per seed; seeds that have one are not run again")
	loadFlag    = flag.Duration("load", time.Minute, "how long the clients of each seed are at it")
	docentFlag  = flag.String("docent", "", "the program to try; default: it is built")
)

// TestMain runs a client in a process of its own, if it is told so.
func TestMain(m *testing.M) {
	if cfg, ok := os.LookupEnv(puppetEnv); ok {
		os.Exit(puppetMain(cfg))
	}
	os.Exit(m.Run())
}

// build builds docent.
func build(t *testing.T) string {
	if *docentFlag != "" {
		return *docentFlag
	}
	bin := filepath.Join(t.TempDir(), "docent")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/docent").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// TestFaults runs the seeds asked for.
func TestFaults(t *testing.T) {
	testkit.Unraced(t, "what runs in these processes has its faults under it elsewhere, in package sim")
	first, last, load := rand.Uint64N(1<<48), uint64(0), 4*time.Second
	switch {
	case *seedsFlag != "":
		load = *loadFlag
		from, to, ranged := strings.Cut(*seedsFlag, "-")
		var err1, err2 error
		first, err1 = strconv.ParseUint(from, 10, 64)
		if last = first; ranged {
			last, err2 = strconv.ParseUint(to, 10, 64)
		}
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	case *minutesFlag > 0:
		load, first, last = *loadFlag, 1, 1<<48
	case testing.Short():
		t.Skip("short: real processes take their time")
	default:
		last = first
	}
	log := openLog(t, *logFlag)
	bin := build(t)
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM) // small disks are not to stay mounted
	defer stop()
	for s := first; s <= last && ctx.Err() == nil && (*minutesFlag == 0 || log.seconds < *minutesFlag*60); s++ {
		if !log.has[s] {
			t.Run(strconv.FormatUint(s, 10), func(t *testing.T) { log.add(t, oneSeed(ctx, t, draw(s, load), bin)) })
		}
	}
	t.Log(log)
	if log.thin > 1+log.seeds/10 {
		t.Errorf("%d of %d seeds had too little load to mean anything", log.thin, log.seeds)
	}
}

// oneSeed runs one, and says what was wrong, and how to run it again.
func oneSeed(ctx context.Context, t *testing.T, p plan, bin string) *result {
	res, err := run(ctx, p, bin)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatal(errors.Join(errors.New("interrupted"), os.RemoveAll(res.dir)))
	}
	for _, err := range res.wrong {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("kept: %s; again: make faults SEEDS=%d", res.dir, p.seed)
	}
	return res
}

// lines is the log, and the sum of what it has.
type lines struct {
	out                *os.File
	has                map[uint64]bool
	seeds, thin, bad   int
	seconds            float64
	acked, creates     int
	histories, unclear int
	faults             int
}

var field = regexp.MustCompile(` (seconds|acked|creates|histories|undecided|faults)=(\d+)`)

// openLog opens the file for lines, and reads those it has.
func openLog(t *testing.T, name string) *lines {
	l := &lines{has: make(map[uint64]bool)}
	if name == "" {
		return l
	}
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(line, "\n") {
			l.count(line)
		}
	}
	l.out, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.out.Close() })
	return l
}

func (l *lines) count(line string) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return
	}
	seed, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return
	}
	l.has[seed] = true
	l.seeds++
	switch words[1] {
	case "thin":
		l.thin++
		return // it proves nothing
	case "FAILED":
		l.bad++
	}
	for _, f := range field.FindAllStringSubmatch(line, -1) {
		n, _ := strconv.Atoi(f[2]) // digits
		switch f[1] {
		case "seconds":
			l.seconds += float64(n)
		case "acked":
			l.acked += n
		case "creates":
			l.creates += n
		case "histories":
			l.histories += n
		case "undecided":
			l.unclear += n
		case "faults":
			l.faults += n
		}
	}
}

func (l *lines) add(t *testing.T, r *result) {
	t.Log(r)
	l.count(r.String())
	if l.out != nil {
		if _, err := fmt.Fprintln(l.out, r); err != nil {
			t.Error(err)
		}
	}
}

func (l *lines) String() string {
	return fmt.Sprintf("%d seeds, %d FAILED, %d with too little load: %.1f minutes, %d requests acknowledged, %d creates acknowledged and found, %d histories (%d undecided), %d faults",
		l.seeds, l.bad, l.thin, l.seconds/60, l.acked, l.creates, l.histories, l.unclear, l.faults)
}

// TestSabotage sees that what is wrong on purpose is found, by what the checks say of it.
func TestSabotage(t *testing.T) {
	if os.Getenv("DOCENT_FULL") == "" {
		t.Skip("make faults runs it: it takes a minute")
	}
	bin := build(t)
	for how, say := range map[sabotage]string{
		staleReads: "are not linearizable",
		oldFolders: "was acknowledged and is not there|all is well since|not linearizable",
		noFence:    "was written with token",
	} {
		t.Run(string(how), func(t *testing.T) {
			for seed := range uint64(10) {
				p := draw(seed, 12*time.Second)
				p.sabotage = how
				res, err := run(t.Context(), p, bin)
				if err != nil {
					t.Fatal(err)
				}
				if len(res.wrong) == 0 {
					continue
				}
				if text := errors.Join(res.wrong...).Error(); !regexp.MustCompile(say).MatchString(text) {
					t.Errorf("found, but not %q:\n%.4000s", say, text)
				} else if err := os.RemoveAll(res.dir); err != nil {
					t.Error(err)
				}
				return
			}
			t.Error("not found with 10 seeds")
		})
	}
}
