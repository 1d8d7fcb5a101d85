package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// ensemble are servers on real ports whose members change.
type ensemble struct {
	t       testing.TB
	servers map[uint64]*server.Server
	peers   map[uint64]string
	change  func(*server.Config)
}

// newEnsemble starts members 1 to n, of which those named observe.
func newEnsemble(t testing.TB, n uint64, change func(*server.Config), observers ...uint64) *ensemble {
	t.Helper()
	e := &ensemble{t: t, servers: make(map[uint64]*server.Server), peers: make(map[uint64]string), change: change}
	listeners := make(map[uint64]net.Listener)
	for id := uint64(1); id <= n; id++ {
		listeners[id] = e.listen(id)
	}
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, s := range e.servers {
			wg.Go(func() { s.Close() })
		}
		wg.Wait()
	})
	for id, ln := range listeners {
		e.start(server.Config{ID: id, Peers: e.peers, Observers: observers, PeerListener: ln})
	}
	ready(t, e.all()...)
	return e
}

func (e *ensemble) all() (list []*server.Server) {
	for _, s := range e.servers {
		list = append(list, s)
	}
	return list
}

func (e *ensemble) listen(id uint64) net.Listener {
	e.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	e.peers[id] = ln.Addr().String()
	return ln
}

func (e *ensemble) start(cfg server.Config) *server.Server {
	e.t.Helper()
	cfg.Listen, cfg.FourLetterWords, cfg.AdminListen = "127.0.0.1:0", []string{"*"}, "127.0.0.1:0"
	if e.change != nil {
		e.change(&cfg)
	}
	srv, err := server.Start(cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.servers[cfg.ID] = srv
	return srv
}

// newcomer starts a server that waits to be added.
func (e *ensemble) newcomer(id uint64) server.Member {
	e.t.Helper()
	ln := e.listen(id)
	e.start(server.Config{ID: id, Peers: map[uint64]string{id: e.peers[id]}, Join: true, PeerListener: ln})
	return server.Member{ID: id, Addr: e.peers[id]}
}

func (e *ensemble) leader() *server.Server {
	e.t.Helper()
	ready(e.t, e.all()...)
	for _, s := range e.servers {
		if id, ok := s.Leader(); ok && e.servers[id] != nil {
			return e.servers[id]
		}
	}
	e.t.Fatal("no leader")
	return nil
}

// gone waits until a server that was removed has stopped.
func (e *ensemble) gone(id uint64) {
	e.t.Helper()
	select {
	case <-e.servers[id].Done():
	case <-time.After(20 * time.Second):
		e.t.Fatalf("server %d, removed, goes on", id)
	}
	if err := e.servers[id].Close(); !errors.Is(err, server.ErrRemoved) {
		e.t.Errorf("server %d, removed, stopped with %v", id, err)
	}
	delete(e.servers, id)
}

func (e *ensemble) dial(change func(*client.Config), ids ...uint64) *client.Client {
	e.t.Helper()
	cfg := client.Config{}
	for _, id := range ids {
		cfg.Servers = append(cfg.Servers, e.servers[id].Addr())
	}
	if change != nil {
		change(&cfg)
	}
	c, err := client.Dial(within(e.t, 20*time.Second), cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// configuration waits until a server's /zookeeper/config lists just those.
func (e *ensemble) configuration(srv *server.Server, members []server.Member) {
	e.t.Helper()
	var want []string
	for _, m := range members {
		_, port, _ := net.SplitHostPort(m.Addr)
		role := "participant"
		if m.Observer {
			role = "observer"
		}
		want = append(want, fmt.Sprintf("server.%d=%s:%s:%s", m.ID, m.Addr, port, role))
	}
	text := strings.Join(want, "\n") + "\nversion="
	r := connect(e.t, srv)
	testkit.Eventually(e.t, "the configuration is "+text, func() bool {
		data, stat := r.getData("/zookeeper/config", false)
		ok := strings.HasPrefix(string(data), text)
		if ok && (stat.Version != -1 || fmt.Sprintf("%s%x", text, stat.Mzxid) != string(data)) {
			e.t.Errorf("configuration %q, stat %+v", data, stat)
		}
		return ok
	})
}

// getData is a read without conveniences.
func (r *raw) getData(path string, watch bool) ([]byte, wire.Stat) {
	r.t.Helper()
	dec := r.want(wire.OK, wire.OpGetData, watchBody(path, watch))
	data := dec.Buffer()
	var stat wire.Stat
	stat.Decode(dec)
	return data, stat
}

// writer creates nodes below /w until it is told to stop, and tells which were acknowledged.
func writer(t testing.TB, c *client.Client) (stop func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	var made []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			path := fmt.Sprintf("/w/%06d", i)
			if _, err := c.Create(ctx, path, []byte("x")); err == nil {
				made = append(made, path)
			}
		}
	})
	return sync.OnceValue(func() []string { cancel(); wg.Wait(); return made })
}

