package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/matrix"
	"github.com/docent-io/docent/internal/interop/peers"
)

const (
	minChecks      = matrix.AtLeast
	sessionTimeout = 4 * time.Second
	clientTime     = 5 * time.Minute // for all checks of a client; they take about ten seconds
)

// target is a server to check.
type target struct {
	server string // in the matrix
	name   string
	addr   string
	other  string // another member of its ensemble, or the same server
}

// row is a client, ready to be pointed at a server.
type row struct {
	name string
	run  func(*testing.T, target)
}

// findClients ends the test where a peer is missing.
func findClients(t *testing.T) []row {
	t.Helper()
	if !peers.Required() {
		t.Skip("takes minutes and needs foreign clients: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
	rows := []row{{"docent", ourClient}, {"C", cClient}, program("gozk", buildGozk(t))}
	rows = append(rows, javaClients(t)...)
	python := findKazoo(t)
	kazoo := func(name string, env ...string) row {
		return program(name, "env", append(env, python, "testdata/kazoo_checks.py")...)
	}
	rows = append(rows, kazoo("kazoo"))
	if dir := os.Getenv("DOCENT_KAZOO_DIR"); dir != "" {
		rows = append(rows, kazoo("another-kazoo", "PYTHONPATH="+dir))
	}
	return rows
}

// javaClients are zkCli, ZooKeeper's Java client and Curator, of every version there is.
func javaClients(t *testing.T) (rows []row) {
	t.Helper()
	for i, d := range peers.Distributions() {
		rows = append(rows, row{fmt.Sprint("zkCli", i), func(t *testing.T, at target) { zkCLI(t, d, at) }})
		rows = append(rows, javaProgram(t, fmt.Sprint("Java", i), "ZooKeeperChecks", d.ClassPath()))
	}
	curator := curatorPath(t)
	if dir := os.Getenv("DOCENT_CURATOR_DIR"); dir != "" {
		rows = append(rows, javaProgram(t, "another-Curator", "CuratorChecks", filepath.Join(dir, "*")))
	}
	return append(rows, javaProgram(t, "Curator", "CuratorChecks", curator))
}

// javaProgram compiles a program of testdata with the classes of a class path.
func javaProgram(t *testing.T, name, class, path string) row {
	t.Helper()
	dir := t.TempDir()
	compile := exec.Command("javac", "-cp", path, "-d", dir, "-sourcepath", "testdata", "testdata/"+class+".java")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("javac %s: %v\n%s", class, err, out)
	}
	return program(name, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", path+":"+dir, class)
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

// check runs the checks of every client against every target, as many at a time as -parallel says.
func check(t *testing.T, clients []row, targets ...target) {
	for _, at := range targets {
		for _, c := range clients {
			t.Run(at.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, at)
			})
		}
	}
}

// program is a client that tells "client NAME VERSION" and then reports "ok CHECK" or "FAIL CHECK: …" for each check.
func program(as, name string, args ...string) row {
	return row{as, func(t *testing.T, at target) { runProgram(t, at, name, args...) }}
}

func runProgram(t *testing.T, at target, name string, args ...string) {
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
		} else if who, ok := strings.CutPrefix(in.Text(), "client "); ok {
			r.client, r.version, _ = strings.Cut(who, " ")
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
type report struct {
	client, version string
	names           map[string]bool
}

// is is one check, of values as they print; the lines a command printed, as one line.
func (r *report) is(t *testing.T, name string, got, want any) {
	t.Helper()
	if lines, ok := got.([]string); ok {
		got = strings.Join(lines, " | ")
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("FAIL %s: got %q want %q", name, g, w)
		return
	}
	r.ok(t, name)
}

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

// done fails the test when too few checks passed, for a client that ran nothing found no fault, and records those of a
// test without failure.
func (r *report) done(t *testing.T, at target) {
	t.Helper()
	if r.count() < minChecks {
		t.Errorf("%d checks passed, want at least %d", r.count(), minChecks)
	}
	t.Logf("%s %s: %d checks passed on %s", r.client, r.version, r.count(), at.name)
	if t.Failed() {
		return
	}
	passed := matrix.Record{Server: at.server, At: at.name, Client: r.client, Version: r.version, Checks: r.count()}
	if err := matrix.Append(passed); err != nil {
		t.Error(err)
	}
}
