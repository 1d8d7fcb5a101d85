//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
)

func (l lab) manager(c *client.Client, id, flavor, version string, load float64) *groups.Registration {
	l.t.Helper()
	r, err := groups.Register(l.ctx(), c, groups.Instance{
		Service: "appmgr", ID: id, Host: id + ".gw", Port: 9930, Flavor: flavor, Version: version, Load: load, Meta: map[string]string{"cluster": "bigred"},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func TestSvc(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c, ctx := l.client(), l.ctx()
	watcher := l.begin("svc", "watch", "appmgr", "--guard", "2s")
	l.line(watcher, "= 0 known")
	l.fails(75, "no instance of appmgr is up", "svc", "find", "appmgr")
	l.fails(75, "with flavor=x within 200ms", "svc", "find", "appmgr", "--select", "flavor=x", "--wait", "200ms")
	waiting := l.begin("svc", "find", "appmgr", "--wait", "20s", "--one")
	am1 := l.manager(c, "am1", "slurm", "1.5.0", 0.02)
	l.line(watcher, "+ am1 am1.gw:9930 up load=0.02 flavor=slurm version=1.5.0")
	if code, out := waiting.exit(), waiting.stdout.String(); code != 0 || out != "am1.gw:9930\n" {
		t.Errorf("find --wait ends with %d and %q", code, out)
	}
	l.manager(c, "am3", "slurm", "1.6.2", 0.35)
	l.manager(c, "am7", "aws", "2.0.0", 0.71)
	if out := l.must("svc", "find", "appmgr", "--select", "flavor=slurm,version>=1.6", "--one", "--format", "{{.Host}}:{{.Port}}"); out != "am3.gw:9930\n" {
		t.Errorf("find --format gives %q", out)
	}
	if out := l.must("svc", "find", "appmgr", "--select", "meta.cluster=bigred, flavor=aws", "--one", "--by", "sticky:a", "--export", "AM_"); !strings.Contains(out, "AM_ADDRESS='am7.gw:9930'\n") {
		t.Errorf("find --export gives %q", out)
	}
	if out := l.must("svc", "ls"); !regexp.MustCompile(`(?m)^appmgr +3$`).MatchString(out) {
		t.Errorf("ls gives %s", out)
	}

	// Draining: by an operator, of another process, until that is undone.
	if out := l.must("svc", "drain", "appmgr", "am1"); out != "am1 draining\n" {
		t.Errorf("drain says %q", out)
	}
	l.line(watcher, "~ am1 am1.gw:9930 draining")
	table := l.must("svc", "ls", "appmgr")
	for _, row := range []string{
		`FLAVOR +VERSION +ADDRESS +STATUS +LOAD +UP +SESSION +ID`,
		`slurm +1\.5\.0 +am1\.gw:9930 +draining +0\.02 +\d+s +0x[0-9a-f]+ \(\d+s ago\) +am1`, `aws +2\.0\.0 +am7\.gw:9930 +up +0\.71 +\d+s +0x[0-9a-f]+ \(\d+s ago\) +am7`,
	} {
		if !regexp.MustCompile(`(?m)^` + row + `$`).MatchString(table) {
			t.Errorf("ls has no row %s:\n%s", row, table)
		}
	}
	if out := l.must("svc", "find", "appmgr", "--select", "flavor=slurm"); out != "am3.gw:9930\n" {
		t.Errorf("while am1 drains, find gives %q", out)
	}
	testkit.Eventually(t, "its process knows", func() bool { return am1.Instance().Status == groups.Draining })
	if out := l.must("svc", "drain", "appmgr", "am1", "--undo", "--json"); out != `{"service":"appmgr","id":"am1","status":"up"}`+"\n" {
		t.Errorf("drain --undo --json says %q", out)
	}
	l.fails(75, "am1 did not go within 300ms", "svc", "drain", "appmgr", "am1", "--wait", "300ms")
	l.must("svc", "drain", "appmgr", "am1", "--undo")
	testkit.Eventually(t, "its process knows", func() bool { return am1.Instance().Status == groups.Up })
	drain := l.begin("svc", "drain", "appmgr", "am1", "--wait", "20s", "--format", "{{.Status}}")
	testkit.Eventually(t, "its process knows", func() bool { return am1.Instance().Status == groups.Draining })
	if err := am1.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out := drain.exit(), drain.stdout.String(); code != 0 || out != "gone\n" {
		t.Errorf("drain --wait ends with %d and %q", code, out)
	}
	l.fails(1, "no instance", "svc", "drain", "appmgr", "am1")

	var list []struct {
		ID, Address, Session string
		Meta                 map[string]string
		Load                 float64
	}
	if err := json.Unmarshal([]byte(l.must("svc", "ls", "appmgr", "--json")), &list); err != nil || len(list) != 2 || list[0].Meta["cluster"] != "bigred" || list[0].Address != "am3.gw:9930" {
		t.Errorf("ls --json gives %+v, %v", list, err)
	}
	// An entry that cannot be read is told of, and harms no other.
	if _, err := c.Create(ctx, "/svc/appmgr/strange", []byte("\x1b]0;title\x07")); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := l.do("svc", "ls", "appmgr", "--format", "{{.ID}}")
	if code != 0 || out != "am3\nam7\n" || !strings.Contains(stderr, "strange is no instance") || strings.Contains(stderr, "\x1b") {
		t.Errorf("ls gives %d, %q and %q", code, out, stderr)
	}
	l.told(watcher)
}

// Most instances vanish at once: the watcher holds them, says so, and lets them go in the end.
func TestSvc_MassRemoval(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const n = 10
	c := dial(t, 10_000_000_000, l.addr)
	for i := range n {
		l.manager(c, fmt.Sprint("am", i), "slurm", "1.0.0", 0)
	}
	other := l.client()
	l.manager(other, "one-that-stays", "slurm", "1.0.0", 0)
	watcher := l.begin("svc", "watch", "appmgr", "--guard", "3s")
	l.line(watcher, "= 11 known")
	c.Close() // all at once, and none drained
	l.line(watcher, "! held: 10 vanished at once")
	if out := watcher.stdout.String(); strings.Contains(out, "- am") {
		t.Errorf("some are gone already:\n%s", out)
	}
	l.manager(other, "newcomer", "slurm", "1.0.0", 0)
	l.line(watcher, "+ newcomer") // additions show all the same
	l.line(watcher, "- am9")
	l.line(watcher, "! held: nobody any more")
	l.told(watcher)
}

// The server is away for a while: the watcher says that it cannot see, and goes on.
func TestSvc_WatchStale(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.manager(l.client(), "am1", "slurm", "1.0.0", 0)
	watcher := l.begin("svc", "watch", "appmgr", "--json")
	l.line(watcher, `{"event":"known","count":1}`)
	l.kill()
	l.line(watcher, `{"event":"stale"}`)
	l.start()
	l.ready()
	l.line(watcher, `{"event":"fresh"}`)
	l.told(watcher)
}

// A component that knows nothing of docent is registered by a wrapper, and drained by an operator.
func TestSvc_DrainWrapped(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	wrapped := l.begin("svc", "register", "appmgr", "--instance", "pbs1", "--flavor", "pbs", "--host", "h", "--port", "9940", "--", "sleep", "1000")
	testkit.Eventually(t, "it is there", func() bool {
		out, err := exec.Command(docent(t), "svc", "find", "appmgr", "--dsn", l.dsn()).Output()
		return err == nil && string(out) == "h:9940\n"
	})
	l.must("svc", "drain", "appmgr", "pbs1")
	l.fails(75, "no instance", "svc", "find", "appmgr")
	wrapped.kill()
	l.gone(l.client(), "/svc/appmgr/pbs1")
}

func TestSvc_Refusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.locked("/locked/x/s/i", "/locked/x/s", "/locked/x", "/locked")
	l.refuses(refusals{args: []string{"svc", "ls", "s", "--under", "PATH"}, usage: map[string]string{"more": "more", "--select flavor": "--select"}})
	l.refuses(refusals{args: []string{"svc", "watch", "s", "--under", "PATH"}, usage: map[string]string{"more": "more", "--select flavor~x": "--select", "--guard -1s": "--guard"}})
	l.refuses(refusals{args: []string{"svc", "find", "s", "--under", "PATH"}, usage: map[string]string{"--by luck": "--by", "--export A_": "--one", "--wait -1s": "--wait"}})
	l.refuses(refusals{args: []string{"svc", "drain", "s", "i", "--under", "PATH"}, usage: map[string]string{"--undo --wait 1s": "--undo", "--wait -1s": "--wait"}})
	l.fails(64, "SERVICE is missing", "svc", "find")
	l.fails(64, "INSTANCE is missing", "svc", "drain", "s")
	l.fails(64, "want drain, find, ls, register or watch", "svc")
}
