package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// fsm stands between raft and the machine: it takes entries apart, lets each origin's batches through once and in order,
// gives the waiters back, and tells the rest of the replica how far it is. raft calls it from one goroutine.
type fsm struct {
	machine Machine
	out     *outbox
	closing context.Context
	onFail  func(error)
	onApply func(index, term uint64)  // after the newest of a group of entries
	onDisk  func(index uint64) error  // waits until all entries up to one are
	config  chan struct{}             // the members have changed
	formed  atomic.Pointer[formation] // by the newest entry applied that says so

	origins map[uint64]progress // replicated; by origin
	batches []Batch             // reused
	broken  error

	marks                    marks
	index, refused, restores atomic.Uint64
	bytes                    atomic.Int64 // applied since the last snapshot

	mu      sync.Mutex // guards waiting
	waiting []waiter
}

// formation is who belongs to the ensemble, by the entry of that index.
type formation struct {
	index   uint64
	servers []raft.Server
}

// progress is the last batch of an origin that was applied.
type progress struct{ incarnation, seq uint64 }

type waiter struct {
	index uint64
	ch    chan struct{}
}

func newFSM(closing context.Context, m Machine, out *outbox) *fsm {
	return &fsm{closing: closing, machine: m, out: out, origins: make(map[uint64]progress),
		config: make(chan struct{}, 1), onDisk: func(uint64) error { return nil }}
}

// Apply is there for raft.FSM; raft uses ApplyBatch.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies committed entries.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	if f.broken == nil {
		f.broken = f.onDisk(logs[len(logs)-1].Index)
	}
	for _, l := range logs {
		if l.Type == raft.LogConfiguration {
			f.formed.Store(&formation{l.Index, raft.DecodeConfiguration(l.Data).Servers})
			signal(f.config)
		}
		if l.Type == raft.LogCommand && f.broken == nil {
			if err := f.apply(l.Data); err != nil {
				// An entry that cannot be read must not be passed over: what follows would be applied to another state.
				f.fail(fmt.Errorf("entry %d: %w", l.Index, err))
				break
			}
			f.marks.note(mark{l.Index, f.machine.Digest()})
			f.bytes.Add(int64(len(l.Data)))
		}
	}
	if f.broken == nil {
		last := logs[len(logs)-1]
		f.reached(last.Index)
		f.onApply(last.Index, last.Term)
	}
	return make([]any, len(logs))
}

func (f *fsm) fail(err error) {
	f.broken = err
	f.onFail(err)
}

func (f *fsm) apply(entry []byte) error {
	now, rest, err := cutEntry(entry)
	if err != nil {
		return err
	}
	f.batches = f.batches[:0]
	for len(rest) > 0 {
		var p packet
		if p, rest, err = cutBatch(rest); err != nil {
			return err
		}
		if f.admit(p) {
			f.batches = append(f.batches, Batch{
				Origin: p.origin, N: p.count, cmds: p.cmds, Waiters: f.waiters(p),
			})
		}
	}
	if len(f.batches) > 0 {
		f.machine.Apply(now, f.batches)
		clear(f.batches) // drop the entry and the waiters
	}
	return nil
}

// admit lets a batch through if it is its origin's next. A repeated one is skipped, one behind a gap or from an earlier
// life of the origin refused; all members decide alike, for what they decide by is replicated.
func (f *fsm) admit(p packet) bool {
	done := f.origins[p.origin]
	next := progress{p.incarnation, done.seq + 1}
	if p.incarnation > done.incarnation {
		next.seq = 1
	}
	if p.incarnation < done.incarnation || p.seq != next.seq {
		f.refused.Add(1)
		if p.origin == f.out.id && p.incarnation == f.out.incarnation && p.seq > next.seq {
			signal(f.out.again)
		}
		return false
	}
	f.origins[p.origin] = next
	return true
}

func (f *fsm) waiters(p packet) []any {
	if p.origin != f.out.id {
		return nil
	}
	return f.out.applied(p.incarnation, p.seq)
}

// reached notes how far the machine is, and wakes those who wait for it.
func (f *fsm) reached(index uint64) {
	f.index.Store(index)
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.waiting[:0]
	for _, w := range f.waiting {
		if w.index <= index {
			close(w.ch)
		} else {
			kept = append(kept, w)
		}
	}
	clear(f.waiting[len(kept):])
	f.waiting = kept
}

