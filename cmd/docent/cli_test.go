//go:build unix

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
)

// refuses runs docent with args and checks that it does not begin: it says why in one line that contains all of want,
// and nothing else.
func refuses(t *testing.T, args []string, want ...string) {
	t.Helper()
	code := 64
	if args[0] == "serve" {
		code = 2
	}
	wasRefused(t, code, run(t, "docent", exec.Command(docent(t), args...)), want...)
}

func wasRefused(t *testing.T, code int, p *process, want ...string) {
	t.Helper()
	if got := p.exit(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if out := p.stdout.String(); out != "" {
		t.Errorf("stdout is %q, want nothing", out)
	}
	line := p.stderr.String()
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Errorf("stderr is %q, want one line", line)
	}
	for _, w := range append(want, "docent") {
		if !strings.Contains(line, w) {
			t.Errorf("stderr is %q, which does not tell of %q", line, w)
		}
	}
}

func TestBadFlags(t *testing.T) {
	taken := listen(t)
	defer taken.Close()
	busy := taken.Addr().String()
	data := t.TempDir()
	serve := func(args ...string) []string { return append([]string{"serve", "--data", data}, args...) }
	for _, x := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown verb", []string{"observe"}, `"observe"`},
		{"unknown flag", serve("--lead"), "-lead"},
		{"argument", serve("now"), `"now"`},
		{"argument of version", []string{"version", "now"}, `"now"`},
		{"id is no number", serve("--id", "one"), `"one"`},
		{"id 0", serve("--id", "0"), "--id"},
		{"id out of range", serve("--id", "255"), "255"},
		{"id negative", serve("--id", "-1"), `"-1"`},
		{"empty data folder", []string{"serve", "--data", ""}, "--data"},
		{"no port", serve("--listen", "127.0.0.1"), "127.0.0.1"},
		{"bad port", serve("--listen", "127.0.0.1:99999"), "99999"},
		{"address of somebody else", serve("--listen", "192.0.2.1:2181"), "192.0.2.1:2181"},
		{"taken port", serve("--listen", busy), busy},
		{"taken peer port", serve("--listen", "127.0.0.1:0", "--id", "1", "--peers", "1="+busy+",2=127.0.0.1:1,3=127.0.0.1:2"), busy},
		{"peers without this member", serve("--id", "4", "--peers", "1=127.0.0.1:1,2=127.0.0.1:2,3=127.0.0.1:3"), "4"},
		{"peers without id", serve("--peers", "1=127.0.0.1:1,2=127.0.0.1:2"), "--id"},
		{"peer without port", serve("--id", "1", "--peers", "1=127.0.0.1,2=127.0.0.1:2"), `"1=127.0.0.1"`},
		{"peer without number", serve("--id", "1", "--peers", "127.0.0.1:1"), `"127.0.0.1:1"`},
		{"peer twice", serve("--id", "1", "--peers", "1=127.0.0.1:1,1=127.0.0.1:2"), "1"},
		{"two peers at one address", serve("--id", "1", "--peers", "1=127.0.0.1:1,2=127.0.0.1:1"), "127.0.0.1:1"},
		{"peer out of range", serve("--id", "1", "--peers", "1=127.0.0.1:1,300=127.0.0.1:2"), "300"},
		{"no duration", serve("--tick", "fast"), `"fast"`},
		{"negative duration", serve("--election-timeout", "-1s"), "-1s"},
		{"least timeout above the most", serve("--min-session-timeout", "2m"), "2m"},
		{"frames too short", serve("--max-frame", "10"), "10"},
		{"log level", serve("--log-level", "loud"), `"loud"`},
		{"log format", serve("--log-format", "xml"), `"xml"`},
		{"four-letter word", serve("--4lw-whitelist", "rouk"), `"rouk"`},
	} {
		t.Run(x.name, func(t *testing.T) { refuses(t, x.args, x.want) })
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"help": "serve", "--help": "serve", "-h": "serve", "help serve": "--peers", "serve --help": "--peers", "serve -h": "--snapshot-bytes",
		"version": "docent ", "help version": "docent version",
	} {
		p := run(t, "docent "+args, exec.Command(docent(t), strings.Fields(args)...))
		if code := p.exit(); code != 0 {
			t.Errorf("docent %s: exit code %d", args, code)
		}
		if out := p.stdout.String(); !strings.Contains(out, want) || p.stderr.String() != "" {
			t.Errorf("docent %s: stdout is %q, stderr %q", args, out, p.stderr)
		}
	}
}

