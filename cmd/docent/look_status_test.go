package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

func TestStatus_Standalone(t *testing.T) {
	w := newLookout(t)
	w.ephemeral(w.c, "/e", "x")
	var list []*health
	w.docent("status", "--json").into(t, &list)
	h := list[0]
	if len(list) != 1 || h.State != "standalone" || h.Server != w.srv.Addr() || h.Zxid == nil || *h.Lag != 0 || *h.Sessions != 1 || *h.Ephemerals != 1 || h.LatencyAvg == nil {
		t.Errorf("it tells %+v", h)
	}
	w.docent("status", "--admin", w.admin, "--json").into(t, &list)
	if h = list[0]; len(list) != 1 || h.Server != w.srv.Addr() || h.Zxid == nil || *h.Sessions != 1 || len(h.Members) != 1 {
		t.Errorf("with --admin it tells %+v, of %d", h, len(list))
	}
	w.docent("status").shows(t, 0, "SERVER", "standalone", "3.9.3-docent")
	w.docent("status", "--format", "{{.State}}").shows(t, 0, "standalone\n")
	w.docent("status", "here").shows(t, 64, `"here"`)
	docentAt(t, "zk://127.0.0.1:1", "status").shows(t, 69, "refused", "no server can be reached")
	docentAt(t, "zk://127.0.0.1:1,"+w.srv.Addr(), "status").shows(t, 1, "down", "standalone")
}

// What a server does not tell anybody is "-", and no error.
func TestStatus_Whitelist(t *testing.T) {
	w := newLookout(t, servertest.WithConfig(func(c *server.Config) { c.FourLetterWords = []string{"srvr"} }))
	var list []*health
	w.docent("status", "--json").into(t, &list)
	if h := list[0]; h.State != "standalone" || h.Zxid == nil || h.Watches != nil || h.Sessions != nil {
		t.Errorf("it tells %+v", h)
	}
	w.ephemeral(w.c, "/l/"+guid1+"lock-0000000001", "me")
	var locks []*sight
	w.docent("lock", "ls", "--json", "/l").into(t, &locks)
	if locks[0].Holders[0].Contact != nil {
		t.Errorf("who does not tell, tells %+v", locks[0].Holders[0].Contact)
	}
	w.docent("lock", "ls", "--json", "--admin", w.admin, "/l").into(t, &locks)
	if c := locks[0].Holders[0].Contact; c == nil || c.Heard == nil || c.Connected == nil || time.Since(*c.Heard) > time.Minute {
		t.Errorf("--admin tells %+v", c)
	}

	none := newLookout(t, servertest.WithConfig(func(c *server.Config) { c.FourLetterWords = []string{"ruok"} }))
	none.docent("status").shows(t, 0, "unknown", "whitelist")
}

func TestStatus_Ensemble(t *testing.T) {
	cluster := servertest.NewCluster(t, 3)
	dsn := "zk://" + strings.Join(cluster.Addrs(), ",")
	var list []*health
	docentAt(t, dsn, "status", "--json").into(t, &list)
	states := make(map[string]int)
	for _, h := range list {
		states[h.State]++
	}
	if fmt.Sprint(states) != "map[follower:2 leader:1]" {
		t.Errorf("states are %v", states)
	}
	cluster.Servers[0].Kill()
	cluster.Servers[1].Kill()
	out := docentAt(t, dsn, "status")
	if out.code != 1 || strings.Count(out.stdout, "refused") != 2 {
		t.Errorf("with two of three killed: exit code %d, %s", out.code, out.stdout)
	}
}

// The words of Apache ZooKeeper, whose times of last responses are of another clock.
func TestContacts_Apache(t *testing.T) {
	const cons = ` /10.0.0.1:50001[1](queued=0,recved=5,sent=5,sid=0x1000a2b3c4d0001,lop=PING,est=1795338088286,to=30000,lcxid=0x5,lzxid=0x10,lresp=5000000,llat=0,minlat=0,avglat=0,maxlat=4)
 /10.0.0.2:50002[1](queued=0,recved=9,sent=9,sid=0x81000a2b3c4d0002,lop=PING,est=1795338000000,to=30000,lcxid=0x5,lzxid=0x10,lresp=4988000,llat=0,minlat=0,avglat=0,maxlat=4)
 /10.0.0.3:50003[0](queued=0,recved=1,sent=0)

`
	now := time.UnixMilli(1795338099000)
	found := parseConnections(cons, "s1:2181", 0x1000a2b3c4d0001, now)
	if len(found) != 2 {
		t.Fatalf("it finds %v", found)
	}
	other := sessionID(-0x7efff5d4c3b2fffe) // of server 129
	c := found[other]
	if c.Heard == nil || now.Sub(*c.Heard) != 12*time.Second || c.Connected.UnixMilli() != 1795338000000 || c.Client != "10.0.0.2:50002" || other.String() != "0x81000a2b3c4d0002" {
		t.Errorf("of %v it tells %+v", other, c)
	}
	if c := parseConnections(cons, "s1:2181", 7, now)[other]; c.Heard != nil {
		t.Errorf("without our own session beside it, it was heard %v", c.Heard)
	}
}