// 3 → 5 → 3 servers while clients write: nothing acknowledged is lost, and all have the same tree.
func TestMembership_ComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, 3, func(cfg *server.Config) { cfg.SnapshotBytes = 256 << 10 })
	c := e.dial(nil, 1, 2, 3)
	if _, err := c.Create(within(t, 20*time.Second), "/w", nil); err != nil {
		t.Fatal(err)
	}
	stop := writer(t, c)
	watching := connect(t, e.servers[1])
	watching.getData("/zookeeper/config", true)
	for id := uint64(4); id <= 5; id++ {
		m := e.newcomer(id)
		members, err := e.servers[id-2].AddMember(within(t, 30*time.Second), m)
		if err != nil || !slices.Contains(members, m) || len(members) != int(id) {
			t.Fatalf("add %d: %v, %v", id, members, err)
		}
		ready(t, e.servers[id])
		e.configuration(e.servers[id], members)
	}
	watching.getData("/", false)
	if len(watching.events) != 1 || watching.events[0].Type != wire.EventDataChanged || watching.events[0].Path != "/zookeeper/config" {
		t.Errorf("events of the configuration: %v", watching.events)
	}
	for range 2 { // the leader goes, and who leads after it
		lead := e.leader().ID()
		via := e.servers[5]
		if lead == 5 {
			via = e.servers[4]
		}
		if via == nil {
			via = e.leader() // one that goes may be told so itself
		}
		if _, err := via.RemoveMember(within(t, 30*time.Second), lead); err != nil {
			t.Fatalf("remove %d: %v", lead, err)
		}
		e.gone(lead)
	}
	made := stop()
	if len(made) == 0 {
		t.Fatal("nothing was written")
	}
	t.Logf("%d nodes were acknowledged", len(made))
	want := ""
	for id, s := range e.servers {
		ready(t, s)
		kids, _, err := e.dial(nil, id).Children(within(t, 20*time.Second), "/w", client.Fresh())
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range made {
			if !slices.Contains(kids, strings.TrimPrefix(path, "/w/")) {
				t.Errorf("server %d has lost %s", id, path)
			}
		}
		e.configuration(s, s.Members())
		if len(s.Members()) != 3 {
			t.Errorf("server %d knows the members %v", id, s.Members())
		}
	}
	for _, s := range e.servers {
		testkit.Eventually(t, "equal digests", func() bool {
			ready(t, e.all()...)
			got := word(t, s, "hash")
			if want == "" {
				want = got
			}
			if got != want {
				want = ""
			}
			return want != ""
		})
	}
}

