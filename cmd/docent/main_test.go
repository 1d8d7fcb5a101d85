//go:build unix

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// The tests of this package run docent as users do: real processes, signals, ports and folders. A test that needs a
// client in a process of its own runs this test binary again, as a puppet (see puppet_test.go).
func TestMain(m *testing.M) {
	if cfg, ok := os.LookupEnv(puppetEnv); ok {
		os.Exit(puppetMain(cfg))
	}
	if cfg, ok := os.LookupEnv(lifeEnv); ok {
		os.Exit(lifeMain(cfg))
	}
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "this is a test, and no docent") // whose verb was run within it, and has started itself once more
		os.Exit(1)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if signal.Ignored(sig) { // as by nohup: what we start would ignore them as well
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	code := m.Run()
	if dir, ok := folder.Load().(string); ok {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// folder is the one that docent was built in, if any test wanted it: a fuzzer's worker that ends wants none.
var folder atomic.Value

// built builds docent once for all tests, and returns the folder that holds nothing else. Somebody else than its owner
// may run it, too.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "docent-test-"); err != nil {
		return "", err
	}
	folder.Store(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	args := []string{"build", "-o", filepath.Join(dir, "docent")}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// docent returns the path of the binary.
func docent(t testing.TB) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "docent")
}
