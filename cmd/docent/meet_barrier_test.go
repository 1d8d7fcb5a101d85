//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/docent-io/docent/internal/testkit"
)

// shell runs a script that finds docent as $D.
func (l lab) shell(name, script string, vars ...string) *process {
	l.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(cmd.Environ(), "DOCENT_DSN="+l.dsn(), "DOCENT_IDENTITY="+name, "D="+docent(l.t))
	cmd.Env = append(cmd.Env, vars...)
	return run(l.t, name, cmd)
}

// waits waits until n wait at a barrier.
func (l lab) waiting(path string, n int) {
	l.t.Helper()
	testkit.Eventually(l.t, fmt.Sprint(n, " wait at ", path), func() bool {
		code, out, _ := l.do("barrier", "report", path, "--format", "{{len .Here}}")
		return code == 0 && out == fmt.Sprintln(n)
	})
}

// Scripts enter in one process and leave in another. Who ends in between has crashed.
func TestBarrier_EnterAndLeave(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const enter = `"$D" barrier enter --count 3 --wait 20s step || exit; echo in; `
	a := l.shell("a", enter+`read word; "$D" barrier leave --wait 20s step --format "{{.Left}} {{.Crashed}}"`)
	b := l.shell("b", enter+`read word; "$D" barrier leave --wait 20s step`)
	l.waiting("step", 2)
	if out := l.must("barrier", "report", "step"); out != "2 of 3 wait: a, b\n" && out != "2 of 3 wait: b, a\n" {
		t.Errorf("report says %q", out)
	}
	c := l.shell("c", enter+`read word; exit 1`)
	for _, p := range []*process{a, b, c} {
		l.line(p, "in")
	}
	l.fails(75, "barrier is running", "barrier", "enter", "--count", "3", "step")
	l.fails(1, "of 3 members, not of 4", "barrier", "enter", "--count", "4", "step")
	if out := l.must("barrier", "report", "step"); !strings.HasPrefix(out, "0 left\n3 of 3 still in: ") {
		t.Errorf("report says %q", out)
	}
	for _, p := range []*process{c, a, b} {
		if _, err := fmt.Fprintln(p.stdin, "go"); err != nil {
			t.Fatal(err)
		}
	}
	if code := c.exit(); code != 1 {
		t.Errorf("c ends with %d", code)
	}
	for _, p := range []*process{a, b} {
		if code := p.exit(); code != 0 {
			t.Errorf("%s ends with %d: %s", p.name, code, p.stderr)
		}
	}
	l.line(b, "2 left, 1 crashed: c")
	if out := l.must("barrier", "report", "step"); out != "2 left, 1 crashed: c\n" {
		t.Errorf("report says %q", out)
	}
	var report struct {
		Generation int
		Running    bool
		Last       struct {
			Generation    int
			Left, Crashed []string
		}
	}
	if err := json.Unmarshal([]byte(l.must("barrier", "report", "step", "--json")), &report); err != nil {
		t.Fatal(err)
	}
	if report.Generation != 2 || report.Running || report.Last.Generation != 1 || len(report.Last.Left) != 2 || report.Last.Crashed[0] != "c" {
		t.Errorf("report --json is %+v", report)
	}
}

// Who gives up is not counted, and is not forgotten.
func TestBarrier_NeverFires(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a := l.shell("a", `"$D" barrier enter --count 4 --wait 5s step`)
	b := l.shell("b", `"$D" barrier run --count 4 --wait 5s step -- echo started`)
	killed := l.shell("k", `exec "$D" barrier run --count 4 step -- echo started`)
	l.waiting("step", 3)
	killed.kill()
	for _, p := range []*process{a, b} {
		if code := p.exit(); code != 75 {
			t.Errorf("%s ends with %d: %s", p.name, code, p.stderr)
		}
	}
	if !strings.Contains(a.stderr.String(), "not enough came within 5s") {
		t.Errorf("enter says %q", a.stderr)
	}
	out := l.must("barrier", "report", "step")
	if !strings.HasPrefix(out, "it did not start: ") || !strings.Contains(out, ": a, ") && !strings.Contains(out, ", a") || !strings.Contains(out, "b") {
		t.Errorf("report says %q", out)
	}
	if b.stdout.String() != "" {
		t.Errorf("one started alone: %q", b.stdout)
	}
	l.fails(1, "nobody has come", "barrier", "report", "elsewhere")
}

// An interrupted enter takes its place back; a holder whose session ends says so.
func TestBarrier_Interrupted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	// Of one name in these tests: they run in one process, which can have one place at a barrier.
	p := l.begin("barrier", "enter", "--count", "2", "early")
	l.waiting("early", 1)
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code == 0 {
		t.Error("it ends with 0")
	}
	l.waiting("early", 0)
	p = l.begin("barrier", "enter", "--count", "2", "early")
	l.waiting("early", 1)
	p.kill() // and with it goes the one that waits for it
	l.waiting("early", 0)

	a := l.shell("a", `"$D" barrier enter --count 1 one || exit; echo in; read word; "$D" barrier leave one`)
	l.line(a, "in")
	c, ctx := l.client(), l.ctx()
	names, _, err := c.Children(ctx, "/one/g1/m")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	l.kill() // longer than the session lasts
	testkit.Eventually(t, "the server is gone", func() bool { _, err := l.ask("ruok"); return err != nil })
	l.start()
	l.ready()
	if err := l.client().Delete(ctx, "/one/g1/m/"+names[0], -1); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(a.stdin, "go"); err != nil {
		t.Fatal(err)
	}
	a.exit()
	if out := l.must("barrier", "report", "one"); !strings.HasPrefix(out, "0 left, 1 crashed: a\n") {
		t.Errorf("report says %q", out)
	}
	l.fails(76, "nobody holds a place", "barrier", "leave", "one")
}

func TestBarrier_LeaveWait(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const enter = `"$D" barrier enter --count 2 --wait 20s step || exit; echo in; read word; `
	a := l.shell("a", enter+`"$D" barrier leave --wait 300ms step`)
	b := l.shell("b", enter+`"$D" barrier leave step --owner $$ --json`)
	l.line(a, "in")
	l.line(b, "in")
	if _, err := fmt.Fprintln(a.stdin, "go"); err != nil {
		t.Fatal(err)
	}
	if code := a.exit(); code != 75 || !strings.Contains(a.stderr.String(), "not all have left within 300ms: 1 left") {
		t.Errorf("leave ends with %d: %s", code, a.stderr)
	}
	if _, err := fmt.Fprintln(b.stdin, "go"); err != nil {
		t.Fatal(err)
	}
	if code := b.exit(); code != 0 {
		t.Errorf("leave ends with %d: %s", code, b.stderr)
	}
	l.line(b, `{"generation":1,"left":["`)
}

func TestBarrier_Refusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.locked("/locked/x", "/locked")
	l.refuses(refusals{args: []string{"barrier", "enter", "--count", "2", "PATH"}, usage: map[string]string{
		"--count 0": "--count", "--wait -1s": "--wait", "--wait 0": "--wait", "--owner -1": "--owner", "more": "more", "--count x": "--count",
	}})
	l.refuses(refusals{args: []string{"barrier", "report", "PATH"}, usage: map[string]string{"more": "more"}})
	for args, want := range map[string]string{"": "PATH is missing", "x --wait -1s": "--wait", "x --owner -1": "--owner", "x --json --format y": "exclude", "x --nonsense": "--nonsense"} {
		l.fails(64, want, append([]string{"barrier", "leave"}, strings.Fields(args)...)...)
	}
	l.fails(64, "want enter, leave, report or run", "barrier", "dance")
}
