//go:build unix

package main_test

import (
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// typist is a person at a terminal in which docent runs.
type typist struct {
	*testing.T
	tty    *os.File
	screen *record // all that was ever shown
	seen   int     // how much of it was looked at
	cmd    *exec.Cmd
	ended  chan error
}

// atTerminal runs docent in a terminal of its own, with a home of its own.
func atTerminal(t *testing.T, home, dsn string, args ...string) *typist {
	t.Helper()
	return terminalOf(t, home, dsn, exec.Command(docent(t), args...))
}

// terminalOf runs a program in a terminal of its own.
func terminalOf(t *testing.T, home, dsn string, cmd *exec.Cmd) *typist {
	t.Helper()
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+home, "DOCENT_DSN="+dsn, "TERM=xterm")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	p := &typist{T: t, tty: tty, screen: newRecord(), cmd: cmd, ended: make(chan error, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(p.screen, tty) // until the terminal is closed
	}()
	go func() {
		err := cmd.Wait()
		p.ended <- err
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
		<-read
		if t.Failed() {
			t.Logf("the terminal showed:\n%q", p.screen.String())
		}
	})
	return p
}

// types types.
func (p *typist) types(text string) {
	p.Helper()
	if _, err := p.tty.WriteString(text); err != nil {
		p.Fatal(err)
	}
}

// sees waits until a text is shown behind what was seen before.
func (p *typist) sees(text string) {
	p.Helper()
	for limit := time.After(patience); ; {
		p.screen.mu.Lock()
		grown := p.screen.grown
		p.screen.mu.Unlock()
		all := p.screen.String()
		if i := strings.Index(all[p.seen:], text); i >= 0 {
			p.seen += i + len(text)
			return
		}
		select {
		case <-grown:
		case <-limit:
			p.Fatalf("%q is not shown after %v; but %q", text, patience, all[p.seen:])
		}
	}
}

// ends waits for the end, and checks the exit code.
func (p *typist) ends(code int) {
	p.Helper()
	select {
	case <-p.ended:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			p.Errorf("exit code %d, want %d", got, code)
		}
	case <-time.After(patience):
		p.Fatal("it does not end")
	}
}

const (
	tab   = "\t"
	enter = "\r"
	up    = "\x1b[A"
	ctrlC = "\x03"
	ctrlD = "\x04"
)

