//go:build unix

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
)

func TestConfig_GetAndSet(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "slurm.json")
	if err := os.WriteFile(file, []byte(`{"queue": "long", "n": 12345678901234567890}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.fails(75, "version is not 0", "config", "set", "config/slurm", "@"+file, "--if-version", "0") // there is none
	if out := l.must("config", "set", "config/slurm", "@"+file, "--if-absent", "--format", "{{.Version}}"); out != "0\n" {
		t.Errorf("set says %q", out)
	}
	l.fails(75, "there is a value", "config", "set", "/config/slurm", "x", "--if-absent")
	if out := l.must("config", "get", "config/slurm"); out != `{"queue": "long", "n": 12345678901234567890}`+"\n" {
		t.Errorf("get gives %q", out)
	}
	if out := l.must("config", "get", "config/slurm", "--format", "{{.Value.queue}} {{.Value.n}} {{.Version}}"); out != "long 12345678901234567890 0\n" {
		t.Errorf("get --format gives %q", out)
	}
	// Of many that start from one version, one changes it.
	var wg sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		wg.Go(func() {
			cmd := l.command("config", "set", "config/slurm", fmt.Sprint(i), "--if-version", "0")
			_ = cmd.Run()
			codes[i] = cmd.ProcessState.ExitCode()
		})
	}
	wg.Wait()
	if s := fmt.Sprint(codes); strings.Count(s, "75") != 7 || strings.Count(s, "0") != 1 {
		t.Errorf("exit codes %v, want one 0 and 75", codes)
	}
	p := l.begin("config", "set", "config/slurm", "-", "--json") // whatever its version
	if _, err := p.stdin.Write([]byte("\xff\x00")); err != nil {
		t.Fatal(err)
	}
	p.stdin.Close()
	if code, out := p.exit(), p.stdout.String(); code != 0 || !strings.Contains(out, `"version":2,`) || !strings.Contains(out, `"value":"/wA=","base64":true`) {
		t.Errorf("set - ends with %d and %q", code, out)
	}
	if out := l.must("config", "get", "config/slurm"); out != "\xff\x00" {
		t.Errorf("get gives %q", out)
	}
	l.fails(1, "does not exist", "config", "get", "config/none")
}

func TestConfig_Watch(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	text := l.begin("config", "watch", "config/web")
	lines := l.begin("config", "watch", "config/web", "--json")
	l.line(text, "# /config/web: gone")
	set := func(value string) { l.must("config", "set", "config/web", value) }
	set(`{"a":1}`)
	l.line(text, `{"a":1}`)
	l.line(lines, `{"path":"/config/web","version":0,"zxid":`)
	set("\x1b[2Jno\nJSON")
	l.line(text, `\x1b[2Jno`) // a terminal does not obey it
	l.kill()
	l.start()
	l.ready()
	set("after")
	l.line(text, "after")
	c, ctx := l.client(), l.ctx()
	if err := c.Delete(ctx, "/config/web", -1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := text.stdout.await(1, "# /config/web: gone"); err != nil {
		t.Fatal(err)
	}
	set("anew") // its version is 0 again
	l.line(text, "anew")
	l.told(text)
	l.told(lines)
}

func TestConfig_Edit(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	dir := t.TempDir()
	editor := func(script string) string {
		t.Helper()
		path := filepath.Join(dir, "editor")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	edit := func(script string) *process {
		t.Helper()
		cmd := l.command("config", "edit", "config/web")
		cmd.Env = append(cmd.Env, "VISUAL="+editor(script)+" --wait", "TMPDIR="+dir)
		return run(t, "docent config edit", cmd)
	}
	l.must("config", "set", "config/web", `{"a":1}`)
	if code := edit(`[ "$1" = --wait ] && echo '{"a":2}' > "$2"`).exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out := l.must("config", "get", "config/web", "--format", "{{.Version}} {{.Value.a}}"); out != "1 2\n" {
		t.Errorf("after the edit: %q", out)
	}
	if code := edit("true").exit(); code != 0 {
		t.Errorf("without a change: exit code %d", code)
	}
	if p := edit("exit 3"); p.exit() != 1 || !strings.Contains(p.stderr.String(), "nothing was changed") {
		t.Errorf("the editor fails, and it says %s", p.stderr)
	}
	// Somebody else is faster; nothing is lost.
	p := edit(docent(t) + ` config set config/web '{"a":3}' && echo '{"a":4}' > "$2"`)
	if code := p.exit(); code != 75 {
		t.Errorf("after a conflict: exit code %d", code)
	}
	_, kept, _ := strings.Cut(strings.TrimSpace(p.stderr.String()), "what you wrote is in ")
	if text, err := os.ReadFile(kept); err != nil || string(text) != "{\"a\":4}\n" {
		t.Errorf("kept is %q, %v", text, err)
	}
	if p := edit(`echo '{"a":' > "$2"`); p.exit() != 1 || !strings.Contains(p.stderr.String(), "JSON") {
		t.Errorf("what is no JSON any more is taken: %s", p.stderr)
	}
	if out := l.must("config", "get", "config/web", "--format", "{{.Version}} {{.Value.a}}"); out != "2 3\n" {
		t.Errorf("in the end: %q", out)
	}
}

func TestConfig_ExecSignal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "web.conf")
	p := l.begin("config", "exec", "config/web", "--file", file, "--signal", "hup", "--", "sh", "-c",
		`trap 'echo got $(cat "$DOCENT_CONFIG_FILE")' HUP; trap 'exit 7' TERM; echo began $(cat "$DOCENT_CONFIG_FILE"); while :; do sleep 1000 & wait $!; kill $!; done`)
	l.must("config", "set", "config/web", `{"a":1}`)
	l.line(p, `began {"a":1}`)
	l.must("config", "set", "config/web", `{"a":2}`)
	l.line(p, `got {"a":2}`)
	// A bad value is told of, and changes nothing; nor does none at all, or a server that is away.
	l.must("config", "set", "config/web", `{"a":`)
	if _, _, err := p.stderr.await(0, "docent config exec: /config/web: the command keeps version 1: version 2 is not JSON"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != `{"a":2}` {
		t.Errorf("the file holds %q, %v", text, err)
	}
	c, ctx := l.client(), l.ctx()
	if err := c.Delete(ctx, "/config/web", -1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.stderr.await(0, "docent config exec: /config/web: the command keeps version 1: it was deleted"); err != nil {
		t.Fatal(err)
	}
	l.kill()
	l.start()
	l.ready()
	l.must("config", "set", "config/web", `{"a":3}`)
	l.line(p, `got {"a":3}`)
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 7 {
		t.Errorf("exit code %d, want the command's", code)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a file that was asked for is gone: %v", err)
	}
}

// Started by nohup, docent ignores HUP, and the command that is to be told by HUP is told all the same.
func TestConfig_ExecSignalNohup(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("config", "set", "config/web", "1")
	cmd := l.command("config", "exec", "config/web", "--signal", "HUP", "--", "sh", "-c",
		`trap 'echo got $(cat "$DOCENT_CONFIG_FILE")' HUP; echo began; while :; do sleep 0.05; done`)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap '' HUP; exec "$@"`, "sh"}, cmd.Args...)
	p := run(t, "docent", cmd)
	l.line(p, "began")
	p.signal(syscall.SIGHUP) // of the terminal that nohup is about
	l.must("config", "set", "config/web", "2")
	if line := l.line(p, "got"); line != "got 2" {
		t.Errorf("it says %q", line)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 143 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
}

func TestConfig_ExecRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("config", "set", "config/web", "one")
	p := l.begin("config", "exec", "config/web", "--restart", "--grace", "200ms", "--", "sh", "-c",
		`trap '' TERM; echo $DOCENT_CONFIG_VERSION $DOCENT_CONFIG_FILE $(cat $DOCENT_CONFIG_FILE); [ "$(cat $DOCENT_CONFIG_FILE)" != end ] || exit 5; while :; do sleep 0.05; done`)
	first := strings.Fields(l.line(p, "0 "))
	if first[2] != "one" {
		t.Errorf("first it sees %q", first)
	}
	if st, err := os.Stat(first[1]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", st, err)
	}
	l.must("config", "set", "config/web", "two") // the child ignores TERM, so it takes KILL
	l.line(p, "1 ")
	l.must("config", "set", "config/web", "end")
	if code := p.exit(); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
	if _, err := os.Stat(filepath.Dir(first[1])); err == nil {
		t.Error("the file is left behind")
	}
}

// Go programs and shells share values.
func TestConfig_WithGo(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c, ctx := l.client(), l.ctx()
	type settings struct{ Queue string }
	l.must("config", "set", "config/slurm", `{"queue":"long"}`)
	v, err := config.Watch[settings](ctx, c, "/config/slurm")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Get().Queue != "long" {
		t.Errorf("a Go program reads %+v", v.Get())
	}
	if _, err := config.Update(ctx, c, "/config/slurm", func(s settings) (settings, error) { s.Queue = "short"; return s, nil }); err != nil {
		t.Fatal(err)
	}
	if out := l.must("config", "get", "config/slurm", "--format", "{{.Value.Queue}}"); out != "short\n" {
		t.Errorf("get gives %q", out)
	}
	l.must("config", "set", "config/slurm", "bad")
	testkit.Eventually(t, "the bad value is refused", func() bool { return v.Err() != nil })
	if v.Get().Queue != "short" {
		t.Errorf("a bad value replaced the good one: %+v", v.Get())
	}
}

func TestConfig_Refusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.locked("/locked/x", "/locked")
	l.refuses(refusals{args: []string{"config", "get", "PATH"}, usage: map[string]string{"more": "more"}})
	l.refuses(refusals{args: []string{"config", "set", "PATH", "v"}, usage: map[string]string{
		"more": "more", "--if-version x": "--if-version", "--if-version -1": "any version", "--if-version 1 --if-absent": "exclude",
	}})
	l.refuses(refusals{args: []string{"config", "watch", "PATH"}, usage: map[string]string{"more": "more"}})
	l.fails(64, "more", "config", "status", "x", "more")
	exec := []string{"config", "exec", "locked/x", "--restart", "--dsn", l.dsn()}
	l.fails(77, "not authorized", append(exec, "--", "true")...)
	l.fails(69, "no server reached", "config", "exec", "x", "--restart", "--dsn", "zk://127.0.0.1:1", "--connect", "200ms", "--", "true")
	l.fails(75, "no value within 200ms", "config", "exec", "none", "--restart", "--wait", "200ms", "--", "true")
	l.fails(75, "no value", "config", "exec", "none", "--restart", "--wait", "0", "--", "true")
	l.fails(127, "nowhere", "config", "exec", "x", "--restart", "--", "nowhere")
	for args, want := range map[string]string{
		"-- true": "--signal", "--restart --signal HUP -- true": "--signal", "--signal KILLER -- true": "KILLER", "--restart": "command is missing",
		"--restart --grace -1s -- true": "--grace", "--restart --wait -1s -- true": "--wait",
	} {
		l.fails(64, want, append([]string{"config", "exec", "x"}, strings.Fields(args)...)...)
	}
	l.fails(64, "no such file", "config", "set", "x", "@/nowhere")
	l.fails(64, "VALUE is missing", "config", "set", "x")
	cmd := l.command("config", "edit", "x")
	cmd.Env = append(cmd.Env, "VISUAL=", "EDITOR=nowhere")
	wasRefused(t, 127, run(t, "docent config edit", cmd), "nowhere")
}
