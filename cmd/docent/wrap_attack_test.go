//go:build unix

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
)

// started waits until a child has written its process number, and returns it.
func started(t testing.TB, p *process) int {
	t.Helper()
	line, _, err := p.stdout.await(0, "pid ")
	if err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, p.stderr)
	}
	pid, err := strconv.Atoi(line[len("pid "):])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// extinct waits until no process has the number, nor any the process group of it.
func extinct(t testing.TB, pid int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprint("process group ", pid, " has ended"), func() bool { return syscall.Kill(-pid, 0) != nil })
}

// What a child leaves behind in its group would work on without the lock: it is ended before that is let go.
func TestWrap_EndsWhatIsLeft(t *testing.T) {
	l := newLab(t)
	for _, left := range []string{"sleep 60 &", "(trap '' TERM; while :; do sleep 0.1; done) &", "(sleep 60 & sleep 60) &"} {
		p := l.begin("lock", "a", "--", "sh", "-c", "echo pid $$; "+left+" exit 3")
		pid := started(t, p)
		if code := p.exit(); code != 3 {
			t.Errorf("%s: exit code %d\n%s", left, code, p.stderr)
		}
		if err := syscall.Kill(-pid, 0); err == nil {
			t.Errorf("%s: somebody is left of the group when docent has ended", left)
		}
	}
}

// A child that reads nothing, and closes all it was given, is not lost sight of.
func TestWrap_ClosedFiles(t *testing.T) {
	l := newLab(t)
	if code, _, stderr := l.do("lock", "a", "--", "sh", "-c", "exec <&- >&- 2>&-; sleep 0.1; exit 9"); code != 9 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	// Neither is one that goes on when nobody reads what docent says: the pipe breaks at "acquired".
	cmd := l.command("lock", "--json", "a", "--", "sh", "-c", "sleep 0.1; exit 8")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd.Stderr = w
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 8 {
		t.Errorf("without a reader: %v", err)
	}
}

