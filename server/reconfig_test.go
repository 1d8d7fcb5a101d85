package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// superDigest is that of super:secret.
const superDigest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="

func withReconfig(cfg *server.Config) {
	cfg.ReconfigEnabled, cfg.SuperDigest = true, superDigest
}

// super connects as the user that may do everything.
func super(t testing.TB, srv *server.Server) *raw {
	t.Helper()
	r := connect(t, srv)
	r.send(append(wire.RequestHeader{Xid: wire.XidAuth, Op: wire.OpAuth}.Append(nil),
		(&wire.AuthRequest{Scheme: "digest", Auth: []byte("super:secret")}).Append(nil)...))
	r.reply(wire.XidAuth)
	if err := r.nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return r
}

func reconfigBody(joining, leaving, whole string, version int64) []byte {
	return (&wire.ReconfigRequest{Joining: joining, Leaving: leaving, NewMembers: whole, ConfigID: version}).Append(nil)
}

// reconfigure wants a success, and returns the list of members and its version.
func (r *raw) reconfigure(body []byte) (string, int64) {
	r.t.Helper()
	dec := r.want(wire.OK, wire.OpReconfig, body)
	data := string(dec.Buffer())
	var stat wire.Stat
	stat.Decode(dec)
	list, version, ok := strings.Cut(data, "\nversion=")
	if !ok || version != fmt.Sprintf("%x", stat.Mzxid) || stat.Version != -1 || dec.Err() != nil || int(stat.DataLength) != len(data) {
		r.t.Errorf("reconfig: %q with %+v, %v", data, stat, dec.Err())
	}
	if now, s := r.getData("/zookeeper/config", false); string(now) != data || s != stat {
		r.t.Errorf("/zookeeper/config: %q with %+v, want %q with %+v", now, s, data, stat)
	}
	return list, stat.Mzxid
}

func TestReconfig(t *testing.T) {
	testkit.ChangesAddress(t)
	t.Parallel()
	e := newEnsemble(t, 3, withReconfig)
	lead := e.leader()
	r := super(t, e.servers[1+lead.ID()%3])
	m := e.newcomer(4)
	_, port, _ := strings.Cut(m.Addr, ":")
	line := fmt.Sprintf("server.4=%s:%s:participant", m.Addr, port)

	list, first := r.reconfigure(reconfigBody(line, "", "", -1))
	if !strings.Contains(list, line) || strings.Count(list, "\n") != 3 {
		t.Errorf("after joining: %q", list)
	}
	// An observer need not be there yet, and its address for clients stays as given.
	gone := "server.9=127.0.0.1:1:2:observer;0.0.0.0:3"
	list, version := r.reconfigure(reconfigBody(gone, "", "", first))
	if !strings.HasSuffix(list, gone) || version <= first {
		t.Errorf("after an observer: %q of %x, before %x", list, version, first)
	}
	r.want(wire.ErrBadVersion, wire.OpReconfig, reconfigBody("", "9", "", first))
	r.want(wire.ErrBadVersion, wire.OpReconfig, reconfigBody("", "9", "", version+1))
	list, _ = r.reconfigure(reconfigBody("", "9, 77", "", version))
	if strings.Contains(list, "server.9") {
		t.Errorf("after its leaving: %q", list)
	}
	// Neither need a voter, while the others are a majority without it.
	list, _ = r.reconfigure(reconfigBody("server.7=127.0.0.1:1:2", "", "", -1))
	if !strings.Contains(list, "server.7=127.0.0.1:1:2:participant") {
		t.Errorf("after a voter that is not there: %q", list)
	}
	r.reconfigure(reconfigBody("", "7", "", -1))
	// The whole list: without the leader, and with 4 as an observer.
	var whole []string
	for id, addr := range e.peers {
		_, port, _ := strings.Cut(addr, ":")
		if id < 4 && id != lead.ID() {
			whole = append(whole, fmt.Sprintf("server.%d=%s:%s", id, addr, port))
		}
	}
	whole = append(whole, strings.Replace(line, "participant", "observer", 1))
	list, _ = r.reconfigure(reconfigBody("", "", strings.Join(whole, ","), -1))
	if strings.Count(list, "participant") != 2 || !strings.Contains(list, whole[2]) {
		t.Errorf("after the whole list: %q, want %q", list, whole)
	}
	r.want(wire.OK, wire.OpCreate, createBody("/after", "", 0))
	// The leader of old goes on, without a vote and in no list, and comes back.
	testkit.Eventually(t, "it knows that it has no vote", func() bool { return !isMember(lead, lead.ID()) })
	ready(t, lead)
	connect(t, lead).want(wire.OK, wire.OpSetData, setBody("/after", "w", -1))
	if got := word(t, lead, "ruok") + word(t, lead, "isro"); got != "imokrw" || !strings.Contains(word(t, lead, "srvr"), "Mode: observer") {
		t.Errorf("a server without a vote: %q, %s", got, word(t, lead, "srvr"))
	}
	_, port, _ = strings.Cut(e.peers[lead.ID()], ":")
	list, _ = r.reconfigure(reconfigBody(fmt.Sprintf("server.%d=%s:%s", lead.ID(), e.peers[lead.ID()], port), "", "", -1))
	if strings.Count(list, "participant") != 3 {
		t.Errorf("after its coming back: %q", list)
	}
	ready(t, lead)
	connect(t, lead).want(wire.OK, wire.OpSetData, setBody("/after", "x", -1))
}

