package peers_test

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
)

// named starts a server that greets each connection with a name and then echoes lines.
func named(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", peers.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, name)
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					fmt.Fprintln(c, in.Text())
				}
			}()
		}
	}()
	return l.Addr().String()
}

// line reads one line, or says that the connection has ended.
func line(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	s, err := in.ReadString('\n')
	if err != nil {
		return "ended"
	}
	return strings.TrimSuffix(s, "\n")
}

func TestProxy(t *testing.T) {
	first, second := named(t, "first"), named(t, "second")
	p := peers.NewProxy(t, first)
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.DialTimeout("tcp", p.Addr, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c, bufio.NewReader(c)
	}
	c, in := dial()
	if got := line(t, in); got != "first" {
		t.Errorf("the greeting is %q, want that of the first server", got)
	}
	fmt.Fprintln(c, "hello")
	if got := line(t, in); got != "hello" {
		t.Errorf("the echo is %q, want hello", got)
	}
	p.Lead(second)
	fmt.Fprintln(c, "still there")
	if got := line(t, in); got != "still there" {
		t.Errorf("after Lead, an open connection says %q", got)
	}
	p.Cut("")
	if got := line(t, in); got != "ended" {
		t.Errorf("after Cut, an open connection says %q", got)
	}
	if _, in = dial(); line(t, in) != "ended" {
		t.Error("a connection without a target is not ended")
	}
	p.Lead(second)
	if _, in = dial(); line(t, in) != "second" {
		t.Error("a new connection does not reach the new target")
	}
}

func TestProcess(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh in PATH")
	}
	p := peers.Start(t, "writer", exec.Command(sh, "-c", "echo one; echo two >&2; exec sleep 60"))
	if got, err := p.Line("two", 10*time.Second); got != "two" || err != nil {
		t.Errorf("Line = %q, %v, want the line of stderr", got, err)
	}
	if got := p.Tail(); got != "one\ntwo" {
		t.Errorf("Tail = %q", got)
	}
	if err := p.Stop(); err == nil {
		t.Error("sleep ended by SIGTERM, and Stop says it ended well")
	}
	if _, err := p.Line("three", 10*time.Second); err == nil {
		t.Error("Line found what was never written")
	}
	p = peers.Start(t, "polite", exec.Command(sh, "-c", "trap 'exit 0' TERM; echo ready; while :; do read x; done"))
	if _, err := p.Line("ready", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("Stop of a program that heeds SIGTERM: %v", err)
	}
}