// at returns a channel that is closed once the entry of that index is applied.
func (f *fsm) at(index uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan struct{})
	if f.index.Load() >= index {
		close(ch)
	} else {
		f.waiting = append(f.waiting, waiter{index, ch})
	}
	return ch
}

// A snapshot is our own header and what the machine writes:
//
//	0 magic · 8 index of the last entry applied · 16 number of origins · 20 origin, incarnation, seq of each · machine
const (
	snapshotMagic = "docentS1"
	maxOrigins    = 1 << 20
)

// Snapshot notes the state; Persist writes it.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	write, err := f.machine.Snapshot()
	if err != nil {
		return nil, err
	}
	head := append([]byte(nil), snapshotMagic...)
	head = binary.LittleEndian.AppendUint64(head, f.index.Load())
	head = binary.LittleEndian.AppendUint32(head, uint32(len(f.origins)))
	for _, id := range slices.Sorted(maps.Keys(f.origins)) { // the same bytes on every member
		p := f.origins[id]
		head = binary.LittleEndian.AppendUint64(head, id)
		head = binary.LittleEndian.AppendUint64(head, p.incarnation)
		head = binary.LittleEndian.AppendUint64(head, p.seq)
	}
	f.bytes.Store(0)
	return &image{head: head, write: write, closing: f.closing, onFail: f.onFail}, nil
}

type image struct {
	head    []byte
	write   func(io.Writer) error
	closing context.Context
	onFail  func(error)
}

// abortable ends a long snapshot when the replica closes.
type abortable struct {
	io.Writer
	closing context.Context
}

func (a abortable) Write(b []byte) (int, error) {
	if a.closing.Err() != nil {
		return 0, ErrClosed
	}
	return a.Writer.Write(b)
}

// Persist writes the snapshot; raft closes or cancels the sink.
func (s *image) Persist(sink raft.SnapshotSink) error {
	w := bufio.NewWriterSize(abortable{sink, s.closing}, 256<<10)
	if _, err := w.Write(s.head); err != nil {
		return err
	}
	if err := s.write(w); err != nil {
		if errors.Is(err, ErrDiffers) {
			s.onFail(err)
		}
		return err
	}
	return w.Flush()
}

// Release is there for raft.FSMSnapshot.
func (s *image) Release() {}

// Restore replaces the state. What it already holds of our own batches is dropped from the outbox: their waiters never hear
// of it. The others must be sent again, to be sure.
func (f *fsm) Restore(rc io.ReadCloser) error {
	err := f.restore(bufio.NewReaderSize(rc, 256<<10))
	if err != nil {
		err = fmt.Errorf("restore snapshot: %w", err)
		f.fail(err) // what is in memory now is neither the old state nor the new
	}
	return errors.Join(err, rc.Close())
}

// readHead reads a snapshot's header.
func readHead(r io.Reader) (index uint64, origins map[uint64]progress, err error) {
	head := make([]byte, 20)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[16:])
	if string(head[:8]) != snapshotMagic || n > maxOrigins {
		return 0, nil, fmt.Errorf("snapshot header: %w", errMalformed)
	}
	origins = make(map[uint64]progress)
	row := make([]byte, 24)
	for range n {
		if _, err := io.ReadFull(r, row); err != nil {
			return 0, nil, err
		}
		origins[binary.LittleEndian.Uint64(row)] = progress{
			binary.LittleEndian.Uint64(row[8:]), binary.LittleEndian.Uint64(row[16:]),
		}
	}
	return binary.LittleEndian.Uint64(head[8:]), origins, nil
}

func (f *fsm) restore(r io.Reader) error {
	index, origins, err := readHead(r)
	if err != nil {
		return err
	}
	if err := f.machine.Restore(r); err != nil {
		return err
	}
	f.origins, f.broken = origins, nil
	own := origins[f.out.id]
	f.out.applied(own.incarnation, own.seq)
	signal(f.out.again)
	f.bytes.Store(0)
	f.marks.reset()
	f.marks.note(mark{index, f.machine.Digest()})
	f.restores.Add(1)
	f.reached(index)
	return nil
}
