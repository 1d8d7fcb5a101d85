//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
)

// hold has the test itself hold the lock at path.
func (l lab) hold(path string) *lock.Held {
	l.t.Helper()
	held, err := lock.New(l.client(), path).Lock(l.ctx())
	if err != nil {
		l.t.Fatal(err)
	}
	return held
}

// program writes a file to run.
func program(t testing.TB, name string, mode os.FileMode, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// What is wrong with a command line is said in one line, before anything is connected to.
func TestWrap_Usage(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"lock"}, "PATH is missing"},
		{[]string{"lock", "a"}, "the command is missing"},
		{[]string{"lock", "a", "--"}, "the command is missing"},
		{[]string{"lock", "a", "true"}, "is to stand behind --"},
		{[]string{"lock", "a", "b", "--", "true"}, `unexpected argument "b"`},
		{[]string{"lock", "", "--", "true"}, "PATH is empty"},
		{[]string{"lock", "jobs//a", "--", "true"}, "is a variable in it not set"},
		{[]string{"lock", "--wait", "-1s", "a", "--", "true"}, "--wait -1s"},
		{[]string{"lock", "--wait", "soon", "a", "--", "true"}, "soon"},
		{[]string{"lock", "--on-lost", "cry", "a", "--", "true"}, "want term, kill or ignore"},
		{[]string{"lock", "--session", "30s", "--grace", "11s", "a", "--", "true"}, "can have 10s at most"},
		{[]string{"lock", "--grace", "4s", "a", "--", "true"}, "of a session timeout of 10s"},
		{[]string{"lock", "--dsn", "http://x", "a", "--", "true"}, "zk://"},
		{[]string{"lock", "--nonsense", "a", "--", "true"}, "--nonsense"},
		{[]string{"sem", "--permits", "2", "--weight", "3", "s", "--", "true"}, "--weight 3"},
		{[]string{"sem", "--permits", "-2", "s", "--", "true"}, "--permits -2"},
		{[]string{"elect", "--ready-fd", "4", "e", "--", "true"}, "goes with --post"},
		{[]string{"elect", "--post", "m", "--ready-fd", "2", "e", "--", "true"}, "--ready-fd 2"},
		{[]string{"elect", "--observe", "e", "--", "true"}, "unexpected argument"},
		{[]string{"once", "--ttl", "1h"}, "--key is missing"},
		{[]string{"once", "--key", "k"}, "--ttl 0s"},
		{[]string{"once", "--key", "k", "--ttl", "1h", "k2"}, "unexpected argument"},
		{[]string{"once", "--key", "k", "--ttl", "1h", "--scope", "moon"}, "want call, job or array"},
		{[]string{"once", "--key", "k", "--ttl", "1h", "--scope", "array"}, "SLURM_ARRAY_JOB_ID"},
		{[]string{"barrier", "run", "b", "--", "true"}, "--count 0"},
		{[]string{"barrier", "run", "--count", "2", "--wait", "0", "b", "--", "true"}, "--wait 0"},
		{[]string{"svc", "register", "--meta", "x", "s", "--", "true"}, "--meta"},
		{[]string{"svc", "register", "--port", "70000", "s", "--", "true"}, "--port 70000"},
	} {
		t.Run(strings.Join(x.args, " "), func(t *testing.T) {
			t.Parallel()
			refuses(t, x.args, x.want)
		})
	}
}

