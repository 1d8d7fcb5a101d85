//go:build unix

package main_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// What could not be written is no success: a full disk is told of, by every verb.
func TestStdout_Full(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	defer full.Close()
	l := newLab(t)
	l.must("create", "/a", "data")
	l.must("config", "set", "c", "1")
	for _, line := range []string{
		"--help", "help", "help lock", "lock --help", "--version", "version", "completion bash", "exit-codes --help", "acl digest a:b",
		"get /a", "ls /", "ls --long /", "tree /", "tree --json /", "stat /a", "acl get /a", "export /a", "create /b", "set --json /a x", "get --json /a",
		"lock ls /", "inspect /a", "doctor /a", "top", "status", "config get c", "config status c", "config status --metrics c", "svc ls", "group list /a",
	} {
		cmd := l.command(strings.Fields(line)...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "no space left") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("docent %s: %v, %q", line, err, stderr.String())
		}
	}
}

// Whoever reads no further ends the verb, as it does cat: docent get … | head -1.
func TestStdout_Broken(t *testing.T) {
	l := newLab(t)
	l.must("create", "/a", strings.Repeat("x", 1000))
	for _, line := range []string{"--help", "get /a", "tree /", "watch /a", "config watch /a", "group watch /g"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := l.command(strings.Fields(line)...)
		cmd.Stdout = w
		p := runToEnd(t, cmd)
		w.Close()
		if status := p.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE {
			t.Errorf("docent %s: %v", line, p)
		}
	}
}

// runToEnd runs a command whose files are set to its end.
func runToEnd(t *testing.T, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	_ = cmd.Run() // its state tells
	if cmd.ProcessState == nil {
		t.Fatalf("%q did not start", cmd.Args)
	}
	return cmd.ProcessState
}
