package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/rendezvous"
)

// kindsAt returns what a doctor finds, as "kind path", with the flags given.
func (w *lookout) kindsAt(path string, flags ...string) []string {
	w.t.Helper()
	var r examination
	out := w.docent(append([]string{"doctor", "--json", path}, flags...)...)
	out.into(w.t, &r)
	if want := min(len(r.Findings), 1); out.code != want {
		w.t.Errorf("exit code %d with %d findings", out.code, len(r.Findings))
	}
	var list []string
	for _, f := range r.Findings {
		list = append(list, f.Kind+" "+f.Path)
	}
	return list
}

// finds fails the test unless a doctor finds just want.
func (w *lookout) finds(path string, want ...string) {
	w.t.Helper()
	if got := w.kindsAt(path); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("below %s it finds %q, want %q", path, got, want)
	}
}

const guid1, guid2 = "_c_e7c75a00-a67e-4401-988c-835cb028acdd-", "_c_e7c75a00-a67e-4401-988c-835cb028acde-"

// Each finding, and beside it what is nearly so and none.
func TestDoctor_Findings(t *testing.T) {
	w := newLookout(t)
	hex1, hex2 := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	e := func(path, data string) { w.ephemeral(w.c, path, data) }
	p := func(path, data string) { w.node(w.c, path, data) }
	for _, x := range []struct {
		name      string
		bad       func(dir string)
		want      []string // DIR stands for the directory
		good      func(dir string)
		goodWants []string
	}{{
		name: "orphan: persistent",
		bad:  func(d string) { p(d+"/"+guid1+"lock-0000000003", "host:1"); e(d+"/"+guid2+"lock-0000000004", "host:2") },
		want: []string{"orphan DIR/" + guid1 + "lock-0000000003"},
		good: func(d string) { e(d+"/"+guid1+"lock-0000000003", ""); e(d+"/"+guid2+"lock-0000000004", "") },
	}, {
		name: "orphan: created twice",
		bad:  func(d string) { e(d+"/"+guid1+"lock-0000000003", ""); e(d+"/"+guid1+"lock-0000000004", "") },
		want: []string{"orphan DIR/" + guid1 + "lock-0000000004"},
		good: func(d string) { e(d+"/a/"+guid1+"lock-0000000003", ""); e(d+"/b/"+guid1+"lock-0000000004", "") }, // LockAll
	}, {
		name: "tie",
		bad:  func(d string) { e(d+"/"+guid1+"lock-0000000003", ""); e(d+"/"+guid2+"lock-0000000003", "") },
		want: []string{"tie DIR/" + guid2 + "lock-0000000003"},
	}, {
		name: "mixed",
		bad:  func(d string) { e(d+"/"+guid1+"lock-0000000003", ""); e(d+"/"+hex1+"__lock__0000000004", "") },
		want: []string{"mixed DIR"},
		good: func(d string) { e(d+"/"+hex2+"__rlock__0000000003", ""); e(d+"/"+hex1+"__lock__0000000004", "") },
	}, {
		name: "stranger",
		bad:  func(d string) { e(d+"/"+guid1+"lock-0000000003", ""); p(d+"/README", "do not touch") },
		want: []string{"stranger DIR"},
		good: func(d string) { p(d+"/README", "do not touch"); e(d+"/sub/"+guid1+"lock-0000000003", "") },
	}, {
		name: "counter: a number near its end",
		bad:  func(d string) { e(d+"/"+guid1+"lock-2147483640", "") },
		want: []string{"counter DIR/" + guid1 + "lock-2147483640"},
		good: func(d string) { e(d+"/"+guid1+"lock-1999999999", "") },
	}, {
		name: "counter: a number that has run over",
		bad:  func(d string) { e(d+"/"+guid1+"lock--2147483640", "") },
		want: []string{"counter DIR/" + guid1 + "lock--2147483640"},
	}, {
		name: "oversize",
		bad:  func(d string) { p(d, strings.Repeat("x", 64<<10+1)) },
		want: []string{"oversize DIR"},
		good: func(d string) { p(d, strings.Repeat("x", 64<<10)) },
	}, {
		name: "shadow: beside ephemerals",
		bad: func(d string) {
			e(d+"/am-1", "here")
			p(d+"/am-2", `{"name":"appmgr","id":"am-2","serviceType":"STATIC"}`)
		},
		want: []string{"shadow DIR"},
		good: func(d string) { e(d+"/am-1", "here"); p(d+"/permits", "8"); p(d+"/ready", strings.Repeat("x", 99)) },
	}, {
		name: "shadow: jobs",
		bad:  func(d string) { p(d+"/jobs/17/state", "RUNNING"); p(d+"/Jobs/a/b/Result", "42") },
		want: []string{"shadow DIR/Jobs/a/b/Result", "shadow DIR/jobs/17/state"},
		good: func(d string) { p(d+"/jobs/17/state", ""); p(d+"/config/state", "x"); e(d+"/jobs/18/state", "x") },
	}, {
		name: "shadow: a queue",
		bad:  func(d string) { p(d+"/queue-0000000001", "work"); p(d+"/sub/qn-0000000001", "work") },
		want: []string{"shadow DIR", "shadow DIR/sub"},
		good: func(d string) { p(d+"/queues/a", "work") },
	}} {
		t.Run(x.name, func(t *testing.T) {
			w.t = t
			dir := "/" + strings.NewReplacer(" ", "-", ":", "").Replace(x.name)
			x.bad(dir + "/bad")
			for i := range x.want {
				x.want[i] = strings.Replace(x.want[i], "DIR", dir+"/bad", 1)
			}
			w.finds(dir, x.want...)
			if x.good != nil {
				x.good(dir + "/good")
				w.finds(dir + "/good")
			}
		})
	}
}

