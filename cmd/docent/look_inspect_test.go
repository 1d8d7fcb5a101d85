package main

import (
	"context"
	"fmt"
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

// as dials a client that says it is who.
func (w *lookout) as(who string) *client.Client {
	w.t.Helper()
	c, err := client.Dial(w.t.Context(), client.Config{Servers: []string{w.srv.Addr()}, Identity: who})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// while runs f until the test ends.
func (w *lookout) while(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

// inspect returns what docent inspect tells of a path, as soon as good says that it is what is waited for.
func (w *lookout) inspect(path string, good func(*sight) bool) *sight {
	w.t.Helper()
	x := new(sight)
	testkit.Eventually(w.t, "inspect "+path, func() bool {
		*x = sight{}
		r := w.docent("inspect", "--json", path)
		if r.code != 0 {
			return false
		}
		r.into(w.t, x)
		return good(x)
	})
	return x
}

func (x *sight) String() string {
	return fmt.Sprintf("%s %s holders=[%s] waiting=[%s] members=[%s] %d/%d %s gen=%d n=%d %q", x.Kind, x.Path, idsOf(x.Holders), idsOf(x.Waiting), idsOf(x.Members),
		x.Used, x.Permits, x.State, x.Generation, x.Size, x.Value)
}

// queued waits until n contenders stand in a line.
func queued(n int) func(*sight) bool {
	return func(x *sight) bool { return x.Holding+x.Queued == n }
}

// is fails the test unless a sight reads as want.
func (w *lookout) is(x *sight, want string) {
	w.t.Helper()
	if got := x.String(); got != want {
		w.t.Errorf("it is seen as\n%s, want\n%s", got, want)
	}
}

func TestInspect_Lock(t *testing.T) {
	w := newLookout(t)
	a, b := w.as("slurm:hpc:88123_17@n042"), w.as("host:2")
	held, err := lock.New(a, "/publish", lock.Note("publish 17")).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.while(func(ctx context.Context) { lock.New(b, "/publish").Lock(ctx) })
	x := w.inspect("/publish", queued(2))
	w.is(x, `lock /publish holders=[slurm:hpc:88123_17@n042] waiting=[host:2] members=[] 0/0  gen=0 n=0 ""`)
	if h := x.Holders[0]; h.Token != held.Token() || h.Note != "publish 17" || h.Contact == nil || h.Contact.Heard == nil || time.Since(*h.Contact.Heard) > time.Minute {
		t.Errorf("holder is %+v with contact %+v", h, h.Contact)
	}
	w.docent("lock", "ls", "publish").shows(t, 0, "slurm:hpc:88123_17@n042", "publish 17", "waits 1", "0s ago", "lock /publish: 1 hold, 1 wait")
}

func TestInspect_RWLock(t *testing.T) {
	w := newLookout(t)
	l := func(c *client.Client) *lock.RWMutex { return lock.NewRW(c, "/index") }
	for _, who := range []string{"r1", "r2"} {
		if _, err := l(w.as(who)).RLock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	writer, reader := w.as("w1"), w.as("r3")
	w.while(func(ctx context.Context) { l(writer).Lock(ctx) })
	w.inspect("/index", queued(3))
	w.while(func(ctx context.Context) { l(reader).RLock(ctx) })
	w.is(w.inspect("/index", queued(4)), `rwlock /index holders=[r1 r2] waiting=[w1 r3] members=[] 0/0  gen=0 n=0 ""`)
	w.docent("lock", "ls", "/index").shows(t, 0, "reads", "waits 1 ", "waits 2 (reads)")
}

func TestInspect_Semaphore(t *testing.T) {
	w := newLookout(t)
	a, b, c := w.as("a"), w.as("b"), w.as("c")
	if _, err := lock.NewSemaphore(a, "/seats", 3).Acquire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	w.while(func(ctx context.Context) { lock.NewSemaphore(b, "/seats", 3).Acquire(ctx, 2) })
	w.inspect("/seats", queued(2))
	w.while(func(ctx context.Context) { lock.NewSemaphore(c, "/seats", 3).Acquire(ctx, 1) })
	x := w.inspect("/seats", queued(3))
	w.is(x, `semaphore /seats holders=[a] waiting=[b c] members=[] 2/3  gen=0 n=0 ""`)
	w.docent("lock", "ls", "/seats").shows(t, 0, "slot 0,1", "2 of 3 permits are out")
	w.docent("inspect", "/seats/leases").shows(t, 0, "1 hold, 0 wait")
}

func TestInspect_Election(t *testing.T) {
	w := newLookout(t)
	leads := make(chan struct{})
	lead := func(who string, led func()) {
		c := w.as(who)
		w.while(func(ctx context.Context) {
			leader.Run(ctx, c, "/writer", func(ctx context.Context, _ *leader.Term) error { led(); <-ctx.Done(); return ctx.Err() })
		})
	}
	lead("first", func() { close(leads) })
	<-leads
	lead("second", func() {})
	x := w.inspect("/writer", queued(2))
	w.is(x, `election /writer holders=[first] waiting=[second] members=[] 0/0  gen=0 n=0 ""`)
	if x.Holders[0].Acked == nil || !*x.Holders[0].Acked {
		t.Errorf("the leader has begun, but is shown as %+v", x.Holders[0])
	}
	w.docent("inspect", "/writer").shows(t, 0, "leads", "waits 1")
}

func TestInspect_Barrier(t *testing.T) {
	w := newLookout(t)
	a, b := w.as("host:1"), w.as("host:2")
	w.while(func(ctx context.Context) { barrier.New(a, "/step", 2).Enter(ctx) })
	w.is(w.inspect("/step", func(x *sight) bool { return len(x.Members) == 1 }), `barrier /step holders=[] waiting=[] members=[host:1] 0/0 open gen=1 n=2 ""`)
	if _, err := barrier.New(b, "/step", 2).Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.is(w.inspect("/step", func(x *sight) bool { return true }), `barrier /step holders=[] waiting=[] members=[host:1 host:2] 0/0 running gen=1 n=2 ""`)
	w.docent("inspect", "/step").shows(t, 0, "generation 1 is running, 2 of 2 here")
}

func TestInspect_Rendezvous(t *testing.T) {
	w := newLookout(t)
	m, k := w.as("master:1"), w.as("worker:1")
	w.while(func(ctx context.Context) {
		for range rendezvous.At[string](k, "/meet").Follow(ctx) {
			continue
		}
	})
	w.is(w.inspect("/meet", func(x *sight) bool { return len(x.Members) == 1 }), `rendezvous /meet holders=[] waiting=[] members=[worker:1] 0/0 vacant gen=0 n=0 ""`)
	if err := rendezvous.At[string](m, "/meet").Post(t.Context(), "n042:9930"); err != nil {
		t.Fatal(err)
	}
	w.is(w.inspect("/meet", func(x *sight) bool { return true }), `rendezvous /meet holders=[master:1] waiting=[] members=[worker:1] 0/0 posted gen=0 n=0 "\"n042:9930\""`)
	w.docent("inspect", "/meet").shows(t, 0, `posted "n042:9930", 1 follow`)
}

func TestInspect_GroupAndService(t *testing.T) {
	w := newLookout(t)
	m, err := groups.Join(t.Context(), w.c, "/workers", []byte("ready"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Leave(context.Background())
	x := w.inspect("/workers", func(x *sight) bool { return len(x.Members) == 1 })
	if x.Kind != kindGroup {
		t.Errorf("it is seen as %v", x)
	}
	reg, err := groups.Register(t.Context(), w.c, groups.Instance{Service: "appmgr", ID: "am-1", Host: "n1", Port: 9930, Version: "1.6.2", Flavor: "slurm"})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	x = w.inspect("/svc/appmgr", func(x *sight) bool { return len(x.Members) == 1 })
	w.is(x, `service /svc/appmgr holders=[] waiting=[] members=[am-1] 0/0  gen=0 n=0 ""`)
	w.docent("inspect", "/svc/appmgr").shows(t, 0, "am-1", "n1:9930 slurm 1.6.2 up", "1 here")
}

func TestInspect_Leaf(t *testing.T) {
	w := newLookout(t)
	if _, err := config.NewCounter(w.c, "/jobs", nil).Add(t.Context(), 41); err != nil {
		t.Fatal(err)
	}
	w.node(w.c, "/eight", "\x00\x00\x00\x00\x00\x00\x01\x00")
	w.node(w.c, "/four", "\xff\xff\xff\xff")
	w.node(w.c, "/limits", `{"cpu": 4}`)
	w.node(w.c, "/nothing", "")
	w.node(w.c, "/dir/a", "x")
	w.node(w.c, "/work/queue-0000000001", "x")
	for path, want := range map[string]string{
		"/jobs":    `counter /jobs holders=[] waiting=[] members=[] 0/0  gen=0 n=0 "41"`,
		"/eight":   `counter /eight holders=[] waiting=[] members=[] 0/0  gen=0 n=0 "256"`,
		"/four":    `counter /four holders=[] waiting=[] members=[] 0/0  gen=0 n=0 "-1"`,
		"/limits":  `value /limits holders=[] waiting=[] members=[] 0/0  gen=0 n=0 "{\"cpu\": 4}"`,
		"/nothing": `empty /nothing holders=[] waiting=[] members=[] 0/0  gen=0 n=0 ""`,
		"/dir":     `directory /dir holders=[] waiting=[] members=[] 0/0  gen=0 n=0 ""`,
		"/work":    `queue /work holders=[] waiting=[] members=[] 0/0  gen=0 n=0 ""`,
	} {
		w.is(w.inspect(path, func(*sight) bool { return true }), want)
	}
	w.docent("inspect", "/limits").shows(t, 0, `value /limits: {"cpu": 4} (version 0`)
	w.docent("inspect", "/dir").shows(t, 0, "1 children")
}

// The layouts of Curator, kazoo and go-zookeeper, as zookeeper-protocol.md has them.
func TestInspect_Foreign(t *testing.T) {
	w := newLookout(t)
	a, b := w.as("a"), w.as("b")
	guid, hex := "_c_e7c75a00-a67e-4401-988c-835cb028acdd-", strings.Repeat("0a", 16)
	hex2 := strings.Repeat("0b", 16)
	e := func(c *client.Client, path, data string) { w.ephemeral(c, path, data) }
	s := func(c *client.Client, path, data string) { w.ephemeral(c, path, data, client.Sequential()) }

	s(a, "/curator/mutex/"+guid+"lock-", "10.0.0.1")
	s(b, "/curator/mutex/_c_"+hex+"-lock-", "10.0.0.2") // go-zookeeper's
	s(a, "/curator/rw/"+guid+"__READ__", "10.0.0.1")
	s(b, "/curator/rw/"+guid+"__WRIT__", "10.0.0.2")
	s(a, "/curator/sem/leases/"+guid+"lease-", "10.0.0.1")
	s(b, "/curator/sem/locks/"+guid+"lock-", "10.0.0.2")
	s(a, "/curator/latch/"+guid+"latch-", "id-1")
	e(a, "/curator/double/e7c75a00-a67e-4401-988c-835cb028acdd", "10.0.0.1")
	w.node(a, "/curator/double/ready", "10.0.0.1")
	e(a, "/curator/group/m1", "10.0.0.1")
	e(a, "/curator/svc/id-1", `{"name":"svc","id":"id-1","address":"10.0.0.1","port":80,"sslPort":null,"payload":"x","registrationTimeUTC":1795338088286,"serviceType":"DYNAMIC","uriSpec":null}`)
	s(a, "/kazoo/lock/"+hex+"__lock__", "k1")
	s(b, "/kazoo/lock/"+hex2+"__lock__", "k2")
	s(a, "/kazoo/rw/"+hex+"__rlock__", "k1")
	s(b, "/kazoo/rw/"+hex2+"__lock__", "k2")
	w.node(a, "/kazoo/sem", "2")
	e(a, "/kazoo/sem/"+hex, "k1")
	s(b, "/kazoo/sem-__lock__/"+hex2+"__lock__", "k2")
	e(a, "/kazoo/party/"+hex+"__party__", "k1")
	e(a, "/kazoo/double/"+hex, "k1")

	const none = "0/0  gen=0 n=0 \"\""
	for path, want := range map[string]string{
		"/curator/mutex":  "lock /curator/mutex holders=[10.0.0.1] waiting=[10.0.0.2] members=[] " + none,
		"/curator/rw":     "rwlock /curator/rw holders=[10.0.0.1] waiting=[10.0.0.2] members=[] " + none,
		"/curator/sem":    "semaphore /curator/sem holders=[10.0.0.1] waiting=[10.0.0.2] members=[] 1/0  gen=0 n=0 \"\"",
		"/curator/latch":  "election /curator/latch holders=[id-1] waiting=[] members=[] " + none,
		"/curator/double": "barrier /curator/double holders=[] waiting=[] members=[10.0.0.1] 0/0 running gen=0 n=0 \"\"",
		"/curator/group":  "group /curator/group holders=[] waiting=[] members=[10.0.0.1] " + none,
		"/curator/svc":    "service /curator/svc holders=[] waiting=[] members=[id-1] " + none,
		"/kazoo/lock":     "lock /kazoo/lock holders=[k1] waiting=[k2] members=[] " + none,
		"/kazoo/rw":       "rwlock /kazoo/rw holders=[k1] waiting=[k2] members=[] " + none,
		"/kazoo/sem":      "semaphore /kazoo/sem holders=[k1] waiting=[k2] members=[] 1/2  gen=0 n=0 \"\"",
		"/kazoo/party":    "group /kazoo/party holders=[] waiting=[] members=[k1] " + none,
		"/kazoo/double":   "group /kazoo/double holders=[] waiting=[] members=[k1] " + none,
	} {
		w.is(w.inspect(path, func(*sight) bool { return true }), want)
	}
	w.docent("lock", "ls", "/").shows(t, 0, "/curator/mutex", "/curator/rw", "/curator/sem ", "/curator/latch", "/kazoo/lock", "/kazoo/rw", "/kazoo/sem ", "1 of 2 out", "8 with anybody in line")
	w.docent("inspect", "/curator/sem").shows(t, 0, "how many permits there are is not said here")
}
