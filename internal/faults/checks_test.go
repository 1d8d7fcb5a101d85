//go:build linux

package faults

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// Each check is shown what is right, and then what can be wrong with it. Those of package history are tried there.

func expect(t *testing.T, name string, err error, wrong string) {
	t.Helper()
	if got := errors.Join(err); (got == nil) != (wrong == "") || got != nil && !strings.Contains(got.Error(), wrong) {
		t.Errorf("%s: found %v, want %q", name, got, wrong)
	}
}

func TestWhole(t *testing.T) {
	expect(t, "right", whole([accounts]int{capital + 5, -5}), "")
	expect(t, "half a transfer", whole([accounts]int{capital - 5}), "together")
}

func TestWatched(t *testing.T) {
	at, later := client.Node{Path: "/b", Stat: client.Stat{Mzxid: 7}}, client.Node{Path: "/b", Stat: client.Stat{Mzxid: 9}}
	ev := client.Event{Type: client.EventDataChanged, Path: "/b", Zxid: 9}
	expect(t, "fired", watched(1, at, later, ev, true, false), "")
	expect(t, "nothing happened", watched(1, at, at, client.Event{}, false, true), "")
	expect(t, "the session ended", watched(1, at, later, client.Event{}, false, false), "")
	expect(t, "lost", watched(1, at, later, client.Event{}, false, true), "has not fired")
	expect(t, "invented", watched(1, at, at, ev, true, false), "it is as it was")
	expect(t, "of another node", watched(1, at, later, client.Event{Type: client.EventDataChanged, Path: "/c"}, true, false), "has fired for")
}

func TestInOrder(t *testing.T) {
	expect(t, "right", inOrder("m", []fenced{{3, 20}, {1, 10}, {2, 10}, {5, 30}}), "")
	expect(t, "late", inOrder("m", []fenced{{1, 10}, {2, 20}, {3, 10}}), "version 3 was written with token 10, behind 20")
	expect(t, "two at once", inOrder("m", []fenced{{1, 10}, {1, 20}}), "written twice")
}

func TestEqual(t *testing.T) {
	for name, c := range map[string]struct {
		digests map[int]string
		same    bool
		wrong   string
	}{
		"right":     {map[int]string{1: "a: 1", 2: "a: 1", 3: "a: 1"}, true, ""},
		"one lags":  {map[int]string{1: "a: 1", 2: "a: 1", 3: "9: 7"}, false, ""},
		"one is up": {map[int]string{1: "a: 1", 2: "a: 1", 3: "server 3: refused"}, false, ""},
		"differ":    {map[int]string{1: "a: 1", 2: "a: 2", 3: "a: 1"}, false, "trees differ"},
	} {
		same, err := equal(c.digests)
		expect(t, name, err, c.wrong)
		if same != c.same {
			t.Errorf("%s: same is %v", name, same)
		}
	}
}

func TestWithin(t *testing.T) {
	p := draw(1, time.Second)
	before := usage{goroutines: 50, descriptors: 20}
	expect(t, "right", usage{60, 25, 10 << 20, 10 << 20}.within(before, p), "")
	expect(t, "goroutines", usage{before.goroutines + moreGoroutines + 1, 25, 0, 0}.within(before, p), "goroutines are left")
	expect(t, "descriptors", usage{60, before.descriptors + moreDescriptors + 1, 0, 0}.within(before, p), "descriptors are left")
	expect(t, "heap", usage{60, 25, mostHeap + 1, 0}.within(before, p), "heap")
	expect(t, "folder", usage{60, 25, 0, mostDisk + 7*int64(p.snapshots)}.within(before, p), "folder")
}

func TestPulse(t *testing.T) {
	var p pulse
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, s := range []int{10, 11, 14, 15} {
		p.add(beat{at(s), at(s)})
	}
	if got := p.gap(at(9), at(16)); got != 3*time.Second {
		t.Errorf("longest gap is %v", got)
	}
	if got := p.gap(at(14), at(30)); got != 15*time.Second {
		t.Errorf("longest gap up to the end is %v", got)
	}
	if err := p.after(t.Context(), at(15)); err != nil {
		t.Error(err)
	}
}

// A seed's line says whether it counts.
func TestResult(t *testing.T) {
	r := result{plan: draw(1, 10*time.Second), acked: 999}
	if got := r.String(); !strings.HasPrefix(got, "1 thin ") {
		t.Errorf("99.9 requests a second: %s", got)
	}
	if r.acked++; r.word() != "ok" {
		t.Errorf("100 requests a second: %s", r.word())
	}
	if r.wrong = append(r.wrong, errors.New("x")); r.word() != "FAILED" {
		t.Errorf("with something wrong: %s", r.word())
	}
}
