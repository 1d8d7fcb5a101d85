package replica_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/docent-io/docent/server/internal/replica"
)

func packet(origin, incarnation, seq uint64, cmds ...[]byte) replica.Packet {
	return replica.Packet{Origin: origin, Incarnation: incarnation, Seq: seq, Cmds: cmds}
}

func TestEachBatchIsAppliedOnceAndInOrder(t *testing.T) {
	m := newCounters()
	f := replica.NewFSM(m, 1, 5)
	for i, step := range []struct {
		what    string
		p       replica.Packet
		applied bool
	}{
		{"a stranger that does not begin at 1", packet(2, 1, 2, command(2, 9)), false},
		{"the first", packet(2, 1, 1, command(2, 1)), true},
		{"the first again", packet(2, 1, 1, command(2, 1)), false},
		{"the next", packet(2, 1, 2, command(2, 2), command(2, 3)), true},
		{"behind a gap", packet(2, 1, 4, command(2, 5)), false},
		{"another origin", packet(3, 9, 1, command(3, 1)), true},
		{"what was missing", packet(2, 1, 3, command(2, 4)), true},
		{"restarted, not from 1", packet(2, 2, 5, command(2, 6)), false},
		{"the old life goes on meanwhile", packet(2, 1, 4, command(2, 5)), true},
		{"restarted", packet(2, 2, 1, command(2, 6)), true},
		{"late from the old life", packet(2, 1, 5, command(2, 7)), false},
		{"late and repeated from the old life", packet(2, 1, 1, command(2, 1)), false},
	} {
		before := f.Refused()
		f.Apply(uint64(i+1), replica.Entry(0, step.p))
		if applied := f.Refused() == before; applied != step.applied {
			t.Errorf("%s: applied = %v, want %v", step.what, applied, step.applied)
		}
	}
	if want := (map[uint64]uint64{2: 6, 3: 1}); !maps.Equal(m.state(), want) || len(m.wrong) > 0 {
		t.Errorf("state = %v, want %v; %v", m.state(), want, m.wrong)
	}
}

func TestTheTableOfOriginsIsInTheSnapshot(t *testing.T) {
	f := replica.NewFSM(newCounters(), 1, 5)
	f.Apply(1, replica.Entry(0, packet(2, 1, 1, command(2, 1)), packet(3, 4, 1, command(3, 1))))
	img, err := f.Image()
	if err != nil {
		t.Fatal(err)
	}
	m := newCounters()
	g := replica.NewFSM(m, 9, 1)
	if err := g.Load(img); err != nil {
		t.Fatal(err)
	}
	g.Apply(2, replica.Entry(0, packet(2, 1, 1, command(2, 1)), packet(3, 4, 2, command(3, 2))))
	if want := (map[uint64]uint64{2: 1, 3: 2}); !maps.Equal(m.state(), want) || len(m.wrong) > 0 {
		t.Errorf("state = %v, want %v; %v", m.state(), want, m.wrong)
	}
	for cut := range img[:20+2*24] {
		if err := replica.NewFSM(newCounters(), 1, 1).Load(img[:cut]); err == nil {
			t.Errorf("a snapshot cut at byte %d was accepted", cut)
		}
	}
}

func TestWaitersComeBackOnlyToTheirOwnLife(t *testing.T) {
	f := replica.NewFSM(newCounters(), 1, 5)
	w := make([]chan struct{}, 6)
	frames := make([][]byte, 6)
	for i := range w {
		w[i] = make(chan struct{})
		f.Propose(w[i], command(1, uint64(i+1)))
		frames[i] = f.Seal()
	}
	for i, frame := range frames[:4] {
		if frame == nil {
			t.Fatalf("batch %d was not made", i+1)
		}
	}
	if frames[4] != nil {
		t.Error("more batches in flight than allowed")
	}
	done := func(i int) bool {
		select {
		case <-w[i]:
			return true
		default:
			return false
		}
	}
	f.Apply(1, replica.EntryOf(frames[1])) // a gap: the first got lost
	if done(1) || !f.Again() {
		t.Error("a batch behind a gap was applied, or is not sent again")
	}
	f.Apply(2, replica.EntryOf(frames[0], frames[1], frames[0]))
	if !done(0) || !done(1) || done(2) {
		t.Error("waiters of the first two batches, and only they, must be done")
	}
	// The others come inside a snapshot: nobody answers for them, and they are not sent again.
	other := replica.NewFSM(newCounters(), 2, 1)
	other.Apply(2, replica.EntryOf(frames[:3]...))
	img, err := other.Image()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Load(img); err != nil {
		t.Fatal(err)
	}
	if done(2) || !f.Again() {
		t.Error("a waiter inside a snapshot was answered, or the rest is not sent again")
	}
	f.Apply(9, replica.EntryOf(frames[3]))
	if done(2) || !done(3) {
		t.Error("the batch behind the snapshot must be the next done")
	}
	if f.Seal() == nil {
		t.Error("there is room for another batch, but it is not made")
	}
}

func TestMalformedEntriesStopTheMachine(t *testing.T) {
	good := replica.Entry(0, packet(2, 1, 1, command(2, 1)))
	for cut := range good {
		if cut == 9 {
			continue // an entry without batches, as a new leader writes
		}
		m := newCounters()
		f := replica.NewFSM(m, 1, 1)
		f.Apply(1, good[:cut])
		if f.Failed == nil {
			t.Errorf("an entry cut at byte %d was accepted", cut)
		}
		f.Apply(2, good)
		if len(m.state()) != 0 {
			t.Errorf("cut at byte %d: the machine went on", cut)
		}
		if _, err := f.Image(); err == nil {
			t.Errorf("cut at byte %d: a snapshot was taken", cut)
		}
	}
	f := replica.NewFSM(newCounters(), 1, 1)
	f.Apply(1, append([]byte{2}, good[1:]...))
	if f.Failed == nil {
		t.Error("an entry of an unknown version was accepted")
	}
}

func TestCommandsLargeAndSmall(t *testing.T) {
	f := replica.NewFSM(newCounters(), 1, 1)
	if err := f.Propose(nil, make([]byte, replica.MaxCommand+1)); err != replica.ErrTooLarge {
		t.Errorf("a command too large: %v", err)
	}
	for _, n := range []int{0, 1, 200 << 10, 200 << 10, replica.MaxCommand} {
		if err := f.Propose(nil, make([]byte, n)); err != nil {
			t.Error(err)
		}
	}
	var sizes []int
	for b := f.Seal(); b != nil; b = f.Seal() {
		sizes = append(sizes, len(b)>>10)
	}
	if got := fmt.Sprint(sizes); got != "[200 200 8192]" {
		t.Errorf("batches of %s KiB, want a cut at 256", got)
	}
}

func FuzzPeerBytes(f *testing.F) {
	f.Add([]byte("docent\x01c0123456789012345"))
	f.Add(replica.Entry(1, packet(2, 1, 1, command(2, 1))))
	f.Add(append([]byte{48, 0, 0, 0}, replica.Entry(1, packet(2, 1, 1, command(2, 1)))[9:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		replica.DecodePeerBytes(b, 2)
		x := replica.NewFSM(nobody{newCounters()}, 1, 1)
		x.Apply(1, b)
		x.Load(b)
	})
}

// nobody takes any command.
type nobody struct{ *counters }

func (nobody) Apply(_ int64, batches []replica.Batch) {
	for _, b := range batches {
		n := 0
		for range b.Commands() {
			n++
		}
		if n != b.N {
			panic("commands lost")
		}
	}
}