// A session without a connection: only the leader knows when it ends.
func TestContacts_Silent(t *testing.T) {
	w := newLookout(t)
	var cut atomic.Bool
	conns := make(chan net.Conn, 1)
	c, err := client.Dial(t.Context(), client.Config{Servers: []string{w.srv.Addr()}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("cut off")
		}
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		conns <- nc
		return nc, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.ephemeral(c, "/l/"+guid1+"lock-0000000001", "gone")
	cut.Store(true)
	(<-conns).Close()
	var x *contact
	testkit.Eventually(t, "the session is without a connection", func() bool {
		var locks []*sight
		w.docent("lock", "ls", "--json", "--admin", w.admin, "/l").into(t, &locks)
		x = locks[0].Holders[0].Contact
		return x != nil && x.Connected == nil
	})
	if x.Heard != nil || x.Expires == nil || time.Until(*x.Expires) > 11*time.Second {
		t.Errorf("--admin tells %+v", x)
	}
	w.docent("lock", "ls", "--admin", w.admin, "/l").shows(t, 0, "ends in ")
	at := time.Now()
	if !(contact{Heard: &at}).better(contact{Expires: &at}) || (contact{Expires: &at}).better(contact{Heard: &at}) || (contact{Expires: &at}).better(contact{Connected: &at}) {
		t.Error("a leader's guess is believed more than a connection")
	}
}

// A hundred thousand nodes are looked through in seconds.
func TestLook_LargeTree(t *testing.T) {
	w := newLookout(t)
	const dirs, each = 100, 1000
	for d := range dirs {
		dir := fmt.Sprintf("/big/d%02d", d)
		w.node(w.c, dir, "")
		s, err := w.c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := s.Batch()
		for i := range each {
			b.Create(fmt.Sprintf("%s/%s%04d-lock-%010d", dir, guid1[:len(guid1)-5], i, i), []byte("host:1"), client.Ephemeral())
		}
		if err := b.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	var r examination
	w.docent("doctor", "--json", "/").into(t, &r)
	doctor := time.Since(begun)
	begun = time.Now()
	var list []*sight
	w.docent("top", "--json", "/").into(t, &list)
	t.Logf("doctor %v, top %v", doctor, time.Since(begun))
	if r.Nodes != dirs*each+dirs+2 || len(list) != dirs || list[0].Queued != each-1 || doctor > 30*time.Second {
		t.Errorf("%d nodes in %v, %d lines", r.Nodes, doctor, len(list))
	}
}

// Nodes come and go while they are looked at: what has gone is passed over, and nothing fails.
func TestLook_Churn(t *testing.T) {
	w := newLookout(t)
	w.node(w.c, "/churn/keep", "x")
	for i := range 4 {
		c := w.as(fmt.Sprint("churner-", i))
		w.while(func(ctx context.Context) {
			for n := 0; ctx.Err() == nil; n++ {
				if held, err := lock.New(c, fmt.Sprintf("/churn/l%d", n%7)).Lock(ctx); err == nil {
					held.Unlock(ctx)
				}
				dir := fmt.Sprintf("/churn/t%d", i)
				if _, err := c.Create(ctx, dir+"/a/b", []byte("x"), client.Parents()); err == nil {
					for _, p := range []string{"/a/b", "/a", ""} {
						c.Delete(ctx, dir+p, -1)
					}
				}
			}
		})
	}
	for range 15 {
		for _, args := range [][]string{{"top", "/churn"}, {"lock", "ls", "/churn"}, {"lock", "ls", "/churn/l3"}} {
			w.docent(args...).shows(t, 0)
		}
		if out := w.docent("doctor", "/churn"); out.code != 0 && !strings.Contains(out.stdout, "ran empty") {
			t.Errorf("doctor: exit code %d, %s%s", out.code, out.stdout, out.stderr)
		}
	}
}
