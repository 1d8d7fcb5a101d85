package peers

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// CLI is a running zkCli, Apache ZooKeeper's command-line client, which takes commands one at a time.
type CLI struct {
	*Process
	t      testing.TB
	stdin  io.WriteCloser
	events chan string
}

// cliWait is how long a command or an event may take.
const cliWait = 20 * time.Second

// ZkCLI starts a zkCli whose session goes through server ("HOST:PORT", or with a chroot "HOST:PORT/path") and waits
// until it is connected. The test's cleanup kills it; `close` ends its session before.
func ZkCLI(t testing.TB, server string, timeout time.Duration) *CLI {
	t.Helper()
	needJava(t)
	cmd := java("org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-timeout", fmt.Sprint(timeout.Milliseconds()),
		"-server", server)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &CLI{t: t, stdin: stdin, events: make(chan string, 1000)}
	c.Process = Start(t, "zkCli", cmd)
	if got := c.Event(); got != "SyncConnected" {
		t.Fatalf("zkCli's first event is %q, want SyncConnected\n%s", got, c.Tail())
	}
	return c
}

// Send gives a command without waiting for its end. It is for `close`, after which zkCli answers nothing.
func (c *CLI) Send(command string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, command); err != nil {
		c.t.Fatalf("zkCli: %s: %v\n%s", command, err, c.Tail())
	}
}

// Do runs a command and returns the lines it printed, errors and all, but for the events that came meanwhile: [CLI.Event]
// returns those.
func (c *CLI) Do(command string) []string {
	c.t.Helper()
	// What ends the answer is the answer to the next command, one that asks no server.
	c.Send(command + "\nversion")
	var out []string
	for end := time.After(cliWait); ; {
		select {
		case s, ok := <-c.lines:
			if !ok {
				c.t.Fatalf("zkCli ended in %q:\n%s", command, c.Tail())
			}
			if strings.HasPrefix(s, "ZooKeeper CLI version:") {
				return out
			}
			if !c.sort(s) {
				out = append(out, s)
			}
		case <-end:
			c.t.Fatalf("zkCli: no end of %q in %v:\n%s", command, cliWait, c.Tail())
		}
	}
}

// Event returns the next event zkCli printed: "NodeCreated /path", or the state, as "SyncConnected", for an event of the
// session; "no event" after 20 s.
func (c *CLI) Event() string {
	for end := time.After(cliWait); ; {
		select {
		case ev := <-c.events:
			return ev
		case s, ok := <-c.lines:
			if !ok {
				return "zkCli ended"
			}
			c.sort(s)
		case <-end:
			return "no event"
		}
	}
}

// sort puts a line with an event aside, and tells whether the line is no part of an answer.
func (c *CLI) sort(line string) bool {
	if rest, ok := strings.CutPrefix(line, "WatchedEvent state:"); ok {
		state, rest, _ := strings.Cut(rest, " type:")
		kind, path, _ := strings.Cut(rest, " path:")
		if kind == "None" {
			c.events <- state
		} else {
			c.events <- kind + " " + path
		}
		return true
	}
	for _, noise := range []string{"WATCHER::", "SLF4J:", "Connecting to ", "Welcome to ZooKeeper", "JLine support is disabled"} {
		if strings.HasPrefix(line, noise) {
			return true
		}
	}
	return line == ""
}
