package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
)

// The suites that foreign clients are tested with by their own authors start ensembles of ZooKeeper. Here they start
// docent's instead: testdata/foreign/zkServer.sh stands where they look for ZooKeeper's server, and nothing of theirs is
// changed. docs/foreign-tests.md tells which tests pass, and why any are left out.

const (
	foreignTime    = 4 * time.Minute // for a suite; kazoo's takes about 100 s, go-zookeeper's 80 s
	foreignVersion = "3.9.3"         // of ZooKeeper, for tests that ask
)

// foreign is a suite.
type foreign struct {
	passed  *regexp.Regexp // a line of a test that passed
	failed  *regexp.Regexp // or failed
	atLeast int            // as many passed when docs/foreign-tests.md was written
}

// run runs the suite and fails if any of its tests did, or if fewer passed than once did.
func (f foreign) run(t *testing.T, cmd *exec.Cmd, env ...string) {
	t.Helper()
	cmd.Env = append(os.Environ(), append(env, "DOCENT="+peers.Build(t, "./cmd/docent"))...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has servers to stop
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	passed := len(f.passed.FindAll(out.Bytes(), -1))
	t.Logf("%d tests passed", passed)
	for _, line := range f.failed.FindAll(out.Bytes(), -1) {
		t.Errorf("%s", line)
	}
	if passed < f.atLeast {
		t.Errorf("%d tests passed, %d did once", passed, f.atLeast)
	}
	if err != nil {
		t.Errorf("%v", err)
	}
	if t.Failed() {
		t.Logf("it wrote last:\n%s", out.Bytes()[max(0, out.Len()-10_000):])
	}
}

func needForeign(t *testing.T) {
	t.Helper()
	if !peers.Required() {
		t.Skip("takes minutes and needs foreign clients: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
}

// TestKazooSuite runs kazoo.tests, as Debian's python3-kazoo ships it, against ensembles of three.
func TestKazooSuite(t *testing.T) {
	needForeign(t)
	t.Parallel()
	python := findKazoo(t)
	for _, module := range []string{"pytest", "mock", "objgraph", "gevent", "eventlet"} {
		if exec.Command(python, "-c", "import "+module).Run() != nil {
			peers.Missing(t, "%s, for kazoo's tests (Debian: apt-get install python3-%s)", module, module)
		}
	}
	bin := t.TempDir()
	script, err := filepath.Abs("testdata/foreign/zkServer.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(script, filepath.Join(bin, "java")); err != nil { // which is what kazoo starts
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), foreignTime)
	defer cancel()
	args := []string{"-m", "pytest", "-v", "-p", "no:cacheprovider", "--pyargs", "kazoo.tests"}
	args = append(args, "--deselect", "test_sasl.py") // needs a login of Java's (JAAS) inside the server
	foreign{
		passed:  regexp.MustCompile(`(?m)^test_\S+ PASSED`),
		failed:  regexp.MustCompile(`(?m)^(FAILED|ERROR) .*`),
		atLeast: 472,
	}.run(t, exec.CommandContext(ctx, python, args...),
		"PATH="+bin+":"+os.Getenv("PATH"), "ZOOKEEPER_VERSION="+foreignVersion, "ZOOKEEPER_CLASSPATH=none",
		fmt.Sprint("ZOOKEEPER_PORT_OFFSET=", freePorts(t, 30)))
}

// TestGoZookeeperSuite runs the tests inside the module go-zookeeper/zk against the servers and ensembles they start.
func TestGoZookeeperSuite(t *testing.T) {
	needForeign(t)
	t.Parallel()
	buildGozk(t) // the module is there
	bin, err := filepath.Abs("testdata/foreign")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), foreignTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-timeout", foreignTime.String(), "github.com/go-zookeeper/zk")
	cmd.Dir = "gozk"
	foreign{
		passed:  regexp.MustCompile(`(?m)^--- PASS: `),
		failed:  regexp.MustCompile(`(?m)^--- (FAIL|SKIP): .*`),
		atLeast: 47,
	}.run(t, cmd, "ZOOKEEPER_BIN_PATH="+bin, "ZK_VERSION="+foreignVersion)
}

// freePorts returns the first of n ports in a row that are free on the loopback.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		_, text, err := net.SplitHostPort(peers.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		var first int
		if _, err := fmt.Sscan(text, &first); err != nil {
			t.Fatal(err)
		}
		if allFree(first, n) {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