func TestShell_Terminal(t *testing.T) {
	srv, home := servertest.New(t), t.TempDir()
	c := srv.Dial(t)
	for _, p := range []string{"/apples/red one", "/apples/green", "/apples/it's", "/apricots"} {
		if _, err := c.Create(t.Context(), p, []byte("data of "+p), client.Parents()); err != nil {
			t.Fatal(err)
		}
	}
	p := atTerminal(t, home, srv.DSN(), "shell")
	p.sees("docent:/> ")
	p.types("create /new 'two words'" + enter)
	p.sees("\r\n/new\r\ndocent:/> ")
	p.types("get /new" + enter)
	p.sees("\r\ntwo words\r\ndocent:/> ")
	p.types("get /nothing" + enter)
	p.sees("\r\nget: /nothing: node does not exist\r\ndocent:/> ")
	p.types("gte" + enter)
	p.sees(`unknown verb "gte"; help lists them`)
	p.types("get --loud x" + enter)
	p.sees("get: unknown flag: --loud")
	p.types("get 'x" + enter)
	p.sees("a quote is not closed")
	p.types("help" + enter)
	p.sees("cd          go to a znode")
	p.types("help ls" + enter)
	p.sees("Lists the names of the children")

	// Completion: of verbs, of paths as far as they are the same, of what there is to choose from, of names to be quoted.
	p.sees("docent:/> ")
	p.types("ge" + tab)
	p.sees("t ")
	p.types("/ap" + tab + tab)
	p.sees("apples  apricots\r\n")
	p.types("pl" + tab)
	p.sees("apples/")
	p.types("r" + tab + enter)
	p.sees("'/apples/red one'")
	p.sees("data of /apples/red one\r\n")
	p.types("cd app" + tab + enter)
	p.sees("docent:/apples> ")
	p.types("get i" + tab + enter)
	p.sees("data of /apples/it's\r\n")
	p.types("ls --lo" + tab + enter)
	p.sees("VERSION")
	p.sees("red one\r\n")
	p.types("acl g" + tab + "gre" + tab + enter)
	p.sees("world:anyone:rwcda\r\n")
	p.types("pwd" + enter)
	p.sees("\r\n/apples\r\n")
	p.types("cd .." + enter)
	p.sees("docent:/> ")

	// A transaction takes further lines; Ctrl-C leaves it, and a line half typed.
	p.types("txn" + enter)
	p.sees("txn> ")
	p.types("set /new 'by txn'" + enter)
	p.sees("txn> ")
	p.types("commit" + enter)
	p.sees("set /new version 1")
	p.types("txn" + enter)
	p.sees("txn> ")
	p.types("delete /new" + ctrlC)
	p.sees("interrupted")
	p.sees("docent:/> ")
	p.types("delete /new" + ctrlC)
	p.sees("\r\ndocent:/> ")
	p.types("get /new" + enter)
	p.sees("by txn")

	// What runs is broken off.
	p.types("watch /new" + enter)
	p.sees("watching /new")
	if _, err := c.Set(t.Context(), "/new", nil, -1); err != nil {
		t.Fatal(err)
	}
	p.sees("changed /new")
	p.types(ctrlC)
	p.sees("docent:/> ")
	p.types("delete --recursive /apples" + enter)
	p.sees("delete /apples and the 3 nodes below it? [y/N] ")
	p.types("n" + enter)
	p.sees("nothing deleted")
	p.types("delete --recursive /apples" + enter)
	p.sees("[y/N] ")
	p.types("y" + enter)
	p.sees("deleted 4 nodes")
	p.types("create /mine --ephemeral" + enter)
	p.sees("\r\n/mine\r\n")
	p.types(ctrlD)
	p.ends(0)
	if _, ok, err := c.Exists(t.Context(), "/mine"); ok || err != nil {
		t.Errorf("the ephemeral of the shell is still there: %v", err)
	}
}

