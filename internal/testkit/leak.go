package testkit

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// CheckLeaks fails the test if, when it and the cleanups registered later have ended, goroutines of this module run
// that did not run when CheckLeaks was called. Call it first, and not in a test that runs in parallel with others.
func CheckLeaks(t testing.TB) {
	t.Helper()
	before := ours()
	t.Cleanup(func() {
		left := leftSince(before)
		if t.Failed() {
			return
		}
		for _, stack := range left {
			t.Errorf("leaked goroutine:\n%s", stack)
		}
	})
}

// Main runs the tests of a package, and fails if goroutines of this module are left when all of them are over: for tests
// that run in parallel, of which none can tell its own goroutines from the others'. It returns the exit code.
func Main(m *testing.M) int {
	before := ours()
	code := m.Run()
	if code != 0 {
		return code
	}
	for _, stack := range leftSince(before) {
		fmt.Fprintf(os.Stderr, "leaked goroutine:\n%s\n", stack)
		code = 1
	}
	return code
}

// leftSince returns the stacks of the goroutines that were not there before, once they have had time to end.
func leftSince(before map[string]string) (left map[string]string) {
	eventually(5*time.Second, func() bool {
		left = ours()
		for id := range before {
			delete(left, id)
		}
		return len(left) == 0
	})
	return left
}

// ours returns the stacks of the goroutines that run or were started by code of this module, by goroutine id.
func ours() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := make(map[string]string)
	for i, g := range bytes.Split(buf, []byte("\n\n")) {
		s := string(g)
		if i == 0 || !strings.Contains(s, "github.com/docent-io/docent/") || strings.Contains(s, "testing.tRunner") {
			continue // ourselves, a stranger, or a test
		}
		id, _, _ := strings.Cut(s, " [")
		stacks[id] = s
	}
	return stacks
}

// Eventually polls cond until it holds, and fails the test with what if it does not within ten seconds. It is for
// what announces itself by no event.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !eventually(10*time.Second, cond) {
		t.Fatalf("still not so after 10 s: %s", what)
	}
}

func eventually(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