// standalone prepares a server of its own with a folder of its own, and starts nothing.
func standalone(t *testing.T) *member {
	t.Helper()
	addr := freeAddrs(t, 1)[0]
	return &member{t: t, name: "server", addr: addr, args: []string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", addr}}
}

// data returns the server's folder.
func (m *member) data() string { return m.args[slices.Index(m.args, "--data")+1] }

// stop ends the server as an operator does, and checks that this goes well.
func (m *member) stop() {
	m.t.Helper()
	m.signal(syscall.SIGTERM)
	if code := m.exit(); code != 0 {
		m.t.Errorf("%s: exit code %d after SIGTERM", m.name, code)
	}
}

func TestServe_StopAndStartAgain(t *testing.T) {
	m := standalone(t)
	for i := range 3 {
		m.start()
		m.ready()
		if lines := m.stdout.lines(); len(lines) != 1 || !strings.Contains(lines[0], m.data()) {
			t.Errorf("stdout is %q, want one line that tells the data folder", lines)
		}
		c := dial(t, 10*time.Second, m.addr)
		for k := range i {
			if node, err := c.Get(t.Context(), fmt.Sprint("/start-", k)); err != nil || string(node.Data) != "was here" {
				t.Errorf("start %d reads %q from start %d: %v", i, node.Data, k, err)
			}
		}
		if _, err := c.Create(t.Context(), fmt.Sprint("/start-", i), []byte("was here")); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if i == 1 {
			m.signal(syscall.SIGINT)
			if code := m.exit(); code != 0 {
				t.Errorf("exit code %d after SIGINT", code)
			}
			continue
		}
		m.stop()
	}
}

// Without any flag, the data go to the user's data folder.
func TestServe_DefaultFolder(t *testing.T) {
	home := t.TempDir()
	for variable, folder := range map[string]string{"HOME": ".local/share/docent", "XDG_DATA_HOME": "docent"} {
		cmd := exec.Command(docent(t), "serve", "--listen", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME=", variable+"="+home)
		p := run(t, "server", cmd)
		line, _, err := p.stdout.await(0, "docent: serving clients on 127.0.0.1:")
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(home, folder); !strings.HasSuffix(line, "data in "+want) {
			t.Errorf("it says %q, want the folder %s", line, want)
		}
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestServe_MemberAlone(t *testing.T) {
	e := members(t, 3)
	e[0].start()
	testkit.Eventually(t, "member 1 answers", func() bool {
		answer, err := e[0].ask("ruok")
		return err == nil && answer == "imok"
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c, err := client.Dial(ctx, client.Config{Servers: []string{e[0].addr}}); err == nil {
		c.Close()
		t.Error("a member without a majority gave a client a session")
	}
	if answer, err := e[0].ask("srvr"); err != nil || !strings.Contains(answer, "not currently serving") {
		t.Errorf("srvr is answered %q, %v", answer, err)
	}
	if out := e[0].stdout.String(); out != "" {
		t.Errorf("it says %q without a majority", out)
	}
	e[0].stop()

	e[0].start()
	e[1].start()
	e[0].ready()
	e[1].ready()
	c := dial(t, 10*time.Second, e[0].addr)
	if _, err := c.Create(t.Context(), "/by-two", nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	e[2].start()
	e[2].ready()
	e.sameTrees(t)
	for _, m := range e {
		m.stop()
	}
}

func TestServe_FolderOfSomebodyElse(t *testing.T) {
	m := standalone(t)
	m.start()
	m.ready()
	free := freeAddrs(t, 1)[0]
	t.Run("in use", func(t *testing.T) {
		refuses(t, []string{"serve", "--data", m.data(), "--listen", free}, m.data(), "in use")
	})
	m.stop()
	t.Run("of another member", func(t *testing.T) {
		refuses(t, []string{"serve", "--id", "2", "--data", m.data(), "--listen", free}, m.data(), "member 1", "member 2")
	})
	m.start() // nothing of this did harm
	m.ready()
}

func TestServe_FolderUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("a file", func(t *testing.T) { refuses(t, []string{"serve", "--data", file, "--listen", "127.0.0.1:0"}, file) })
	t.Run("below a file", func(t *testing.T) {
		refuses(t, []string{"serve", "--data", filepath.Join(file, "data"), "--listen", "127.0.0.1:0"}, file)
	})
	t.Run("unreadable", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(docent(t), "serve", "--data", dir, "--listen", "127.0.0.1:0")
		if os.Geteuid() == 0 { // whom no permission stops
			cmd.SysProcAttr = dieWithUs()
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		}
		wasRefused(t, 2, run(t, "docent", cmd), dir, "permission denied")
	})
}

// A folder goes on as what it was begun as; it does not take up or leave an ensemble by a flag.
func TestServe_FolderOfAnotherKind(t *testing.T) {
	alone, e := standalone(t), members(t, 3)
	alone.start()
	alone.ready()
	alone.stop()
	for _, m := range e {
		m.start()
	}
	for _, m := range e {
		m.ready()
	}
	for _, m := range e {
		m.stop()
	}
	peers := e[0].args[slices.Index(e[0].args, "--peers")+1]
	t.Run("alone, now a member", func(t *testing.T) {
		refuses(t, append(alone.args, "--id", "1", "--peers", peers), alone.data(), "of its own", "ensemble of 3")
	})
	t.Run("a member, now of another ensemble", func(t *testing.T) {
		refuses(t, []string{"serve", "--data", e[0].data(), "--listen", e[0].addr, "--id", "9", "--peers", "9=127.0.0.1:1"}, e[0].data(), "member 1")
	})
}

// A data file that is lost, or not what was written, is found when the server starts, whichever file it is. Only what a
// crash can leave behind is repaired: an end of the log that was being written.
func TestServe_DamagedFolder(t *testing.T) {
	m := standalone(t)
	m.args = append(m.args, "--snapshot-bytes", "65536")
	m.start()
	m.ready()
	c := dial(t, 10*time.Second, m.addr)
	for i := range 300 {
		if _, err := c.Create(t.Context(), fmt.Sprint("/node-", i), bytes.Repeat([]byte("x"), 1000)); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	m.stop()
	for _, name := range files(t, m.data()) {
		for how, damage := range map[string]func(path string) error{"garbled": garble, "lost": os.Remove} {
			t.Run(how+" "+name, func(t *testing.T) {
				args, dir := slices.Clone(m.args), t.TempDir()
				args[slices.Index(args, "--data")+1] = dir
				if err := os.CopyFS(dir, os.DirFS(m.data())); err != nil {
					t.Fatal(err)
				}
				if err := damage(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				refuses(t, args, dir)
				refuses(t, args, dir) // the first attempt repairs nothing
			})
		}
	}
}

// files returns the paths of all files below dir, relative to it, but for those that hold nothing: the lock.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() == 0 {
			return err
		}
		path, err = filepath.Rel(dir, path)
		names = append(names, path)
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("files in %s: %q, %v", dir, names, err)
	}
	return names
}

// garble overwrites a file with other bytes.
func garble(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := range text {
		text[i] = byte(i*i/7) ^ 0x5a
	}
	return os.WriteFile(path, text, 0o600)
}
