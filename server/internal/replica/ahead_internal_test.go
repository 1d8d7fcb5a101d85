package replica

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/docent-io/docent/server/internal/storage"
)

// slowLog is a log whose writes wait until they are let, one by one.
type slowLog struct {
	storage.Log
	began chan []uint64 // what is being written
	let   chan error
}

func newSlowLog() *slowLog {
	return &slowLog{Log: storage.Memory(1).Log(), began: make(chan []uint64, 10), let: make(chan error, 10)}
}

func (l *slowLog) StoreLogs(entries []*raft.Log) error {
	var list []uint64
	for _, e := range entries {
		list = append(list, e.Index)
	}
	l.began <- list
	if err := <-l.let; err != nil {
		return err
	}
	return l.Log.StoreLogs(entries)
}

// next is what is written next.
func (l *slowLog) next(t *testing.T) []uint64 {
	t.Helper()
	select {
	case list := <-l.began:
		return list
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is written")
		return nil
	}
}

func slowAhead(leads bool) (*ahead, *slowLog) {
	log := newSlowLog()
	a := newAhead(log)
	a.leads, a.stored, a.onFail = func() bool { return leads }, func() {}, func(error) {}
	return a, log
}

func entriesOf(kind raft.LogType, from, to uint64) (list []*raft.Log) {
	for i := from; i <= to; i++ {
		list = append(list, &raft.Log{Index: i, Term: 2, Type: kind})
	}
	return list
}

func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func finishes(t *testing.T, what string, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// A leader's commands are in the log at once, and count as stored when they are; those that come meanwhile are written together.
func TestAhead(t *testing.T) {
	a, log := slowAhead(true)
	told := make(chan uint64, 10)
	a.stored = func() { told <- a.limit(100) }
	if err := a.StoreLogs(entriesOf(raft.LogCommand, 1, 2)); err != nil {
		t.Fatal(err)
	}
	if last, err := a.LastIndex(); last != 2 || err != nil {
		t.Fatalf("last is %d, %v", last, err)
	}
	var e raft.Log
	if err := a.GetLog(2, &e); err != nil || e.Index != 2 || e.Term != 2 {
		t.Fatalf("entry 2 is %+v, %v", e, err)
	}
	if a.holds(1) || a.limit(9) != 0 {
		t.Fatal("entries count as stored before they are")
	}
	first := start(func() error { return a.write(1) })
	if got := log.next(t); !slices.Equal(got, []uint64{1, 2}) {
		t.Fatalf("%d are written", got)
	}
	second := start(func() error { return a.write(2) }) // asks for no more than is being written
	for i := uint64(3); i <= 5; i++ {
		if err := a.StoreLog(entriesOf(raft.LogCommand, i, i)[0]); err != nil {
			t.Fatal(err)
		}
	}
	log.let <- nil
	finishes(t, "the first write", first)
	finishes(t, "waiting for it", second)
	if !a.holds(2) || a.holds(3) || a.limit(9) != 2 || <-told != 2 {
		t.Fatalf("up to %d are stored, want 2", a.limit(9))
	}
	last := start(func() error { return a.write(5) })
	if got := log.next(t); !slices.Equal(got, []uint64{3, 4, 5}) {
		t.Fatalf("%d are written", got)
	}
	log.let <- nil
	finishes(t, "the second write", last)
	if !a.holds(100) || a.limit(9) != 9 {
		t.Fatal("not all count as stored")
	}
	if err := a.GetLog(5, &e); err != nil || e.Index != 5 {
		t.Fatalf("entry 5 is %+v, %v", e, err)
	}
}

// What raft acts upon itself is stored when StoreLogs returns, with all before it; so is everything at a follower, and where
// nobody else votes. And nothing is deleted that is being written.
func TestAhead_InOrder(t *testing.T) {
	for _, kind := range []raft.LogType{raft.LogNoop, raft.LogConfiguration, raft.LogBarrier} {
		a, log := slowAhead(true)
		if err := a.StoreLogs(entriesOf(raft.LogCommand, 1, 2)); err != nil {
			t.Fatal(err)
		}
		done := start(func() error { return a.StoreLogs(append(entriesOf(raft.LogCommand, 3, 3), entriesOf(kind, 4, 4)...)) })
		for _, want := range [][]uint64{{1, 2}, {3, 4}} {
			if got := log.next(t); !slices.Equal(got, want) {
				t.Fatalf("%v: %d are written, want %d", kind, got, want)
			}
			select {
			case <-done:
				t.Fatalf("%v: stored before it is written", kind)
			default:
			}
			log.let <- nil
		}
		finishes(t, kind.String(), done)
	}
	a, log := slowAhead(false)
	done := start(func() error { return a.StoreLogs(entriesOf(raft.LogCommand, 1, 3)) })
	log.next(t)
	if len(done) > 0 {
		t.Fatal("a follower's entry is stored before it is written")
	}
	log.let <- nil
	finishes(t, "a follower's entry", done)
	a.leads = func() bool { return true }
	if err := a.StoreLogs(entriesOf(raft.LogCommand, 4, 5)); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteRange(1, 2); err != nil { // what was stored long ago
		t.Fatal(err)
	}
	done = start(func() error { return a.DeleteRange(5, 5) })
	log.next(t)
	log.let <- nil
	finishes(t, "deleting the newest", done)
	if last, err := a.LastIndex(); last != 4 || err != nil {
		t.Fatalf("last is %d, %v", last, err)
	}
}

// An error of the disk is told, and what was ahead never counts as stored.
func TestAhead_Fails(t *testing.T) {
	a, log := slowAhead(true)
	var failed error
	a.onFail = func(err error) { failed = err }
	if err := a.StoreLogs(entriesOf(raft.LogCommand, 1, 1)); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space")
	log.let <- full
	if err := a.write(1); !errors.Is(err, full) || !errors.Is(failed, full) {
		t.Fatalf("wait says %v, and the replica is told %v", err, failed)
	}
	if a.holds(1) {
		t.Fatal("it counts as stored")
	}
}
