//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// puppetEnv holds a puppetConfig for a process that is a puppet.
const puppetEnv = "DOCENT_TEST_PUPPET"

// puppetConfig says which lock a puppet takes, and what the lock guards.
type puppetConfig struct {
	Name    string
	Servers []string
	Timeout time.Duration // of its session
	Path    string        // of the lock
	Journal string        // file that all holders append to
	Store   string        // URL of the store, which checks tokens
}

// puppet is a process of its own that takes a lock, as its test tells it line by line on stdin. It answers, and reports
// what it learns, line by line on stdout:
//
//	           -> ready PID
//	lock       -> locked TOKEN TIME
//	write      -> store STATUS, as the store answered: it is asked without a look at whether the lock is still held
//	unlock     -> unlocked TOKEN
//	ticket     -> ticket SESSION PASSWORD
//	rounds N   -> done N LOSSES
//	           -> connected ADDRESS, whenever it was
//	           -> lost TIME CAUSE, when a lock it holds is lost
//	           -> failed ERROR
//
// Times are those of the system's clock, in nanoseconds.
type puppet struct {
	*process
	seen map[string]int // for each word awaited, the line of stdout to look on from
}

// startPuppet starts a puppet and waits until it has a session.
func startPuppet(t testing.TB, cfg puppetConfig) *puppet {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), puppetEnv+"="+string(text))
	p := &puppet{process: run(t, "puppet "+cfg.Name, cmd), seen: make(map[string]int)}
	p.await("ready")
	return p
}

// tell sends a command, and does not wait.
func (p *puppet) tell(command string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, command); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// await waits for the next line that begins with word, and returns the words behind it. The lines of different words may
// be awaited in any order.
func (p *puppet) await(word string) []string {
	p.t.Helper()
	line, next, err := p.stdout.await(p.seen[word], word+" ", "failed ")
	if err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	if !strings.HasPrefix(line, word) {
		p.t.Fatalf("%s: %s while %q was awaited", p.name, line, word)
	}
	p.seen[word] = next
	return strings.Fields(line)[1:]
}
