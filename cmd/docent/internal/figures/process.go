package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// server is a process that serves the protocol, and can be started again.
type server struct {
	id      int
	addr    string // for clients
	argv    []string
	logFile string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

func (s *server) start() error {
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = dieWithUs()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ended, cmd := make(chan struct{}), s.cmd
	s.ended = ended
	go func() {
		_ = cmd.Wait() // servers are killed, so how they end is no news
		close(ended)
	}()
	return nil
}

func (s *server) running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return s.ended != nil
	}
}

// stop sends a signal, and waits for the end of the process; one that does not heed the signal is killed.
func (s *server) stop(sig syscall.Signal) {
	if s.ended == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig) // fails if it has ended
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// logged returns all that the server wrote.
func (s *server) logged() string {
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail returns the end of it.
func (s *server) tail() string {
	text := s.logged()
	return text[max(0, len(text)-2000):]
}

// mode asks a server what it is: leader, follower, standalone, or "" while it does not serve.
func (s *server) mode() string {
	for line := range strings.Lines(fourLetter(s.addr, "srvr")) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode)
		}
	}
	return ""
}

// fourLetter returns the answer to a four-letter word, "" if there is none.
func fourLetter(addr, word string) string {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return ""
	}
	if _, err := io.WriteString(c, word); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(c) // what came before an error is an answer, too
	return string(answer)
}

// freePort returns a port nothing listens on, below those that the system gives to outgoing connections.
func freePort(host string) (int, error) {
	for range 100 {
		port := 10000 + rand.IntN(20000)
		if l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// output runs a program and returns what it prints; its error tells what it printed on stderr.
func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = dieWithUs()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return out, nil
}
