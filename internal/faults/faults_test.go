//go:build linux

package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seedsFlag   = flag.String("seeds", "", "which seeds TestFaults runs: 7, or 1-40")
	minutesFlag = flag.Int("minutes", 0, "run as many seeds as come to so many minutes, with those that the log has")
	logFlag     = flag.String("log", "", "a file for a line per seed; seeds that have one are not run again")
	docentFlag  = flag.String("docent", "", "the program to try; default: it is built")
	loadFlag    = flag.Duration("load", 55*time.Second, "how long the clients of each seed are at it")
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

// TestFaults runs the seeds asked for, or one that is short.
func TestFaults(t *testing.T) {
	bin := build(t)
	first, last, load := uint64(1), uint64(1), 5*time.Second
	if *seedsFlag != "" {
		load = *loadFlag
		from, to, ranged := strings.Cut(*seedsFlag, "-")
		first, _ = strconv.ParseUint(from, 10, 64)
		if last = first; ranged {
			last, _ = strconv.ParseUint(to, 10, 64)
		}
	}
	for s := first; s <= last; s++ {
		res, err := run(t.Context(), draw(s, load), bin)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stdout, res)
		for _, err := range res.wrong {
			t.Error(err)
		}
		if len(res.wrong) > 0 {
			t.Logf("kept: %s", res.dir)
		}
	}
}
