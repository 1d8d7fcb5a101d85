package peers

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// CLI is a running command-line client that takes commands one at a time.
type CLI struct {
	*Process
	t       testing.TB
	dialect dialect
	stdin   io.WriteCloser
	events  chan string
	version string
}

// Version is the client's, such as "3.8.0".
func (c *CLI) Version() string {
	if c.version == "" {
		c.Do("") // the end of a zkCli's answer tells it
	}
	return c.version
}

// dialect is how such a program talks.
type dialect struct {
	end, ended string                                    // a command, and how the line begins that ends its answer
	sort       func(line string) (event string, no bool) // the event in a line, if there is one; no: it is no part of an answer
}

// cliWait is how long a command or an event may take.
const cliWait = 20 * time.Second

// ZkCLI starts Debian's zkCli: see [Distribution.ZkCLI].
func ZkCLI(t testing.TB, server string, timeout time.Duration) *CLI {
	t.Helper()
	return Distribution{}.ZkCLI(t, server, timeout)
}

// ZkCLI starts a zkCli, Apache ZooKeeper's command-line client, whose session goes through server ("HOST:PORT", or with a chroot "HOST:PORT/path") and waits
// until it is connected. The test's cleanup kills it; `close` ends its session before.
func (d Distribution) ZkCLI(t testing.TB, server string, timeout time.Duration) *CLI {
	t.Helper()
	d.need(t)
	// What ends an answer is the answer to the next command, one that asks no server.
	c := startCLI(t, "zkCli", d.java(nil, "org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-timeout",
		fmt.Sprint(timeout.Milliseconds()), "-server", server), dialect{"version", "ZooKeeper CLI version:", sortJava})
	if got := c.Event(); got != "SyncConnected" {
		t.Fatalf("zkCli's first event is %q, want SyncConnected\n%s", got, c.Tail())
	}
	return c
}

func startCLI(t testing.TB, name string, cmd *exec.Cmd, d dialect) *CLI {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &CLI{Process: Start(t, name, cmd), t: t, dialect: d, stdin: stdin, events: make(chan string, 1000)}
}

// Send gives a command without waiting for its end. It is for `close`, after which zkCli answers nothing.
func (c *CLI) Send(command string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, command); err != nil {
		c.t.Fatalf("%s: %s: %v\n%s", c.Name, command, err, c.Tail())
	}
}

// Do runs a command and returns the lines it printed, errors and all, but for the events that came meanwhile: [CLI.Event]
// returns those.
func (c *CLI) Do(command string) []string {
	c.t.Helper()
	c.Send(command + "\n" + c.dialect.end)
	var out []string
	for end := time.After(cliWait); ; {
		select {
		case s, ok := <-c.lines:
			if !ok {
				c.t.Fatalf("%s ended in %q:\n%s", c.Name, command, c.Tail())
			}
			if rest, ok := strings.CutPrefix(s, c.dialect.ended); ok {
				if c.version == "" {
					c.version, _, _ = strings.Cut(strings.TrimSpace(rest), "-")
				}
				return out
			}
			if !c.sort(s) {
				out = append(out, s)
			}
		case <-end:
			c.t.Fatalf("%s: no end of %q in %v:\n%s", c.Name, command, cliWait, c.Tail())
		}
	}
}

// Event returns the next event the client printed: of zkCli "NodeCreated /path", of the C client "CREATED /path", or the
// state, as "SyncConnected" or "CONNECTED", for an event of the session; "no event" after 20 s.
func (c *CLI) Event() string {
	for end := time.After(cliWait); ; {
		select {
		case ev := <-c.events:
			return ev
		case s, ok := <-c.lines:
			if !ok {
				return c.Name + " ended"
			}
			c.sort(s)
		case <-end:
			return "no event"
		}
	}
}

// sort puts a line with an event aside, and tells whether the line is no part of an answer.
func (c *CLI) sort(line string) bool {
	event, no := c.dialect.sort(line)
	if event != "" {
		c.events <- event
	}
	return no
}

func sortJava(line string) (event string, no bool) {
	if rest, ok := strings.CutPrefix(line, "WatchedEvent state:"); ok {
		state, rest, _ := strings.Cut(rest, " type:")
		kind, path, _ := strings.Cut(rest, " path:")
		path, _, _ = strings.Cut(path, " zxid: ") // 3.9 tells it
		if kind == "None" {
			return state, true
		}
		return kind + " " + path, true
	}
	for _, noise := range []string{"WATCHER::", "SLF4J:", "Connecting to ", "Welcome to ZooKeeper", "JLine support is disabled"} {
		if strings.HasPrefix(line, noise) {
			return "", true
		}
	}
	return "", line == ""
}