// Docent's own recipes, in use and left, are no finding.
func TestDoctor_Healthy(t *testing.T) {
	w := newLookout(t)
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	a, b := w.as("a"), w.as("b")
	_, err := lock.New(a, "/app/lock").Lock(ctx)
	must(err)
	w.while(func(ctx context.Context) { lock.New(b, "/app/lock").Lock(ctx) })
	w.inspect("/app/lock", queued(2))
	_, err = lock.NewRW(a, "/app/rw").RLock(ctx)
	must(err)
	permit, err := lock.NewSemaphore(a, "/app/seats", 2).Acquire(ctx, 1)
	must(err)
	must(permit.Unlock(ctx))
	_, err = lock.NewSemaphore(a, "/app/seats", 2).Acquire(ctx, 2)
	must(err)
	w.while(func(ctx context.Context) { lock.NewSemaphore(b, "/app/seats", 2).Acquire(ctx, 1) })
	w.inspect("/app/seats", queued(2))
	w.while(func(ctx context.Context) {
		leader.Run(ctx, a, "/app/writer", func(ctx context.Context, _ *leader.Term) error { <-ctx.Done(); return nil })
	})
	w.inspect("/app/writer", queued(1))
	_, err = lock.LockAll(ctx, a, []string{"/app/m1", "/app/m2"})
	must(err)
	for range 2 { // generations
		_, err = barrier.New(a, "/app/step", 1).Run(ctx, func(context.Context) error { return nil })
		must(err)
	}
	_, err = barrier.New(a, "/app/step", 1).Enter(ctx)
	must(err)
	must(rendezvous.At[string](a, "/app/meet").Post(ctx, "x"))
	m, err := groups.Join(ctx, a, "/app/group", []byte(strings.Repeat("m", 100)))
	must(err)
	defer m.Leave(context.Background())
	reg, err := groups.Register(ctx, a, groups.Instance{Service: "appmgr", Host: "n1", Port: 9930})
	must(err)
	defer reg.Close()
	_, err = config.NewCounter(a, "/app/count", nil).Add(ctx, 1)
	must(err)
	w.node(a, "/app/config/appmgr", `{"cpu": 4}`)
	if got := w.kindsAt("/", "--admin", w.admin); len(got) > 0 {
		t.Errorf("it finds %q", got)
	}
	w.docent("doctor").shows(t, 0, " nodes, 0 findings")
	w.docent("inspect", "--orphans", "/app").shows(t, 0, "0 orphans")
}

func TestDoctor_Parent(t *testing.T) {
	w := newLookout(t)
	w.node(w.c, "/plain", "", client.WithACL(client.WorldACL(client.PermAll)))
	if _, err := w.c.Create(t.Context(), "/persistent", nil); err != nil {
		t.Fatal(err)
	}
	w.ephemeral(w.c, "/persistent/"+guid1+"lock-0000000003", "")
	w.ephemeral(w.c, "/container/"+guid1+"lock-0000000003", "")
	w.finds("/") // who cannot know says nothing
	if got := w.kindsAt("/", "--admin", w.admin); fmt.Sprint(got) != "[parent /persistent]" {
		t.Errorf("it finds %q", got)
	}
	w.docent("doctor", "--admin", "127.0.0.1:1").shows(t, 69, "refused")
}