func TestShell_History(t *testing.T) {
	srv, home := servertest.New(t), t.TempDir()
	p := atTerminal(t, home, srv.DSN(), "shell")
	p.sees("> ")
	p.types("create /first" + enter + "auth ann:secret" + enter + "acl digest ann:secret" + enter + "pwd" + enter)
	p.sees("digest:ann:")
	p.sees("\r\n/\r\n")
	p.types("exit" + enter)
	p.ends(0)
	file := filepath.Join(home, "docent", "history")
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "create /first\npwd\nexit\n" {
		t.Errorf("the history is %q, %v", text, err)
	}
	for name, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	// Two at once: both find what was there, and keep what they add.
	a, b := atTerminal(t, home, srv.DSN(), "shell"), atTerminal(t, home, srv.DSN(), "shell")
	for _, p := range []*typist{a, b} {
		p.sees("> ")
		p.types(up + up + up)
		p.sees("create /first")
		p.types(ctrlC)
		p.sees("> ")
	}
	a.types("stat /a" + enter)
	a.sees("node does not exist")
	b.types("stat /b" + enter)
	b.sees("node does not exist")
	a.types(ctrlD)
	b.types(ctrlD)
	a.ends(0)
	b.ends(0)
	if text, err := os.ReadFile(file); err != nil || string(text) != "create /first\npwd\nexit\nstat /a\nstat /b\n" {
		t.Errorf("the history is %q, %v", text, err)
	}
	// It does not grow for ever, and what cannot be kept disturbs nobody.
	if err := os.WriteFile(file, []byte(strings.Repeat("ls\nls /\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	p = atTerminal(t, home, srv.DSN(), "shell")
	p.sees("> ")
	p.types(ctrlD)
	p.ends(0)
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 1000 {
		t.Errorf("the history has %d lines, %v", strings.Count(string(text), "\n"), err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	p = atTerminal(t, home, srv.DSN(), "shell")
	p.sees("the history is not kept")
	p.types("pwd" + enter)
	p.sees("\r\n/\r\n")
}

// A server that goes and comes is told of, at the prompt and in it; what was typed stays.
func TestShell_ServerRestart(t *testing.T) {
	srv := servertest.New(t)
	p := atTerminal(t, t.TempDir(), srv.DSN(), "shell", "--session", "20s")
	p.sees("docent:/> ")
	p.types("create /kept --eph")
	p.sees("--eph")
	srv.Kill()
	p.sees("docent: suspended\r\n")
	p.sees("docent:/ (suspended)> create /kept --eph")
	srv.Restart()
	p.sees("docent: connected\r\n")
	p.sees("docent:/> create /kept --eph")
	p.types("emeral" + enter)
	p.sees("\r\n/kept\r\n")
	p.sees("docent:/> ") // a prompt drawn later would tell of the loss, and no line would
	srv.Kill()
	p.sees("docent: suspended\r\n")
	p.types("get /kept --timeout 100ms" + enter)
	p.sees("get: no answer within 100ms\r\n")
	p.types("get /kept" + enter)
	p.sees("get /kept\r\n")
	p.types(ctrlC)
	p.sees("interrupted\r\n")
	srv.Restart()
	p.sees("docent:/> ")
	p.types("stat /kept" + enter)
	p.sees("ephemeral of  session 0x")
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.ends(0)
}

// A long line wraps, and the terminal may change its size.
func TestShell_Sizes(t *testing.T) {
	srv := servertest.New(t)
	p := atTerminal(t, t.TempDir(), srv.DSN(), "shell")
	p.sees("> ")
	for _, cols := range []uint16{20, 1, 120} {
		if err := pty.Setsize(p.tty, &pty.Winsize{Rows: 5, Cols: cols}); err != nil {
			t.Fatal(err)
		}
		p.types("set /zookeeper/quota " + strings.Repeat("x", 300) + enter)
		p.sees("version ")
	}
	p.types("get /zookeeper/quota" + enter)
	p.sees(strings.Repeat("x", 300))
}

func shellScript(t *testing.T, srv *servertest.Server, script string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(docent(t), append([]string{"shell", "--dsn", srv.DSN()}, args...)...)
	p := run(t, "docent shell", cmd)
	if _, err := io.WriteString(p.stdin, script); err != nil {
		t.Fatal(err)
	}
	p.stdin.Close()
	return p.exit(), p.stdout.String(), p.stderr.String()
}

func TestShell_Script(t *testing.T) {
	srv := servertest.New(t)
	for _, x := range []struct {
		script, args   string
		code           int
		stdout, stderr string
	}{
		{"create /a 1\ncd a\n\n# comment\ncreate b 'x y'\nls\nget b\ncd\npwd\ntxn\nset /a 2\ncommit\nget a", "", 0, "/a\n/a/b\nb\nx y\n/\nset /a version 1\n2\n", ""},
		{"get /a\nget /no\nget /a", "", 1, "2\n", "docent shell: line 2: get: /no: node does not exist\n"},
		{"get /no\nset /a x --version 7\nget /a", "--keep-going", 1, "2\n", "docent shell: line 1: get: /no: node does not exist\ndocent shell: line 2: set: /a: version does not match\n"},
		{"set /a x --version 7", "", 75, "", "docent shell: line 1: set: /a: version does not match\n"},
		{"nonsense", "", 64, "", "docent shell: line 1: unknown verb \"nonsense\"; help lists them\n"},
		{"get 'x", "", 64, "", "docent shell: line 1: a quote is not closed\n"},
		{"set /a -", "", 64, "", "docent shell: line 1: set: -: a shell has no further input; use @FILE\n"},
		{"exit\nget /no", "", 0, "", ""},
		{"delete --recursive /a\nls", "", 0, "deleted 2 nodes\nzookeeper\n", ""},
		{"", "", 0, "", ""},
		{"create /secret x --acl digest:ann:RYbu6l5aZwqon8VWmkcGvezdzfc=:rwcda\nauth ann:pw\nget /secret", "", 0, "/secret\nx\n", ""},
		{"get /secret", "", 77, "", "docent shell: line 1: get: /secret: not authorized\n"},
	} {
		code, stdout, stderr := shellScript(t, srv, x.script, strings.Fields(x.args)...)
		if code != x.code || stdout != x.stdout || stderr != x.stderr {
			t.Errorf("%q: exit code %d, want %d\nstdout: %q, want %q\nstderr: %q, want %q", x.script, code, x.code, stdout, x.stdout, stderr, x.stderr)
		}
	}
	failsVerb(t, 69, "refused", "shell", "--dsn", "zk://127.0.0.1:1", "--connect", "500ms")
	failsVerb(t, 64, "unexpected argument", "shell", "x")
	failsVerb(t, 64, "--dsn", "shell", "--dsn", "x")
}

// Completion in bash itself, by the script that docent prints, without the package bash-completion.
func TestCompletion_Bash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	srv := servertest.New(t)
	c := srv.Dial(t)
	for _, p := range []string{"/apples/red one", "/apples/green", "/apricots"} {
		if _, err := c.Create(t.Context(), p, nil, client.Parents()); err != nil {
			t.Fatal(err)
		}
	}
	script := `complete_line() {
	COMP_LINE="$1" COMP_POINT=${#1} COMPREPLY=() COMP_TYPE=9
	read -ra COMP_WORDS <<<"$1"
	[[ $1 == *" " ]] && COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	__start_docent
	printf '[%s]' "${COMPREPLY[@]}"
	echo
}
compopt() { :; } # no completion is running
source <(docent completion bash)
complete_line 'docent ge'
complete_line 'docent get /ap'
complete_line 'docent get /apples/'
complete_line 'docent get /apples/g'
complete_line 'docent acl '
complete_line 'docent get --fre'
complete_line 'docent set /apri'
complete_line 'docent lock --on-lost '
complete_line 'docent lock /apri'
`
	cmd := exec.Command(bash, "--norc", "-c", script)
	cmd.Env = append(os.Environ(), "DOCENT_DSN="+srv.DSN(), "PATH="+filepath.Dir(docent(t))+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(got) != 9 {
		t.Fatalf("%v: %s", err, out)
	}
	for i, want := range []string{"[get", "[/apples][/apricots]", "red", "[/apples/green", "[set", "[--fresh", "[/apricots", "[ignore", "[/apricots"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d is %q, want %q", i, got[i], want)
		}
	}
	for _, shell := range []string{"zsh", "fish", "powershell"} {
		mustVerb(t, "docent", "completion", shell)
	}
	// Without an ensemble there is nothing, soon, and no message in the line of the person who typed.
	began := time.Now()
	cmd = exec.Command(docent(t), "__complete", "get", "/a")
	cmd.Env = append(os.Environ(), "DOCENT_DSN=zk://127.0.0.1:1")
	text, err := cmd.Output()
	if took := time.Since(began); err != nil || strings.Contains(string(text), "/a") || took > 5*time.Second {
		t.Errorf("after %v: %q, %v", took, text, err)
	}
}

// The binary is one file without a C library, and it starts at once.
func TestBinary_StaticAndQuick(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs a C library, and time")
	}
	bin := filepath.Join(t.TempDir(), "docent")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if f, err := elf.Open(bin); err == nil { // where there are such files
		defer f.Close()
		if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
			t.Errorf("it needs %v, %v", libs, err)
		}
	}
	var took []time.Duration
	for range 15 {
		began := time.Now()
		if out, err := exec.Command(bin, "--version").Output(); err != nil || !strings.HasPrefix(string(out), "docent ") {
			t.Fatalf("%q, %v", out, err)
		}
		took = append(took, time.Since(began))
	}
	if m := slices.Min(took); m > 50*time.Millisecond { // the others waited for a busy machine
		t.Errorf("docent --version takes %v (%v)", m, took)
	} else {
		t.Logf("docent --version takes %v", m)
	}
}
