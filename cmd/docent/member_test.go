//go:build unix

package main_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
)

// newcomer prepares a server that waits to be added under a number, at the addresses given, with an empty folder.
func newcomer(t testing.TB, id int, addr, peer string, flags ...string) *member {
	args := append([]string{"serve", "--id", fmt.Sprint(id), "--data", t.TempDir(), "--listen", addr,
		"--join", "--peers", fmt.Sprintf("%d=%s", id, peer), "--4lw-whitelist", "*"}, flags...)
	return &member{t: t, name: fmt.Sprint("newcomer ", id), addr: addr, peer: peer, args: args}
}

// waits waits until it says that it waits to be added.
func (m *member) waits() {
	m.t.Helper()
	if _, _, err := m.stdout.await(0, "docent: waiting to be added as member "); err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
}

// TestMember_ReplaceLostDisk loses the data folder of a member for good, and goes through what the guide for operators
// says: remove it, and add it anew with an empty folder. Clients write all the time.
func TestMember_ReplaceLostDisk(t *testing.T) {
	t.Parallel()
	admin := freeAddrs(t, 1)[0]
	e := members(t, 3, "--snapshot-bytes", "262144")
	e[0].args = append(e[0].args, "--admin-listen", admin)
	for _, m := range e {
		m.start()
	}
	for _, m := range e {
		m.ready()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	acks := newAcks()
	w := startWriters(ctx, t, e, acks, fail)
	acks.more(ctx, t, 2000)

	lost := e[2]
	lost.kill()
	acks.more(ctx, t, 200)
	mustVerb(t, "2  "+e[1].peer, "member", "remove", "--admin", admin, "3")
	fresh := newcomer(t, 3, lost.addr, lost.peer)
	fresh.start()
	fresh.waits()
	mustVerb(t, "3  "+fresh.peer+"  voter", "member", "add", "3", fresh.peer, "--admin", admin)
	fresh.ready()
	acks.more(ctx, t, 200)
	if _, err := dial(t, 10*time.Second, fresh.addr).Create(ctx, "/through-the-new-one", nil); err != nil {
		t.Fatal(err)
	}
	// It counts now: with it, the ensemble does without another.
	e[1].kill()
	acks.more(ctx, t, 200)
	e[1].start()
	e[1].ready()
	// And it is a member for good: the flags of its first start do no harm.
	fresh.kill()
	fresh.start()
	fresh.ready()
	journals := w.stop()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	e[2] = fresh
	for _, m := range e {
		verifyThrough(ctx, t, m, journals)
	}
	e.sameTrees(t)
}

func TestMember_Verb(t *testing.T) {
	t.Parallel()
	addrs := freeAddrs(t, 5)
	admin := addrs[0]
	e := members(t, 3)
	e[1].args = append(e[1].args, "--admin-listen", admin)
	for _, m := range e {
		m.start()
	}
	for _, m := range e {
		m.ready()
	}
	list := func(args ...string) []string { return append([]string{"member", "--admin", admin}, args...) }
	fourth := newcomer(t, 4, addrs[1], addrs[2])
	failsVerb(t, 1, "no server waits to be added as member 4", list("add", "4", fourth.peer)...)
	fourth.start()
	fourth.waits()
	failsVerb(t, 1, "no server waits to be added as member 5", list("add", "5", fourth.peer)...)
	failsVerb(t, 1, "is member 1's", list("add", "4", e[0].peer)...)
	failsVerb(t, 1, "there already", list("add", "2", fourth.peer)...)
	failsVerb(t, 1, "no such member", list("remove", "9")...)
	failsVerb(t, 1, "no such member", list("transfer", "9")...)
	mustVerb(t, "4  "+fourth.peer+"  observer", list("add", "--observer", "4", fourth.peer)...)
	fourth.ready()
	if got, err := fourth.ask("srvr"); err != nil || !strings.Contains(got, "Mode: observer") {
		t.Errorf("srvr of the observer: %s, %v", got, err)
	}
	failsVerb(t, 1, "observer", list("transfer", "4")...)
	mustVerb(t, "4  "+fourth.peer+"  voter", list("add", "4", fourth.peer)...)
	mustVerb(t, "4  "+fourth.peer+"  leader", list("transfer", "4")...)
	mustVerb(t, "leader", list("list")...)
	mustVerb(t, "3  "+e[2].peer, list("remove", "4")...)
	if code := fourth.exit(); code != 1 || !strings.Contains(fourth.stderr.String(), "docent serve: removed from the ensemble") {
		t.Errorf("the member removed ended with %d: %s", code, fourth.stderr)
	}
	// Started again, it learns the same.
	fourth.start()
	if code := fourth.exit(); code != 1 || !strings.Contains(fourth.stderr.String(), "removed from the ensemble") {
		t.Errorf("started again, the member removed ended with %d: %s", code, fourth.stderr)
	}
	e[2].kill()
	failsVerb(t, 1, "no majority", list("remove", "1")...)

	for _, c := range []struct{ want, args string }{
		{"want add, list, remove or transfer", ""}, {"want add, list", "dance"}, {"PEERHOST:PEERPORT is missing", "add 4"}, {"unexpected argument", "list 4"},
		{"1 to 254", "remove x"}, {"1 to 254", "remove 255"}, {"HOST:PORT", "add 4 nowhere"}, {"unknown flag", "remove 4 --observer"},
		{"--admin is missing", "remove 4"}, {"unknown flag", "list --loud"},
	} {
		failsVerb(t, 64, c.want, append([]string{"member"}, strings.Fields(c.args)...)...)
	}
	mustVerb(t, "usage: docent member VERB", "member", "--help")
}

// Observers may be there from the first start on, named by a flag or a zoo.cfg.
func TestServe_ObserverFlag(t *testing.T) {
	t.Parallel()
	addrs := freeAddrs(t, 4)
	peers := fmt.Sprintf("1=%s,2=%s:observer", addrs[2], addrs[3])
	var e ensemble
	for i := range 2 {
		m := &member{t: t, name: fmt.Sprint("member ", i+1), addr: addrs[i], args: []string{"serve", "--id", fmt.Sprint(i + 1),
			"--data", t.TempDir(), "--listen", addrs[i], "--peers", peers, "--4lw-whitelist", "*"}}
		m.start()
		e = append(e, m)
	}
	for i, mode := range []string{"leader", "observer"} {
		e[i].ready()
		if got, err := e[i].ask("srvr"); err != nil || !strings.Contains(got, "Mode: "+mode) {
			t.Errorf("member %d: %s, %v", i+1, got, err)
		}
	}
	failsVerb(t, 2, "nobody votes", "serve", "--id", "1", "--data", t.TempDir(), "--peers", "1=127.0.0.1:1:observer")
	failsVerb(t, 2, "needs its own peer address", "serve", "--data", t.TempDir(), "--join")
}

// A member's folder knows who belongs to the ensemble: later starts need no --peers, and other ones are only a warning. A
// folder that was lost is not made up for by an empty one.
func TestMember_FolderKnows(t *testing.T) {
	t.Parallel()
	e := members(t, 3)
	for _, m := range e {
		m.start()
	}
	for _, m := range e {
		m.ready()
	}
	third := e[2]
	with := third.args
	third.kill()
	third.args = without(with, "--peers")
	third.start()
	third.ready()
	if got, err := third.ask("srvr"); err != nil || strings.Contains(got, "standalone") {
		t.Errorf("a member started without --peers: %s, %v", got, err)
	}
	third.kill()
	third.args = append(without(with, "--peers"), "--peers", fmt.Sprintf("1=127.0.0.1:1,2=%s,3=%s", e[1].peer, third.peer))
	third.start()
	third.ready()
	testkit.Eventually(t, "it says that its --peers are others", func() bool {
		got := third.stderr.String()
		return strings.Contains(got, "differs from the members in the data folder") && strings.Contains(got, e[0].peer)
	})
	third.kill()
	third.args = append(without(with, "--data"), "--data", t.TempDir())
	third.start()
	if code := third.exit(); code != 1 || !strings.Contains(third.stderr.String(), "know this one with another data folder") {
		t.Errorf("a member with an empty folder ended with %d: %s", code, third.stderr)
	}
}

// without returns args less a flag and its value.
func without(args []string, flag string) []string {
	i := slices.Index(args, flag)
	return slices.Concat(args[:i], args[i+2:])
}