// A directory that ran empty, by another node's later change that was long ago.
func TestDoctor_RanEmpty(t *testing.T) {
	w := newLookout(t)
	for _, dir := range []string{"/a", "/b", "/never"} {
		if _, err := w.c.Create(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(dir string) {
		w.node(w.c, dir+"/x", "")
		if err := w.c.Delete(t.Context(), dir+"/x", -1); err != nil {
			t.Fatal(err)
		}
	}
	gone("/a")
	w.node(w.c, "/later", "x")
	gone("/b") // after any change that is seen
	d := newDoctor(limits{idle: time.Nanosecond}, nil)
	d.now = d.now.Add(time.Hour)
	if err := d.examine(t.Context(), forest{w.c}, "/", nil); err != nil {
		t.Fatal(err)
	}
	if got := d.report().Findings; len(got) != 1 || got[0].Kind != findParent || got[0].Path != "/a" {
		t.Errorf("it finds %v", got)
	}
	w.finds("/") // ten minutes have not passed
}

// Nodes that come and go by the thousand are work that passes through; not so those of locks, however hot, of groups, and of
// a directory that took years for as many.
func TestDoctor_Churn(t *testing.T) {
	w := newLookout(t)
	pass := func(dir string, made func(path string)) {
		for i := range 300 {
			path := fmt.Sprint(dir, "/", i)
			made(path)
			if err := w.c.Delete(t.Context(), path, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	pass("/requests", func(path string) { w.node(w.c, path, "do this") })
	w.node(w.c, "/requests/left", "do that")
	pass("/mine", func(path string) { w.ephemeral(w.c, path, "x") })
	w.ephemeral(w.c, "/mine/left", "x")
	pass("/locks", func(path string) { w.node(w.c, path, "") })
	w.ephemeral(w.c, "/locks/hot/"+guid1+"lock-0000000300", "x")
	w.node(w.c, "/locks/cold", "")
	pass("/group", func(path string) { w.ephemeral(w.c, path, "x") })
	for i := range 5 { // whose members were all replaced sixty times
		w.ephemeral(w.c, fmt.Sprint("/group/m", i), "x")
	}
	examined := func(later time.Duration, churn int64) (found []finding) {
		t.Helper()
		d := newDoctor(limits{churn: churn}, nil)
		d.now = d.now.Add(later)
		if err := d.examine(t.Context(), forest{w.c}, "/", nil); err != nil {
			t.Fatal(err)
		}
		return d.found[findChurn]
	}
	found := examined(0, 200)
	if len(found) != 2 || found[0].Path != "/requests" && found[1].Path != "/requests" || !strings.Contains(found[0].What+found[1].What, "of session 0x") {
		t.Errorf("it finds %v", found)
	}
	if found := examined(0, 0); found != nil {
		t.Errorf("of a few hundred it finds %v", found)
	}
	if found := examined(24*time.Hour, 200); found != nil {
		t.Errorf("of a few hundred in a day it finds %v", found)
	}
}

func TestDoctor_Numbers(t *testing.T) {
	for _, x := range []struct {
		st   client.Stat
		want bool
	}{
		{client.Stat{}, false},
		{client.Stat{Cversion: -1, NumChildren: 1}, false}, // the root of a new tree
		{client.Stat{Cversion: 200, NumChildren: 100}, false},
		{client.Stat{Cversion: math.MaxInt32}, false},                   // 2^30 children
		{client.Stat{Cversion: -2, NumChildren: 0}, true},               // 2^31-1 created, none left
		{client.Stat{Cversion: -1000, NumChildren: 20}, true},           // close to that
		{client.Stat{Cversion: -1 << 30, NumChildren: 1 << 29}, false},  // 1.75 * 2^30
		{client.Stat{Version: 1 << 30}, false},                          //
		{client.Stat{Version: math.MaxInt32 - 5}, true},                 //
		{client.Stat{Version: math.MinInt32 + 5}, false},                // has run over, and -1 is far
		{client.Stat{Version: -100}, true},                              // -1 is near
		{client.Stat{Version: -1, EphemeralOwner: 1, Mzxid: 100}, true}, //
	} {
		d := newDoctor(limits{}, nil)
		d.checkNode("/x", x.st)
		if got := d.count[findCounter] > 0; got != x.want {
			t.Errorf("%+v, next number %d: found %v, want %v", x.st, nextNumber(x.st), got, x.want)
		}
	}
}

func TestDoctor_Crowd(t *testing.T) {
	w := newLookout(t)
	for i := range 3 {
		w.node(w.c, fmt.Sprintf("/crowd/%c%s", 'a'+i, strings.Repeat("n", 95)), "")
	}
	for bytes, want := range map[int]int{299: 1, 300: 0} {
		d := newDoctor(limits{children: bytes}, nil)
		if err := d.examine(t.Context(), forest{w.c}, "/crowd", nil); err != nil {
			t.Fatal(err)
		}
		if got := d.count[findCrowd]; got != want {
			t.Errorf("with %d bytes at most it finds %d", bytes, got)
		}
	}
}

// What one may not read is told, and the rest looked at.
func TestDoctor_Unreadable(t *testing.T) {
	w := newLookout(t)
	owner, err := client.Dial(t.Context(), client.Config{Servers: []string{w.srv.Addr()}, Auth: []client.Auth{{Scheme: "digest", Data: []byte("me:secret")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	mine := client.WithACL(client.CreatorACL(client.PermAll))
	w.node(owner, "/secret", "", mine)
	w.node(owner, "/secret/deep/oversize", strings.Repeat("x", 70<<10))
	w.node(w.c, "/open/oversize", strings.Repeat("x", 70<<10))
	w.ephemeral(owner, "/locks/"+guid1+"lock-0000000003", "", mine)
	w.ephemeral(w.c, "/locks/"+guid2+"lock-0000000004", "")
	w.finds("/", "oversize /open/oversize", "unreadable /secret")
	w.docent("doctor").shows(t, 1, "unreadable  /secret: you may not read it, nor what is below it")
	w.finds("/secret", "unreadable /secret")
	w.docent("inspect", "/secret").shows(t, 77, "docent inspect: ")
	w.docent("inspect", "/locks").shows(t, 0, "(not readable)", "1 hold, 1 wait")
	w.docent("doctor", "--auth", "me:secret", "/secret").shows(t, 1, "oversize    /secret/deep/oversize")
}

// Two processes each hold a lock and wait for the other's.
func TestDoctor_Cycle(t *testing.T) {
	w := newLookout(t)
	a, b, c := w.as("job-a"), w.as("job-b"), w.as("job-c")
	hold := func(c *client.Client, path string) {
		if _, err := lock.New(c, path).Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(c *client.Client, path string) {
		w.while(func(ctx context.Context) { lock.New(c, path).Lock(ctx) })
	}
	hold(a, "/x")
	hold(b, "/y")
	wait(a, "/y")
	w.inspect("/y", queued(2))
	wait(c, "/x") // in nobody's way
	w.inspect("/x", queued(2))
	w.finds("/")
	wait(b, "/x")
	w.inspect("/x", queued(3))
	var r examination
	w.docent("doctor", "--json").into(t, &r)
	if len(r.Findings) != 1 || r.Findings[0].Kind != findCycle {
		t.Fatalf("it finds %+v", r.Findings)
	}
	what := r.Findings[0].What
	for _, s := range []string{"job-a", "job-b", "waits in /x for", "waits in /y for"} {
		if !strings.Contains(what, s) {
			t.Errorf("%q does not tell of %q", what, s)
		}
	}
	if strings.Contains(what, "job-c") {
		t.Errorf("%q tells of who only waits", what)
	}
}

// Those who hold all permits count as one who stands in the way.
func TestDoctor_CycleOfSemaphore(t *testing.T) {
	w := newLookout(t)
	a, b := w.as("job-a"), w.as("job-b")
	if _, err := lock.NewSemaphore(a, "/seats", 2).Acquire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := lock.NewRW(b, "/index").Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.while(func(ctx context.Context) { lock.NewSemaphore(b, "/seats", 2).Acquire(ctx, 1) })
	w.inspect("/seats", queued(2))
	w.finds("/")
	w.while(func(ctx context.Context) { lock.NewRW(a, "/index").RLock(ctx) })
	w.inspect("/index", queued(2))
	w.finds("/", "cycle /index")
	w.docent("doctor").shows(t, 1, "job-a (session ", "waits in /index for session ", "waits in /seats for session ")
}

func TestInspect_Orphans(t *testing.T) {
	w := newLookout(t)
	w.ephemeral(w.c, "/a/"+guid1+"lock-0000000001", "")
	w.ephemeral(w.c, "/a/"+guid2+"lock-0000000002", "")
	w.node(w.c, "/b/"+guid1+"lock-0000000001", "host:1")
	w.node(w.c, "/big", strings.Repeat("x", 99_999))
	w.docent("inspect", "--orphans", "/").shows(t, 0, "repeat", "/a/"+guid2+"lock-0000000002", "has 2 places", "orphan", "/b/"+guid1+"lock-0000000001", "2 orphans or suspects")
	var list []finding
	w.docent("inspect", "--orphans", "--json", "/").into(t, &list)
	if len(list) != 2 || list[0].Kind != findOrphan || list[1].Kind != findRepeat {
		t.Errorf("it lists %v", list)
	}
	w.docent("inspect", "--orphans", "--format", "{{.Kind}}", "/b").shows(t, 0, "orphan\n")
	w.finds("/a") // goroutines of one process may each want a lock
	testkit.Eventually(t, "nothing below an empty path", func() bool { return w.docent("inspect", "--orphans", "/none").code == 1 })
}