func TestWrap_ExitCodes(t *testing.T) {
	l := newLab(t)
	noexec := program(t, "noexec", 0o644, "#!/bin/sh\n")
	script := program(t, "script", 0o755, "#!/no/such/interpreter\n")
	held := l.hold("/busy")
	l.must("sem", "--permits", "1", "s", "--", "true")
	for _, x := range []struct {
		code int
		want string // of stderr, one line; or nothing
		args []string
	}{
		{0, "", []string{"lock", "a", "--", "true"}},
		{7, "", []string{"lock", "a", "--", "sh", "-c", "exit 7"}},
		{137, "", []string{"lock", "a", "--", "sh", "-c", "kill -9 $$"}},
		{143, "", []string{"lock", "a", "--", "sh", "-c", "kill $$"}},
		{127, "nosuch", []string{"lock", "busy", "--", "nosuch"}}, // not even waited for
		{126, "noexec", []string{"lock", "a", "--", noexec}},
		{127, "script", []string{"lock", "a", "--", script}},
		{75, "locked by", []string{"lock", "--wait", "0", "busy", "--", "true"}},
		{75, "not had within 50ms", []string{"lock", "--wait", "50ms", "busy", "--", "true"}},
		{5, "", []string{"sem", "--permits", "1", "s", "--", "sh", "-c", "exit 5"}},
		{1, "number of permits", []string{"sem", "--permits", "2", "s", "--", "true"}},
		{75, "/busy: somebody else leads", []string{"elect", "--wait", "0", "busy", "--", "true"}},
		{75, "not had within 50ms", []string{"elect", "--wait", "50ms", "busy", "--", "true"}},
		{3, "", []string{"elect", "e", "--", "sh", "-c", "exit 3"}},
		{75, "not had within 50ms", []string{"barrier", "run", "--count", "2", "--wait", "50ms", "b", "--", "true"}},
		{4, "", []string{"barrier", "run", "--count", "1", "b1", "--", "sh", "-c", "exit 4"}},
		{6, "", []string{"svc", "register", "x", "--", "sh", "-c", "exit 6"}},
		{69, "no server", []string{"lock", "--dsn", "zk://127.0.0.1:1", "--connect", "200ms", "a", "--", "true"}},
		{64, "grants", []string{"lock", "--session", "10m", "--grace", "1m", "a", "--", "true"}}, // a minute is granted
		{1, "no JSON", []string{"elect", "--post", "m", "e", "--", "sh", "-c", "echo '{' >&3; exec sleep 60"}},
		{1, "want KEY=TEXT", []string{"elect", "--post", "m", "e", "--", "sh", "-c", "echo huh >&3; exec sleep 60"}},
	} {
		t.Run(strings.Join(x.args, " "), func(t *testing.T) {
			t.Parallel()
			l := lab{l.member, t}
			if x.want != "" {
				l.fails(x.code, x.want, x.args...)
			} else if code, stdout, stderr := l.do(x.args...); code != x.code || stdout != "" || stderr != "" {
				t.Errorf("exit code %d, want %d; stdout %q, stderr %q; want none", code, x.code, stdout, stderr)
			}
		})
	}
	t.Cleanup(func() { held.Close() })
}

// Whom an ACL keeps out gets 77, as does whom a server refuses to authenticate.
func TestWrap_Denied(t *testing.T) {
	l := newLab(t)
	l.locked("/secret", "/once")
	l.fails(77, "not authorized", "lock", "secret", "--", "true")
	l.fails(77, "not authorized", "sem", "--permits", "1", "secret", "--", "true")
	l.fails(77, "not authorized", "elect", "--wait", "0", "secret", "--", "true")
	l.fails(77, "not authorized", "once", "--key", "x", "--ttl", "1h")
	l.fails(77, "not authorized", "barrier", "run", "--count", "1", "secret", "--", "true")
	l.fails(77, "not authorized", "svc", "register", "--under", "secret", "s", "--", "true")
}

// The child's files are ours, and the variables are its alone: those of a docent around it do not come through.
func TestWrap_ChildsWorld(t *testing.T) {
	l := newLab(t)
	cmd := l.command("sem", "--permits", "3", "--weight", "2", "s", "--", docent(t), "lock", "a", "--", "sh", "-c",
		`read line; echo "$line:$DOCENT_LOCK:${DOCENT_SLOT-none}:$DOCENT_TOKEN"; echo err >&2`)
	p := run(t, "docent", cmd)
	fmt.Fprintln(p.stdin, "in")
	if code := p.exit(); code != 0 || p.stderr.String() != "err\n" {
		t.Fatalf("exit code %d, stderr %q", code, p.stderr)
	}
	if out := p.stdout.String(); !strings.HasPrefix(out, "in:/a:none:") || strings.HasSuffix(out, ":\n") {
		t.Errorf("stdout is %q", out)
	}
	if out := l.must("sem", "--permits", "3", "--weight", "2", "s", "--", "sh", "-c", "echo $DOCENT_SLOT $DOCENT_SLOTS $DOCENT_LOCK"); out != "0 0,1 /s\n" {
		t.Errorf("of a semaphore: %q", out)
	}
}

