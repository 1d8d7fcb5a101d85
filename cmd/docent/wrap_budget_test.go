//go:build unix

package main_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
)

// The kill budget: whoever is cut off from the ensemble has ended its child before somebody else holds the lock. Half of
// the children ignore TERM, and half are children of a shell that is the child. All times are of one clock.
func TestWrap_KillBudget(t *testing.T) {
	const batches, each = 4, 26
	l := newLab(t)
	least := time.Hour
	for b := range batches {
		least = min(least, testBudget(l, b == batches-1, each))
	}
	t.Logf("of %d, the closest had its last sign of life %v before the next one held the lock", batches*each, least.Round(time.Millisecond))
}

// run of the budget: a docent that is to be cut off, and who waits for its lock.
type cutOff struct {
	*process
	stubborn bool
	file     string
	granted  chan time.Time
}

// testBudget returns the least time between a last sign of life and the next holder.
func testBudget(l lab, stopped bool, n int) time.Duration {
	t := l.t
	r := newRelay(t, l.addr)
	waiter := dial(t, 10*time.Second, l.addr)
	var runs []*cutOff
	for i := range n {
		x := &cutOff{stubborn: i%2 == 1, granted: make(chan time.Time, 1)}
		var command string
		command, x.file = life(t, x.stubborn)
		if i%4 >= 2 {
			command += "& wait" // the shell is the child, and who lives is its own
		} else {
			command = "export " + strings.Replace(command, " ", "; exec ", 1)
		}
		cmd := l.command("lock", "--dsn", "zk://"+r.addr()+"?session=2s", fmt.Sprint("budget/", i), "--", "sh", "-c", command)
		x.process = run(t, fmt.Sprint("docent ", i), cmd)
		runs = append(runs, x)
	}
	for i, x := range runs {
		testkit.Eventually(t, "the child lives", func() bool { x.alive(); return !lastSign(x.file).IsZero() })
		go x.wait(t.Context(), waiter, fmt.Sprint("/budget/", i))
	}
	testkit.Eventually(t, "all are waited for", func() bool {
		names, _, err := waiter.Children(l.ctx(), fmt.Sprint("/budget/", n-1))
		return err == nil && len(names) == 2
	})
	if stopped {
		l.signal(syscall.SIGSTOP)
		time.AfterFunc(2500*time.Millisecond, func() { l.signal(syscall.SIGCONT) }) // later than any deadline
	} else {
		r.silence()
	}
	least := time.Hour
	for i, x := range runs {
		code := x.exit()
		var granted time.Time
		select {
		case granted = <-x.granted:
		case <-time.After(patience):
			t.Fatalf("run %d: nobody else got the lock", i)
		}
		last := lastSign(x.file)
		if code != 76 || !strings.Contains(x.stderr.String(), "lost while the command ran") {
			t.Errorf("run %d: exit code %d, stderr %s", i, code, x.stderr)
		}
		if lead := granted.Sub(last); lead <= 0 {
			t.Errorf("run %d: alive %v after the lock was given to somebody else", i, -lead)
		} else {
			least = min(least, lead)
		}
		if since := time.Since(last); since < 0 {
			t.Errorf("run %d: it lives", i)
		}
	}
	return least
}

// wait takes the lock after the child, and notes when.
func (x *cutOff) wait(ctx context.Context, c *client.Client, path string) {
	held, err := lock.New(c, path).Lock(ctx)
	if err != nil {
		return // the test misses the time
	}
	x.granted <- time.Now()
	held.Close()
}
