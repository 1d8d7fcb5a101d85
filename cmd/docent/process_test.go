//go:build unix

package main_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything is waited for that should come at once.
const patience = 20 * time.Second

// process is a program that runs for a test. At the end of the test it is killed if it still runs, and what it wrote
// is shown if the test failed.
type process struct {
	t              testing.TB
	name           string
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr *record
	ended          chan struct{} // closed when it has ended and all it wrote is recorded
}

// run starts cmd.
func run(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, stdout: newRecord(), stderr: newRecord(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.WaitDelay = patience // what it leaves behind may hold on to its output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = dieWithUs()
	}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		cmd.Wait() // how it ended is in cmd.ProcessState
		p.stdout.end()
		p.stderr.end()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s, pid %d: %v\nstdout:\n%s\nstderr:\n%s", name, cmd.Process.Pid, cmd.ProcessState, tail(p.stdout), tail(p.stderr))
		}
	})
	return p
}

// signal sends sig; a process that has ended is left alone.
func (p *process) signal(sig syscall.Signal) { p.cmd.Process.Signal(sig) }

// kill ends the process as a crash would, and waits for its end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// exit waits until the process has ended by itself, and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended after %v", p.name, patience)
		return 0
	}
}

// alive fails the test if the process has ended.
func (p *process) alive() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Fatalf("%s has ended: %v", p.name, p.cmd.ProcessState)
	default:
	}
}

// record keeps what a process writes, for any number of readers that wait for lines.
type record struct {
	mu      sync.Mutex // guards the fields below
	text    strings.Builder
	grown   chan struct{} // closed and replaced at each write
	isEnded bool
}

func newRecord() *record { return &record{grown: make(chan struct{})} }

// Write never fails.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	r.wakeLocked()
	return len(p), nil
}

func (r *record) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isEnded = true
	r.wakeLocked()
}

func (r *record) wakeLocked() {
	close(r.grown)
	r.grown = make(chan struct{})
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// lines returns the whole lines written so far.
func (r *record) lines() []string {
	all := strings.Split(r.String(), "\n")
	return all[:len(all)-1]
}

var errEnded = errors.New("the process has ended")

// await returns the first line, from the one numbered from on, that begins with one of the prefixes, and the number of
// the line behind it.
func (r *record) await(from int, prefixes ...string) (line string, next int, err error) {
	for limit := time.After(patience); ; {
		r.mu.Lock()
		grown, ended := r.grown, r.isEnded
		r.mu.Unlock()
		lines := r.lines()
		for ; from < len(lines); from++ {
			for _, p := range prefixes {
				if strings.HasPrefix(lines[from], p) {
					return lines[from], from + 1, nil
				}
			}
		}
		if ended {
			return "", from, fmt.Errorf("no line %q: %w", prefixes[0], errEnded)
		}
		select {
		case <-grown:
		case <-limit:
			return "", from, fmt.Errorf("no line %q after %v", prefixes[0], patience)
		}
	}
}

func tail(r *record) string {
	s := r.String()
	if over := len(s) - 8<<10; over > 0 {
		s = "..." + s[over:]
	}
	return s
}

// freeAddrs returns n addresses that nobody listens on.
func freeAddrs(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		ln := listen(t)
		defer ln.Close() // only at the end, so that none is found twice
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}

// listen takes a port below those that the system gives to outgoing connections: else a client that dials a killed
// server could be given that server's port for its own end.
func listen(t testing.TB) net.Listener {
	t.Helper()
	for range 1000 {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))); err == nil {
			return ln
		}
	}
	t.Fatal("no free ports")
	return nil
}