// --json tells on stderr what happens; stdout is the child's.
func TestWrap_JSON(t *testing.T) {
	l := newLab(t)
	code, stdout, stderr := l.do("lock", "--json", "--note", "why", "a", "--", "sh", "-c", "echo out; exit 2")
	if code != 2 || stdout != "out\n" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	var events []string
	for line := range strings.Lines(stderr) {
		var ev struct {
			Event string
			Time  time.Time
			Path  string
			Token uint64
			Code  int
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil || ev.Time.IsZero() || ev.Path != "/a" {
			t.Errorf("%q: %v", line, err)
		}
		events = append(events, fmt.Sprint(ev.Event, ev.Code, ev.Token > 0))
	}
	if got := strings.Join(events, " "); got != "acquired0 true ended2 false" {
		t.Errorf("events are %s", got)
	}
}

// What the shell before us has expanded to nothing, or what nobody will expand, is warned of; the child runs.
func TestWrap_WarnsOfExpansions(t *testing.T) {
	l := newLab(t)
	for _, x := range []struct {
		warning string
		argv    []string
	}{
		{"set to nothing", []string{"sh", "-c", "true tok= x"}},
		{"set to nothing", []string{"sh", "-c", `tok="" true`}},
		{"set to nothing", []string{"true", "--token="}},
		{"is empty", []string{"true", ""}},
		{"no shell to expand", []string{"true", "$DOCENT_TOKEN"}},
		{"", []string{"sh", "-c", `tok="$DOCENT_TOKEN" other= true`}},
		{"", []string{"sh", "-c", "IFS= true; [ a = a ]"}},
		{"", []string{"true", "a=b"}},
	} {
		code, _, stderr := l.do(append([]string{"lock", "a", "--"}, x.argv...)...)
		if x.warning == "" && stderr != "" || x.warning != "" && !strings.Contains(stderr, x.warning) {
			t.Errorf("%q: exit code %d, stderr %q, want %q", x.argv, code, stderr, x.warning)
		}
	}
}

// A signal that comes while we wait ends the waiting, and leaves nothing behind.
func TestWrap_SignalWhileWaiting(t *testing.T) {
	l := newLab(t)
	held := l.hold("/a")
	m := lock.New(l.client(), "/a")
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129, syscall.SIGQUIT: 131} {
		p := l.begin("lock", "a", "--", "touch", filepath.Join(t.TempDir(), "ran"))
		waiting := func() int {
			q, err := m.Inspect(l.ctx())
			if err != nil {
				t.Fatal(err)
			}
			return len(q.Waiting)
		}
		testkit.Eventually(t, "it waits", func() bool { return waiting() == 1 })
		p.signal(sig)
		if got := p.exit(); got != code || p.stderr.String() != "" {
			t.Errorf("%v: exit code %d, want %d; stderr %q", sig, got, code, p.stderr)
		}
		if n := waiting(); n != 0 {
			t.Errorf("%v: %d still wait", sig, n)
		}
	}
	if !held.Valid() {
		t.Error("the lock was lost meanwhile")
	}
}

func TestOnce(t *testing.T) {
	for _, flag := range []string{"--extended-types", "--extended-types=false"} {
		t.Run(flag, func(t *testing.T) {
			m := standalone(t)
			m.args = append(m.args, flag, "--min-session-timeout", "500ms")
			m.start()
			m.ready()
			testOnce(lab{m, t})
		})
	}
}

func testOnce(l lab) {
	once := func(ttl string, more ...string) []string {
		return append([]string{"once", "--key", "n/1", "--ttl", ttl}, more...)
	}
	l.must(once("1h")...)
	l.fails(75, "ago, by ", once("1h")...)
	l.fails(75, "ago, by ", once("1h", "--", "true")...)
	c := l.client()
	n, err := c.Get(l.ctx(), "/once/n/1/run")
	if err != nil {
		l.t.Fatal(err)
	}
	if out := l.must(once("1ms", "--", "echo", "again")...); out != "again\n" { // its time is over now
		l.t.Errorf("after its time: %q", out)
	}
	if again, err := c.Get(l.ctx(), "/once/n/1/run"); err != nil || again.Stat.Czxid == n.Stat.Czxid {
		l.t.Errorf("not replaced: %+v, %v", again, err)
	}

	// All tasks of an array are one; of 20 calls at once, otherwise, one is the first.
	for _, x := range []struct {
		scope string
		want  int
	}{{"array", 20}, {"job", 1}, {"call", 1}} {
		var all []*process
		for i := range 20 {
			cmd := l.command("once", "--key", x.scope, "--ttl", "1h", "--scope", x.scope)
			cmd.Env = append(cmd.Env, "SLURM_ARRAY_JOB_ID=100", fmt.Sprint("SLURM_JOB_ID=", 100+i))
			all = append(all, run(l.t, fmt.Sprint("docent ", i), cmd))
		}
		first := 0
		for _, p := range all {
			switch code := p.exit(); code {
			case 0:
				first++
			case 75:
			default:
				l.t.Errorf("exit code %d: %s", code, p.stderr)
			}
		}
		if first != x.want {
			l.t.Errorf("scope %s: %d were the first, want %d", x.scope, first, x.want)
		}
	}
	if names, _, err := c.Children(l.ctx(), "/once/call", client.Fresh()); err != nil || len(names) > 2 {
		l.t.Errorf("left behind: %v, %v", names, err)
	}
}