// Signals in great number are passed on, and end nothing but by the child's will.
func TestWrap_Storm(t *testing.T) {
	l := newLab(t)
	p := l.begin("lock", "a", "--", "bash", "-c", `trap : TERM INT HUP USR1 USR2 QUIT; trap 'exit 42' WINCH; echo pid $$; while :; do sleep 0.01; done`)
	pid := started(t, p)
	for range 300 {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT} {
			p.signal(sig)
		}
	}
	p.alive()
	p.signal(syscall.SIGWINCH)
	testkit.Eventually(t, "it ends", func() bool {
		p.signal(syscall.SIGWINCH) // bash may miss one among the others
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
	if code := p.exit(); code != 42 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	extinct(t, pid)
}

// Signals that docent was started to ignore, as by nohup, end neither it nor the child.
func TestWrap_Nohup(t *testing.T) {
	l := newLab(t)
	cmd := l.command()
	inner := l.command("lock", "a", "--", "sh", "-c", "echo pid $$; read line; exit 5")
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap '' HUP INT; exec "$@"`, "sh"}, inner.Args...)
	p := run(t, "docent", cmd)
	pid := started(t, p)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		p.signal(sig)
		syscall.Kill(-pid, sig)
	}
	fmt.Fprintln(p.stdin)
	if code := p.exit(); code != 5 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
}

// The ensemble restarts while something is held: the child does not notice.
func TestWrap_EnsembleRestarts(t *testing.T) {
	l := newLab(t)
	p := l.begin("lock", "--session", "10s", "a", "--", "sh", "-c", "echo pid $$; read line; exit 5")
	started(t, p)
	for range 3 {
		l.member.kill()
		l.member.start()
		l.member.ready()
	}
	m := lock.New(l.client(), "/a")
	if q, err := m.Inspect(l.ctx()); err != nil || len(q.Holders) != 1 {
		t.Errorf("after the restarts: %+v, %v", q, err)
	}
	fmt.Fprintln(p.stdin)
	if code := p.exit(); code != 5 || p.stderr.String() != "" {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	if err := checkGone(l, "/a"); err != nil {
		t.Error(err)
	}
}

// Somebody breaks the lock: the child has its grace, and then none. With ignore it goes on, with kill it has none.
func TestWrap_Broken(t *testing.T) {
	for _, x := range []struct {
		onLost string
		code   int
		term   bool // the child is asked
	}{{"term", 76, true}, {"kill", 76, false}, {"ignore", 0, false}} {
		t.Run(x.onLost, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			trace := filepath.Join(t.TempDir(), "trace")
			p := l.begin("lock", "--on-lost", x.onLost, "a", "--", "bash", "-c",
				`trap "echo term >`+trace+`" TERM; echo pid $$; for i in {1..100}; do sleep 0.01; done`)
			pid := started(t, p)
			m := lock.New(l.client(), "/a")
			q, err := m.Inspect(l.ctx())
			if err == nil {
				err = m.Break(l.ctx(), q.Holders[0].Token)
			}
			if err != nil {
				t.Fatal(err)
			}
			if code := p.exit(); code != x.code {
				t.Errorf("exit code %d, want %d\n%s", code, x.code, p.stderr)
			}
			if _, err := os.Stat(trace); (err == nil) != x.term {
				t.Errorf("asked to end: %v", err)
			}
			extinct(t, pid)
		})
	}
}

// A child that is stopped can be ended, too.
func TestWrap_StoppedChild(t *testing.T) {
	l := newLab(t)
	p := l.begin("lock", "a", "--", "sh", "-c", "echo pid $$; while :; do sleep 0.01; done")
	pid := started(t, p)
	syscall.Kill(-pid, syscall.SIGSTOP)
	m := lock.New(l.client(), "/a")
	q, err := m.Inspect(l.ctx())
	if err == nil {
		err = m.Break(l.ctx(), q.Holders[0].Token)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 76 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	extinct(t, pid)
}

// What a leader says on the descriptor is posted, also what it says later, and is gone with it; observers see who leads.
func TestElect_Posts(t *testing.T) {
	l := newLab(t)
	observer := l.begin("elect", "--observe", "--json", "e")
	l.line(observer, `{"id":"","token":0,"acked":false,"vacant":true`)
	p := l.begin("elect", "--post", "m", "--ready-fd", "5", "e", "--", "sh", "-c", `echo pid $$; echo "host=n7 port=42" >&5; read line; echo '{"host":"n8"}' >&5; read line`)
	started(t, p)
	wait := func(want string) {
		t.Helper()
		testkit.Eventually(t, want+" is posted", func() bool {
			n, err := l.client().Get(l.ctx(), "/m/info", client.Fresh())
			return err == nil && bytes.Contains(n.Data, []byte(want))
		})
	}
	wait(`{"host":"n7","port":42}`)
	info, err := leader.Current(l.ctx(), l.client(), "/e")
	if err != nil || !info.Acked {
		t.Errorf("who leads: %+v, %v", info, err)
	}
	if _, _, err := observer.stdout.await(0, fmt.Sprintf(`{"id":%q,"token":%d,"acked":true`, info.ID, info.Token)); err != nil {
		t.Error(err)
	}
	fmt.Fprintln(p.stdin)
	wait(`{"host":"n8"}`)
	fmt.Fprintln(p.stdin)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	l.gone(l.client(), "/m/info")
	l.told(observer)
}

// Those of a barrier start together and end together; who fails is among the crashed, and does not hold up the others.
func TestBarrierRun(t *testing.T) {
	l := newLab(t)
	var all []*process
	for i := range 4 {
		all = append(all, l.begin("barrier", "run", "--count", "4", "--id", fmt.Sprint("w", i), "b", "--", "sh", "-c", fmt.Sprintf("echo pid $$ $DOCENT_GENERATION; exit $((%d / 3))", i)))
	}
	for i, p := range all {
		if code := p.exit(); code != i/3 {
			t.Errorf("%s: exit code %d\n%s", p.name, code, p.stderr)
		}
	}
	if out := l.must("barrier", "report", "b"); !strings.Contains(out, "3 left, 1 crashed: w3") {
		t.Errorf("the report is %q", out)
	}
}

// A registered child is found while it lives, drains before it is asked to end, and outlives a lost session.
func TestSvcRegister(t *testing.T) {
	l := newLab(t)
	p := l.begin("svc", "register", "appmgr", "--flavor", "pbs", "--version", "0.9.0", "--host", "h", "--port", "9940", "--meta", "site=a=b", "--instance", "one", "--drain", "300ms", "--",
		"bash", "-c", `trap 'echo asked; exit 7' TERM; echo pid $$; while :; do sleep 0.01; done`)
	started(t, p)
	c := l.client()
	data := func() string {
		n, err := c.Get(l.ctx(), "/svc/appmgr/one", client.Fresh())
		if err != nil {
			return ""
		}
		return string(n.Data)
	}
	for _, want := range []string{"9940", "pbs", "0.9.0", "a=b"} {
		if !strings.Contains(data(), want) {
			t.Errorf("%q is not in %s", want, data())
		}
	}
	owner := l.owner(c, "/svc/appmgr/one")
	if err := c.Delete(l.ctx(), "/svc/appmgr/one", -1); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it is there again", func() bool { return data() != "" })
	if l.owner(c, "/svc/appmgr/one") != owner {
		t.Error("its session was another one")
	}
	p.signal(syscall.SIGTERM)
	testkit.Eventually(t, "it drains", func() bool { return strings.Contains(data(), "draining") || data() == "" })
	if data() == "" {
		t.Error("gone without draining")
	}
	if strings.Contains(p.stdout.String(), "asked") {
		t.Error("asked to end before it drained")
	}
	if code := p.exit(); code != 7 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	l.gone(c, "/svc/appmgr/one")
}

// At a terminal: the child has it, Ctrl-C reaches the child, and Ctrl-Z stops both, so that the shell has it back.
func TestWrap_Terminal(t *testing.T) {
	l := newLab(t)
	cmd := l.command("lock", "--session", "30s", "a", "--", "bash", "-c", `trap 'echo got INT' INT; read line; echo "read $line"; read line; echo "and $line"; exit 6`)
	shell := exec.Command("bash", "--norc", "--noprofile", "-i")
	shell.Env = append(cmd.Env, "PS1=$ ", "PS2=", "TERM=dumb", "HISTFILE=")
	screen := newRecord()
	tty, err := pty.Start(shell)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			screen.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		shell.Process.Kill()
		shell.Wait()
		tty.Close()
		<-read
		if t.Failed() {
			t.Logf("the screen:\n%s", screen)
		}
	}()
	say := func(text string) {
		t.Helper()
		if _, err := tty.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	see := func(want string) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("%q is on the screen", want), func() bool { return strings.Contains(screen.String(), want) && ctx.Err() == nil })
	}
	quoted := make([]string, len(cmd.Args))
	for i, arg := range cmd.Args {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	script := program(t, "script", 0o755, "exec "+strings.Join(quoted, " ")+"\n")
	holds := func(n int) func() bool {
		m := lock.New(l.client(), "/a")
		return func() bool { q, err := m.Inspect(l.ctx()); return err == nil && len(q.Holders) == n }
	}
	say("sh " + script + "; echo code=$?\n")
	testkit.Eventually(t, "the lock is held", holds(1))
	say("one\n")
	see("read one")
	say("\x03")
	see("got INT")
	say("\x1a")
	see("Stopped")
	say("fg\n")
	say("two\n")
	see("and two")
	see("$ ")
	say("echo code=$?\n")
	see("code=6")
	testkit.Eventually(t, "the lock is free", holds(0))
}
