package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 30 * time.Second // until a server that does not serve has failed
	stopTime  = 10 * time.Second // until a program that does not heed SIGTERM is killed
)

// Process is a program run for a test. Its cleanup stops it; when the test failed, what it wrote last goes to the log.
type Process struct {
	Name  string
	cmd   *exec.Cmd
	lines chan string   // what it writes, to whoever reads along; closed at its end
	ended chan struct{} // closed when it has ended
	err   error         // of Wait; set before ended is closed

	mu   sync.Mutex // guards tail
	tail []string
}

// Start runs cmd, with stdout and stderr read as one, and stops it at the end of the test.
func Start(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: name, cmd: cmd, lines: make(chan string, 1000), ended: make(chan struct{})}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = stopTime // a grandchild that keeps the pipe open must not hold up the test
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		w.Close()
		close(p.ended)
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(r)
	}()
	t.Cleanup(func() {
		p.Stop()
		<-read
		if t.Failed() {
			t.Logf("%s wrote last:\n%s", name, p.Tail())
		}
	})
	return p
}

// read keeps the last lines, and passes each to who reads along, if there is room: a server's log may be read by nobody.
func (p *Process) read(r io.Reader) {
	defer close(p.lines)
	in := bufio.NewScanner(r)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		p.mu.Lock()
		p.tail = append(p.tail, in.Text())
		p.tail = p.tail[max(0, len(p.tail)-40):]
		p.mu.Unlock()
		select {
		case p.lines <- in.Text():
		default:
		}
	}
	io.Copy(io.Discard, r) // after a line beyond the buffer; the program must not block
}

// Tail returns the last lines the program wrote.
func (p *Process) Tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends sig. Sending one to a program that has ended does nothing.
func (p *Process) Signal(sig syscall.Signal) { p.cmd.Process.Signal(sig) }

// Kill ends the program with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop ends the program with SIGTERM, or SIGKILL when it does not heed that, waits for its end, and returns the error
// of a program that did not end well by itself.
func (p *Process) Stop() error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return p.err
	case <-time.After(stopTime):
		p.Kill()
		return errors.New(p.Name + ": SIGTERM did not stop it")
	}
}

// Line waits for a line that contains part, and returns it.
func (p *Process) Line(part string, limit time.Duration) (string, error) {
	for end := time.After(limit); ; {
		select {
		case s, ok := <-p.lines:
			if !ok {
				<-p.ended
				return "", fmt.Errorf("%s ended (%v) before it wrote %q:\n%s", p.Name, p.err, part, p.Tail())
			}
			if strings.Contains(s, part) {
				return s, nil
			}
		case <-end:
			return "", fmt.Errorf("%s did not write %q in %v:\n%s", p.Name, part, limit, p.Tail())
		}
	}
}