// word asks a server with a four-letter word.
func word(t testing.TB, srv *server.Server, w string) string {
	t.Helper()
	r := dialRaw(t, srv.Addr())
	defer r.nc.Close()
	if _, err := r.nc.Write([]byte(w)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMembership_ObserversServe(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, 4, nil, 4)
	c := e.dial(nil, 4)
	ctx := within(t, 20*time.Second)
	if _, err := c.Create(ctx, "/a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.dial(nil, 1).Set(ctx, "/a", []byte("2"), -1); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(ctx, "/a"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Get(ctx, "/a"); err != nil || string(n.Data) != "2" {
		t.Errorf("through the observer after a sync: %+v, %v", n, err)
	}
	if got := word(t, e.servers[4], "srvr"); !strings.Contains(got, "Mode: observer\n") {
		t.Errorf("srvr of an observer: %s", got)
	}
	lead := e.leader()
	testkit.Eventually(t, "the leader has a connection to each", func() bool { return strings.Contains(word(t, lead, "mntr"), "zk_learners\t3\n") })
	mntr := word(t, lead, "mntr")
	for _, line := range []string{"zk_quorum_size\t2\n", "zk_synced_observers\t1\n", "zk_synced_non_voting_followers\t0\n", "zk_synced_followers\t2\n"} {
		if !strings.Contains(mntr, line) {
			t.Errorf("mntr of the leader lacks %q", line)
		}
	}
	e.configuration(e.servers[4], []server.Member{
		{ID: 1, Addr: e.peers[1]}, {ID: 2, Addr: e.peers[2]}, {ID: 3, Addr: e.peers[3]}, {ID: 4, Addr: e.peers[4], Observer: true},
	})
	if _, text := get(t, e.servers[4], "/commands/voting_view"); strings.Contains(text, e.peers[4]) || !strings.Contains(text, e.peers[1]) {
		t.Errorf("voting view: %s", text)
	}
	if _, text := get(t, e.servers[1], "/commands/observers"); !strings.Contains(text, e.peers[4]) {
		t.Errorf("observers: %s", text)
	}
}

// A client that hangs on an observer gets no ping answered, and no sync, once the voters have no majority.
func TestMembership_ObserversDoNotProve(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, 5, nil, 3, 4, 5)
	pings, syncs := connect(t, e.servers[3]), connect(t, e.servers[3])
	pings.ping()
	syncs.want(wire.OK, wire.OpSync, wire.AppendString(nil, "/"))
	other := 3 - e.leader().ID() // the voter that does not lead
	if err := e.servers[other].Kill(); err != nil {
		t.Fatal(err)
	}
	delete(e.servers, other)
	pings.send(wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}.Append(nil))
	syncs.request(wire.OpSync, wire.AppendString(nil, "/"))
	pings.silent(700*time.Millisecond, "a ping without a majority of the voters")
	syncs.silent(300*time.Millisecond, "a sync without a majority of the voters")
}

func TestMembership_AdminListener(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, 3, nil)
	lead := e.leader()
	m := e.newcomer(4)
	follower := e.servers[1+lead.ID()%3]
	post := func(verb, body string) (int, string) {
		t.Helper()
		resp, err := http.Post("http://"+follower.AdminAddr()+"/commands/member/"+verb, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, bodyOf(t, resp)
	}
	for _, c := range []struct {
		verb, body string
		code       int
		says       string
	}{
		{"add", fmt.Sprintf(`{"id": 4, "address": %q}`, e.peers[1]), 409, "member 1's"},
		{"add", fmt.Sprintf(`{"id": 3, "address": %q}`, m.Addr), 409, "there already"},
		{"add", `{"id": 4, "address": "127.0.0.1:1"}`, 409, "no server waits"},
		{"add", fmt.Sprintf(`{"id": 4, "address": %q, "observer": true}`, m.Addr), 200, m.Addr},
		{"add", fmt.Sprintf(`{"id": 4, "address": %q, "observer": false}`, m.Addr), 200, m.Addr},
		{"transfer", `{"id": 4}`, 200, `"leader" : 4`},
		{"transfer", `{"id": 9}`, 422, "no such member"},
		{"remove", `{"id": 9}`, 422, "no such member"},
		{"remove", fmt.Sprintf(`{"id": %d}`, lead.ID()), 200, m.Addr},
		{"remove", `{"id": 0}`, 400, "want"},
		{"remove", `{"name": "x"}`, 400, "want"},
		{"dance", `{"id": 1}`, 404, "add, remove or transfer"},
	} {
		if code, body := post(c.verb, c.body); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.verb, c.body, code, body, c.code, c.says)
		}
	}
	e.gone(lead.ID())
	resp, err := http.Post("http://"+follower.AdminAddr()+"/commands/member/remove", "text/plain", strings.NewReader(`{"id": 4}`))
	if err != nil {
		t.Fatal(err)
	}
	if bodyOf(t, resp); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a page's form: %s", resp.Status)
	}
	if _, body := get(t, follower, "/commands/member"); strings.Count(body, `"address"`) != 3 || !strings.Contains(body, m.Addr) {
		t.Errorf("list: %s", body)
	}
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