// A server that a client removes through it tells so, and goes on serving that client, which has it added again.
func TestReconfig_ThroughTheOneThatGoes(t *testing.T) {
	testkit.ChangesAddress(t)
	t.Parallel()
	e := newEnsemble(t, 3, withReconfig)
	for id, addr := range e.peers { // the leader too, when its turn comes
		srv, other := e.servers[id], e.servers[1+id%3]
		r := super(t, srv)
		list, _ := r.reconfigure(reconfigBody("", fmt.Sprint(id), "", -1))
		if strings.Count(list, "\n") != 1 || strings.Contains(list, fmt.Sprintf("server.%d=", id)) {
			t.Errorf("after the leaving of %d: %q", id, list)
		}
		testkit.Eventually(t, "all know", func() bool { return !isMember(srv, id) && !isMember(other, id) })
		r.want(wire.OK, wire.OpCreate, createBody(fmt.Sprint("/without-", id), "", 0))
		r.request(wire.OpPing, nil)
		r.reply(wire.XidPing)
		e.configuration(other, other.Members())
		_, port, _ := strings.Cut(addr, ":")
		list, _ = r.reconfigure(reconfigBody(fmt.Sprintf("server.%d=%s:%s", id, addr, port), "", "", -1))
		if strings.Count(list, "participant") != 3 {
			t.Errorf("after its coming back: %q", list)
		}
	}
}

func isMember(srv *server.Server, id uint64) bool {
	return slices.ContainsFunc(srv.Members(), func(m server.Member) bool { return m.ID == id })
}

// A server without a vote that stops is forgotten. Started again it waits, and can be added as it is, or is in nobody's
// way under another address.
func TestReconfig_Forgotten(t *testing.T) {
	testkit.ChangesAddress(t)
	t.Parallel()
	e := newEnsemble(t, 3, withReconfig)
	lead := e.leader()
	gone := e.servers[1+lead.ID()%3]
	r := super(t, lead)
	r.reconfigure(reconfigBody("", fmt.Sprint(gone.ID()), "", -1))
	testkit.Eventually(t, "it knows", func() bool { return !isMember(gone, gone.ID()) })
	if _, err := lead.RemoveMember(t.Context(), gone.ID()); err != nil { // at once, what stopping it does after a while
		t.Fatal(err)
	}
	testkit.Eventually(t, "it waits", func() bool { return len(gone.Members()) == 0 })
	if got := word(t, gone, "ruok") + word(t, gone, "isro"); got != "imoknull" {
		t.Errorf("a removed server: %q", got)
	}
	addr := e.peers[gone.ID()]
	_, port, _ := strings.Cut(addr, ":")
	list, _ := r.reconfigure(reconfigBody(fmt.Sprintf("server.%d=%s:%s", gone.ID(), addr, port), "", "", -1))
	if strings.Count(list, "participant") != 3 {
		t.Errorf("after its coming back: %q", list)
	}
	ready(t, gone)
	// Another server may have the place of one that was let go.
	r.reconfigure(reconfigBody("", fmt.Sprint(gone.ID()), "", -1))
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	list, _ = r.reconfigure(reconfigBody(fmt.Sprintf("server.9=%s:%s", addr, port), "", "", -1))
	if !strings.Contains(list, "server.9=") {
		t.Errorf("after another in its place: %q", list)
	}
}

