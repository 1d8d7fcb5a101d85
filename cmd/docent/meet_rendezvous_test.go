//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
)

type endpoint struct {
	Host string
	Port int
}

func TestRendezvous_Meet(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := l.begin("rendezvous", "wait", "--wait", "20s", "jobs/7/meet") // before there is a master, or a path
	follower := l.begin("rendezvous", "follow", "/jobs/7/meet", "--format", "{{.Gone}} {{.Poster}}")
	post := l.begin("rendezvous", "post", "--id", "m1", "jobs/7/meet", "host=n 1", "port=4242", `tags:=["a", "b"]`)
	if line := l.line(post, "host="); !strings.HasPrefix(line, `host="n 1" port=4242 tags=`) {
		t.Errorf("post says %q", line)
	}
	if code, out := first.exit(), first.stdout.String(); code != 0 || !strings.HasPrefix(out, `host="n 1" port=4242 tags="[\"a\",\"b\"]" epoch=`) {
		t.Errorf("wait ends with %d and %q", code, out)
	}
	l.line(follower, "false m1")

	// Go programs read the same, and the other way round.
	ctx, c := l.ctx(), l.client()
	info, err := rendezvous.At[endpoint](c, "jobs/7/meet").Wait(ctx)
	if err != nil || info.Value != (endpoint{"n 1", 4242}) {
		t.Errorf("a Go program reads %+v, %v", info, err)
	}
	var got struct {
		Value struct {
			Host string
			Port int
			Tags []string
		}
		Epoch  uint64
		Gone   bool
		Poster string
	}
	if err := json.Unmarshal([]byte(l.must("rendezvous", "wait", "--wait", "0", "--json", "jobs/7/meet")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Value.Host != "n 1" || got.Value.Port != 4242 || len(got.Value.Tags) != 2 || got.Epoch != info.Epoch || got.Poster != "m1" {
		t.Errorf("--json gives %+v", got)
	}
	if out := l.must("rendezvous", "wait", "jobs/7/meet", "--format", "{{.Value.host}}:{{.Value.port}}"); out != "n 1:4242\n" {
		t.Errorf("--format gives %q", out)
	}

	// A second master is told whose place it is; one that may wait gets it.
	l.fails(75, "m1", "rendezvous", "post", "jobs/7/meet", "host=n2")
	l.fails(75, "did not go within 300ms", "rendezvous", "post", "--wait", "300ms", "jobs/7/meet", "host=n2")
	next := l.begin("rendezvous", "post", "--wait", "20s", "--id", "m2", "jobs/7/meet", "host=n2")
	l.told(post)
	l.line(next, "host=n2")
	l.line(follower, "false m2")
	next.kill() // a crash: the session ends with its timeout
	l.line(follower, "true m2")
	l.fails(75, "nothing was posted", "rendezvous", "wait", "--wait", "0", "jobs/7/meet")
	l.fails(75, "nothing was posted within 200ms", "rendezvous", "wait", "--wait", "200ms", "jobs/7/meet")
	l.told(follower)
}

// A posting is there again after its node was deleted. A posting that was lost to another is not put over that.
func TestRendezvous_PostLost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx, c := l.ctx(), l.client()
	post := l.begin("rendezvous", "post", "--format", "{{.Epoch}}", "meet", "host=a")
	epoch := l.line(post, "")
	if err := c.Delete(ctx, "/meet/info", -1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := post.stdout.await(1, ""); err != nil {
		t.Fatal(err)
	}
	if lines := post.stdout.lines(); lines[1] <= epoch {
		t.Errorf("epochs %q, want them to grow", lines)
	}
	// In one transaction: nobody can post in between.
	if _, err := c.Txn().Delete("/meet/info", -1).Create("/meet/info", []byte(`{"by":"thief","value":{}}`), client.Ephemeral()).Commit(ctx); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the next change", func() bool { return c.Delete(ctx, "/meet/info", -1) == nil })
	post.alive()
}

// --export is for eval, of what strangers post.
func TestRendezvous_Export(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx, c := l.ctx(), l.client()
	point := rendezvous.At[map[string]any](c, "meet")
	canary := filepath.Join(t.TempDir(), "canary")
	sh := func(prefix string) (string, error) {
		cmd := exec.Command("sh", "-c", `eval "$("$0" rendezvous wait --wait 0 --export `+prefix+` meet)" || exit; printf '%s|%s|%s|%s' "$M_HOST" "$M_B" "$M_N" "$M_NIL"`, docent(t))
		cmd.Env = append(os.Environ(), "DOCENT_DSN="+l.dsn())
		out, err := cmd.Output()
		return string(out), err
	}
	for _, hostile := range []string{
		"$(touch " + canary + ")", "`touch " + canary + "`", "'; touch " + canary + "; '", `"; touch ` + canary + `; "`, "a\ntouch " + canary + "\n",
		`\'; touch ` + canary + `;\'`, "a\\", "", " ", "-n", "${IFS}", "!!", "*", "~", "é\u202e\x1b[2J", strings.Repeat("'", 1000),
	} {
		if err := point.Post(ctx, map[string]any{"host": hostile, "b": true, "n": 1.50, "nil": nil}); err != nil {
			t.Fatal(err)
		}
		out, err := sh("M_")
		if want := hostile + "|true|1.5|"; err != nil || out != want {
			t.Errorf("of %q the shell makes %q, %v", want, out, err)
		}
	}
	for _, key := range []string{"a b", "a;touch " + canary, "$(touch " + canary + ")", "a-b", "", "é", "a\nb", "1", "epoch", "EPOCH", "Host\x00"} {
		if err := point.Post(ctx, map[string]any{"host": "x", key: "y"}); err != nil {
			t.Fatal(err)
		}
		if out, err := sh("M_"); err == nil || out != "" || err.(*exec.ExitError).ExitCode() != 1 {
			t.Errorf("with the key %q the shell goes on: %q, %v", key, out, err)
		}
	}
	if err := point.Post(ctx, map[string]any{"host": "x", "HOST": "y"}); err != nil {
		t.Fatal(err)
	}
	if out, err := sh("M_"); err == nil || out != "" {
		t.Errorf("two keys are one variable, and the shell goes on: %q, %v", out, err)
	}
	if err := point.Post(ctx, map[string]any{"host": "a\x00b"}); err != nil {
		t.Fatal(err)
	}
	if out, err := sh("M_"); err == nil || out != "" {
		t.Errorf("with a zero byte the shell goes on: %q, %v", out, err)
	}
	if err := point.Withdraw(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := sh("M_"); err == nil || err.(*exec.ExitError).ExitCode() != 75 {
		t.Errorf("without a posting the eval ends with %v, want 75", err)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("something posted was executed")
	}
}

func TestRendezvous_Refusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.locked("/locked/x/info", "/locked/x", "/locked")
	l.refuses(refusals{args: []string{"rendezvous", "post", "PATH", "host=x"}, usage: map[string]string{
		"--wait -1s": "--wait", "bare": "KEY=TEXT", "=x": "KEY=TEXT", "port:=x": "JSON", "host=y": "twice",
	}})
	l.refuses(refusals{args: []string{"rendezvous", "wait", "PATH"}, usage: map[string]string{
		"--wait -1s": "--wait", "--wait x": "--wait", "more": "more", "--export 1": "--export", "--export a;b": "--export", "--export=": "--export", "--export A --json": "--export",
	}})
	l.refuses(refusals{args: []string{"rendezvous", "follow", "PATH"}, usage: map[string]string{"more": "more"}})
	l.fails(64, "PATH is missing", "rendezvous", "wait")
	l.fails(64, "KEY=TEXT is missing", "rendezvous", "post", "x")
	l.fails(64, "want follow, post or wait", "rendezvous")
	l.fails(64, "empty", "rendezvous", "wait", "a//b")
	l.fails(64, "no such file", "rendezvous", "post", "x", "@/nowhere")
}

// What waits in vain tells which signal ended it; what runs until it is told has then done what it was for. A server
// that is killed ends neither.
func TestRendezvous_Told(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		wait := l.begin("rendezvous", "wait", "meet", "--export", "M_")
		follow := l.begin("rendezvous", "follow", "meet")
		testkit.Eventually(t, "both wait", func() bool {
			answer, err := l.ask("wchs")
			return err == nil && strings.Contains(answer, "Total watches:") && !strings.Contains(answer, "Total watches:0") && !strings.Contains(answer, "Total watches:1\n")
		})
		l.kill()
		l.start()
		l.ready()
		wait.signal(sig)
		follow.signal(sig)
		if got, out := wait.exit(), wait.stdout.String(); got != code || out != fmt.Sprintf("(exit %d)\n", code) {
			t.Errorf("after %v, wait ends with %d and %q, want %d: %s", sig, got, out, code, wait.stderr)
		}
		if got := follow.exit(); got != 0 || follow.stderr.String() != "" {
			t.Errorf("after %v, follow ends with %d: %s", sig, got, follow.stderr)
		}
	}
}
