package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
)

const (
	minChecks      = 30 // of each client against each server
	sessionTimeout = 4 * time.Second
	clientTime     = 5 * time.Minute // for all checks of a client; they take about ten seconds
)

// target is a server to check.
type target struct {
	name  string
	addr  string
	other string // another member of its ensemble, or the same server
}

// clients are the programs the checks run in, ready to be pointed at a server.
type clients struct {
	python string // with kazoo
	gozk   string // the binary of internal/interop/gozk
}

// findClients ends the test where a peer is missing.
func findClients(t *testing.T) clients {
	t.Helper()
	if !peers.Required() {
		t.Skip("takes minutes and needs foreign clients: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
	return clients{python: findKazoo(t), gozk: buildGozk(t)}
}

// findKazoo returns a Python that has kazoo. Debian's own comes first: another in PATH need not see Debian's packages.
func findKazoo(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import kazoo").Run() == nil {
			return python
		}
	}
	peers.Missing(t, "kazoo (Debian: apt-get install python3-kazoo)")
	return ""
}

func buildGozk(t *testing.T) string {
	t.Helper()
	download := exec.Command("go", "mod", "download")
	download.Dir = "gozk"
	if out, err := download.CombinedOutput(); err != nil {
		peers.Missing(t, "go-zookeeper/zk cannot be downloaded: %v\n%s", err, out)
	}
	bin := filepath.Join(t.TempDir(), "gozk")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = "gozk"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build in gozk: %v\n%s", err, out)
	}
	return bin
}

// check runs the checks of every client against every target, two at a time at most: a session must not expire because
// the machine is busy with the other checks.
func (c clients) check(t *testing.T, targets ...target) {
	slots := make(chan struct{}, 2)
	for _, at := range targets {
		for name, run := range map[string]func(*testing.T, target){
			"kazoo": func(t *testing.T, at target) { program(t, at, c.python, "testdata/kazoo_checks.py") },
			"gozk":  func(t *testing.T, at target) { program(t, at, c.gozk) },
			"zkCli": zkCLI,
		} {
			t.Run(at.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				run(t, at)
			})
		}
	}
}

// program runs a client that reports "ok NAME" or "FAIL NAME: …" for each check.
func program(t *testing.T, at target, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	args = append(args, "--addr", at.addr, "--other", at.other, "--timeout-ms", fmt.Sprint(sessionTimeout.Milliseconds()))
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var r report
	for in := bufio.NewScanner(bytes.NewReader(out)); in.Scan(); {
		if check, ok := strings.CutPrefix(in.Text(), "ok "); ok {
			r.ok(t, check)
		} else if strings.HasPrefix(in.Text(), "FAIL ") {
			t.Error(in.Text())
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, stderr.Bytes())
	}
	if !bytes.Contains(out, fmt.Appendf(nil, "\nchecks %d failed 0\n", r.count())) {
		t.Errorf("the count the program closed with is not %d", r.count())
	}
	r.done(t, at)
}

// report counts the checks that passed, by name.
type report struct{ names map[string]bool }

func (r *report) ok(t *testing.T, name string) {
	t.Helper()
	if r.names[name] {
		t.Errorf("two checks are called %q", name)
	}
	if r.names == nil {
		r.names = make(map[string]bool)
	}
	r.names[name] = true
}

func (r *report) count() int { return len(r.names) }

// done fails the test when too few checks passed: a client that ran nothing found no fault.
func (r *report) done(t *testing.T, at target) {
	t.Helper()
	if r.count() < minChecks {
		t.Errorf("%d checks passed, want at least %d", r.count(), minChecks)
	}
	t.Logf("%d checks passed on %s", r.count(), at.name)
}