func TestReconfig_Refusals(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, 3, withReconfig)
	r := super(t, e.servers[1])
	before := e.servers[1].Members()
	place := e.newcomer(5)
	for _, c := range []struct {
		what                    string
		joining, leaving, whole string
		version                 int64
		code                    wire.Code
	}{
		{"a version before the syntax", "nonsense", "", "", 99, wire.ErrBadVersion},
		{"no line", "nonsense", "", "", -1, wire.ErrBadArguments},
		{"no second port", "server.4=127.0.0.1:1", "", "", -1, wire.ErrBadArguments},
		{"a port that is none", "server.4=127.0.0.1:1:99999", "", "", -1, wire.ErrBadArguments},
		{"no number", "server.x=127.0.0.1:1:2", "", "", -1, wire.ErrBadArguments},
		{"an unknown role", "server.4=127.0.0.1:1:2:king", "", "", -1, wire.ErrBadArguments},
		{"twice the same", "server.4=127.0.0.1:1:2,server.4=127.0.0.1:3:4", "", "", -1, wire.ErrBadArguments},
		{"a member's address", "server.4=" + e.peers[2] + ":2", "", "", -1, wire.ErrBadArguments},
		{"leaving no number", "", "two", "", -1, wire.ErrBadArguments},
		{"everybody leaves", "", "1,2,3", "", -1, wire.ErrBadArguments},
		{"both ways", "", "1", "server.1=" + e.peers[1] + ":2", -1, wire.ErrBadArguments},
		{"another's place", "server.4=" + place.Addr + ":2", "", "", -1, wire.ErrNewConfigNoQuorum},
		{"too large a number", "server.255=127.0.0.1:1:2", "", "", -1, wire.ErrBadArguments},
	} {
		if code, _ := r.do(wire.OpReconfig, reconfigBody(c.joining, c.leaving, c.whole, c.version)); code != c.code {
			t.Errorf("%s: %v, want %v", c.what, code, c.code)
		}
	}
	r.want(wire.ErrMarshalling, wire.OpReconfig, []byte{0, 0, 0, 9})
	anybody := connect(t, e.servers[2])
	anybody.want(wire.ErrNoAuth, wire.OpReconfig, reconfigBody("", "3", "", -1))
	anybody.want(wire.ErrBadArguments, wire.OpReconfig, reconfigBody("", "x", "", -1))
	if after := e.servers[1].Members(); len(after) != len(before) {
		t.Errorf("members %v, were %v", after, before)
	}
	// Requests around a reconfiguration keep their places.
	r.request(wire.OpReconfig, reconfigBody("", "x", "", -1))
	read := r.request(wire.OpExists, watchBody("/", false))
	if h, _ := r.reply(read - 1); h.Err != wire.ErrBadArguments {
		t.Errorf("reconfig before a read: %v", h.Err)
	}
	r.reply(read)

	connect(t, start(t)).want(wire.ErrReconfigDisabled, wire.OpReconfig, reconfigBody("x", "", "", -1))
	alone := start(t, withReconfig)
	connect(t, alone).want(wire.ErrUnimplemented, wire.OpReconfig, reconfigBody("x", "", "", -1))
	if data, _ := connect(t, alone).getData("/zookeeper/config", false); data == nil || len(data) != 0 {
		t.Errorf("the configuration of a server of its own: %q", data)
	}
}
