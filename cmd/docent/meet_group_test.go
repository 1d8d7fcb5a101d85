//go:build unix

package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx, c := l.ctx(), l.client()
	watcher := l.begin("group", "watch", "jobs/7/workers") // before the group is there
	l.line(watcher, "= 0 known")
	first := l.begin("group", "join", "jobs/7/workers", "--member", "w1", "rank=3", "room=b 17")
	l.line(first, "joined w1")
	l.line(watcher, `+ w1 rank=3 room="b 17"`)
	second := l.begin("group", "join", "jobs/7/workers", "--id", "somebody", "--json")
	l.line(second, `{"event":"joined","id":"somebody-`)
	if out := l.must("group", "list", "jobs/7/workers", "--format", "{{.ID}} {{.Value}}"); !strings.Contains(out, "somebody-") || !strings.Contains(out, "w1 map[rank:3 room:b 17]\n") {
		t.Errorf("--format gives %q", out)
	}
	if out := l.must("group", "list", "jobs/7/workers"); !strings.Contains(out, `w1 `) || !strings.Contains(out, `rank=3 room="b 17"`) {
		t.Errorf("list gives %q", out)
	}
	// Go programs see the same.
	members, err := groups.Members[struct{ Rank int }](ctx, c, "/jobs/7/workers")
	if err != nil || len(members) != 2 || members[1].Value.Rank != 3 {
		t.Errorf("a Go program sees %+v, %v", members, err)
	}
	l.fails(75, "w1 is taken", "group", "join", "jobs/7/workers", "--member", "w1", "--wait", "0")
	l.fails(75, "within 300ms", "group", "join", "jobs/7/workers", "--member", "w1", "--wait", "300ms")

	// Deleted by somebody, it is back.
	if err := c.Delete(ctx, "/jobs/7/workers/w1", -1); err != nil {
		t.Fatal(err)
	}
	l.line(first, "away w1: ")
	l.line(first, "back w1")
	// What is no JSON does no harm.
	if _, err := c.Create(ctx, "/jobs/7/workers/strange", []byte("\x1b[2Jno json")); err != nil {
		t.Fatal(err)
	}
	l.line(watcher, "+ strange (unreadable)")
	if out := l.must("group", "list", "jobs/7/workers", "--json"); !strings.Contains(out, `"error":"`) {
		t.Errorf("--json gives %s", out)
	}
	second.kill()
	l.line(watcher, "- somebody-")
	l.told(first)
	l.line(watcher, "- w1")
	l.told(watcher)
	if out := l.must("group", "list", "nowhere", "--json"); out != "[]\n" {
		t.Errorf("an empty group is %q", out)
	}
}

// A group of thousands, whose directory then goes, and a server that is killed meanwhile.
func TestGroup_WatchHuge(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const n = 3000
	ctx, c := l.ctx(), l.client()
	if _, err := c.Create(ctx, "/g", nil); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; i += 500 {
		txn := c.Txn()
		for k := range 500 {
			txn.Create(fmt.Sprintf("/g/m-%04d", i+k), []byte(`{"rank":1}`))
		}
		if _, err := txn.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	watcher := l.begin("group", "watch", "/g", "--format", "{{.Event}} {{with .Member}}{{.ID}}{{end}}")
	l.line(watcher, "known")
	if lines := watcher.stdout.lines(); len(lines) != n+1 || lines[n] != "known " {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	l.kill()
	l.start()
	l.ready()
	c2 := l.client()
	names, _, err := c2.Children(ctx, "/g")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(names); i += 500 {
		txn := c2.Txn()
		for _, name := range names[i:min(i+500, len(names))] {
			txn.Delete("/g/"+name, -1)
		}
		if _, err := txn.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := c2.Delete(ctx, "/g", -1); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "all are told gone", func() bool { return strings.Count(watcher.stdout.String(), "gone ") == n })
	if _, err := c2.Create(ctx, "/g/back", []byte("1"), client.Parents()); err != nil {
		t.Fatal(err)
	}
	l.line(watcher, "came back")
	l.told(watcher)
}

func TestGroup_Refusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.locked("/locked/x/y", "/locked/x", "/locked")
	l.refuses(refusals{args: []string{"group", "join", "PATH"}, usage: map[string]string{"bare": "KEY=TEXT", "--wait -1s": "--wait"}})
	l.refuses(refusals{args: []string{"group", "list", "PATH"}, usage: map[string]string{"more": "more"}})
	l.refuses(refusals{args: []string{"group", "watch", "PATH"}, usage: map[string]string{"more": "more", "--settle -1s": "--settle"}})
	l.fails(64, "PATH is missing", "group", "join")
	l.fails(64, "want join, list or watch", "group", "dance")
	l.fails(64, "want one name", "group", "join", "g", "--member", "a/b")
}
