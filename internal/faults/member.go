//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Every server uses these ports of its own address.
const (
	clientPort = "2181"
	peerPort   = "2888"
	adminPort  = "8080"
)

// member is one `docent serve`, which is started again and again.
type member struct {
	id    int
	host  string
	space *space
	bin   string
	dir   string // with what it writes
	data  string
	flags []string
	told  func(format string, args ...any) // what is wrong

	mu     sync.Mutex // guards the fields below
	proc   *process
	starts int
	paused bool
	ending bool // its end is no surprise
}

// process is one run of it.
type process struct {
	cmd   *exec.Cmd
	said  *journal
	ended chan struct{}
}

func (m *member) clientAddr() string { return net.JoinHostPort(m.host, clientPort) }
func (m *member) peerAddr() string   { return net.JoinHostPort(m.host, peerPort) }
func (m *member) adminAddr() string  { return net.JoinHostPort(m.host, adminPort) }

// start runs it, with more flags behind the usual ones, and returns at once.
func (m *member) start(more ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starts++
	said, err := newJournal(filepath.Join(m.dir, fmt.Sprintf("server-%d.log", m.id)))
	if err != nil {
		m.told("%v", err)
		return
	}
	said.note("start %d", m.starts)
	args := []string{"serve", "--id", strconv.Itoa(m.id), "--data", m.data, "--listen", m.clientAddr(), "--admin-listen", m.adminAddr(), "--4lw-whitelist", "*"}
	p := &process{cmd: exec.Command(m.bin, slices.Concat(args, m.flags, more)...), said: said, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = said, said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.space.do(func() { err = p.cmd.Start() })
	if err != nil {
		m.told("start server %d: %v", m.id, err)
		return
	}
	m.proc, m.ending, m.paused = p, false, false
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
		m.mu.Lock()
		surprise := !m.ending && m.proc == p
		m.mu.Unlock()
		said.end(p.cmd.ProcessState.String())
		if surprise {
			m.told("server %d ended by itself: %v\n%s", m.id, p.cmd.ProcessState, said.tail())
		}
	}()
}

// run returns the present run.
func (m *member) run() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

// expectEnd says that it may end by itself from now on.
func (m *member) expectEnd() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ending = true
}

func (m *member) signal(sig syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = sig == syscall.SIGSTOP
	if m.proc != nil {
		_ = m.proc.cmd.Process.Signal(sig) // one that has ended needs none
	}
}

// kill ends it as a crash would.
func (m *member) kill() {
	m.expectEnd()
	m.signal(syscall.SIGKILL)
	if p := m.run(); p != nil {
		<-p.ended
	}
}

// stop ends it as operators do.
func (m *member) stop(ctx context.Context) {
	m.expectEnd()
	m.signal(syscall.SIGTERM)
	p := m.run()
	if err := p.exit(ctx); err != nil {
		m.told("server %d was told to stop: %v\n%s", m.id, err, p.said.tail())
		m.kill()
		return
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		m.told("server %d was told to stop, and ended with %v\n%s", m.id, p.cmd.ProcessState, p.said.tail())
	}
}

// exit waits for the end.
func (p *process) exit(ctx context.Context) error {
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return errors.New("it has not ended in time")
	}
}

// up tells whether it runs and is not paused.
func (m *member) up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc == nil || m.paused {
		return false
	}
	select {
	case <-m.proc.ended:
		return false
	default:
		return true
	}
}

// ready waits until it says that it serves.
func (m *member) ready(ctx context.Context) error {
	p := m.run()
	if p == nil {
		return fmt.Errorf("server %d was never started", m.id)
	}
	if err := p.said.await(ctx, "docent: serving clients on "); err != nil {
		return fmt.Errorf("server %d does not serve: %w\n%s", m.id, err, p.said.tail())
	}
	return nil
}

// ask sends a four-letter word and returns the answer.
func (m *member) ask(ctx context.Context, word string) (string, error) {
	nc, err := m.space.dial(ctx, m.clientAddr())
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(nc, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(nc)
	return string(answer), err
}
