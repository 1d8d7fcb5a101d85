package replica

import (
	"bufio"
	"bytes"
	"context"
	"testing"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/hashicorp/raft"
)

// FSM is the machine's front, alone.
type FSM struct {
	f      *fsm
	out    *outbox
	Failed error
}

func NewFSM(m Machine, id, incarnation uint64) *FSM {
	out := newOutbox(id, incarnation)
	x := &FSM{f: newFSM(context.Background(), m, out), out: out}
	x.f.onFail = func(err error) { x.Failed = err }
	x.f.onApply = func(uint64, uint64) {}
	return x
}

// Packet is a batch with the identity it travels under.
type Packet struct {
	Origin, Incarnation, Seq uint64
	Cmds                     [][]byte
}

func (p Packet) encode(b []byte) []byte {
	q := packet{origin: p.Origin, incarnation: p.Incarnation, seq: p.Seq, count: len(p.Cmds)}
	for _, c := range p.Cmds {
		q.cmds = appendCommand(q.cmds, c)
	}
	return appendBatch(b, q)
}

func Entry(now int64, ps ...Packet) []byte {
	b := appendEntryHeader(nil, now)
	for _, p := range ps {
		b = p.encode(b)
	}
	return b
}

// Apply applies one entry.
func (x *FSM) Apply(index uint64, data []byte) {
	x.f.ApplyBatch([]*raft.Log{{Index: index, Term: 1, Type: raft.LogCommand, Data: data}})
}

// Refused counts what was not let through.
func (x *FSM) Refused() uint64 { return x.f.refused.Load() }

// Again tells whether the outbox was told to send again, and forgets it.
func (x *FSM) Again() bool {
	select {
	case <-x.out.again:
		return true
	default:
		return false
	}
}

// Propose puts a command into the outbox, and Seal makes what is there a batch.
func (x *FSM) Propose(w any, cmd []byte) error { return x.out.propose(w, cmd) }

func (x *FSM) Seal() []byte {
	s := x.out.next(x.out.seq)
	if s == nil {
		return nil
	}
	return s.frame[batchPrefix:]
}

func appendBatch(b []byte, p packet) []byte {
	start := len(b)
	b = append(append(b, make([]byte, batchHeader)...), p.cmds...)
	putBatch(b[start:], p)
	return b
}

// EntryOf makes an entry of sealed batches.
func EntryOf(frames ...[]byte) []byte {
	return append(appendEntryHeader(nil, 0), bytes.Join(frames, nil)...)
}

type sink struct{ bytes.Buffer }

func (*sink) ID() string    { return "" }
func (*sink) Cancel() error { return nil }
func (*sink) Close() error  { return nil }

// Image is a snapshot's bytes.
func (x *FSM) Image() ([]byte, error) {
	s, err := x.f.Snapshot()
	if err != nil {
		return nil, err
	}
	defer s.Release()
	var b sink
	err = s.Persist(&b)
	return b.Bytes(), err
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// Load restores an image.
func (x *FSM) Load(b []byte) error { return x.f.Restore(nopCloser{bytes.NewReader(b)}) }

// DecodePeerBytes runs all decoders of what a peer may send.
func DecodePeerBytes(b []byte, from uint64) {
	readHello(bytes.NewReader(b))
	readFrame(bufio.NewReader(bytes.NewReader(b)))
	readBatch(bufio.NewReader(bytes.NewReader(b)), from)
	parseStatus(b)
	parseMark(b)
	readReply(b)
}

// ReencodeEntry takes an entry apart and puts it together again.
func ReencodeEntry(b []byte) ([]byte, error) {
	now, rest, err := cutEntry(b)
	out := appendEntryHeader(nil, now)
	for err == nil && len(rest) > 0 {
		var p packet
		if p, rest, err = cutBatch(rest); err == nil {
			out = appendBatch(out, p)
		}
	}
	return out, err
}

// Mark returns the index and the digest that the member has noted for an index.
func (x *FSM) Mark(index uint64) (uint64, Digest, bool) {
	m, ok := x.f.marks.at(index)
	return m.index, m.digest, ok
}

// MaxMarks is how many are kept.
const MaxMarks = maxMarks

// Judge returns the verdict on self as a word.
func Judge(self, leader uint64, voters []uint64, have map[uint64]Digest) string {
	return [...]string{"right", "unsettled", "odd", "wrong"}[judge(self, leader, voters, have)]
}

// Knows tells whether the member remembers another's store.
func (r *Replica) Knows(member uint64) bool { return r.births.of(member) != 0 }

// Retired counts the retired members.
func (r *Replica) Retired() int { return len(r.members.Load().retired) }

// Early passes a request to a member as the transport does, and returns the commit index it then carries.
func (r *Replica) Early(to uint64, req raft.AppendEntriesRequest) uint64 {
	r.early(serverID(to), &req)
	return req.LeaderCommitIndex
}

// Outvoted makes the member a candidate that hears another leader of the same term, once, and no vote.
func (r *Replica) Outvoted(t testing.TB, leader uint64, addr string) {
	t.Helper()
	term := r.raft.CurrentTerm()
	r.stand(term)
	testkit.Eventually(t, "it stands", func() bool { return r.raft.State() == raft.Candidate && r.raft.CurrentTerm() > term })
	done := make(chan raft.RPCResponse, 1)
	r.transport.(network).sieved <- raft.RPC{RespChan: done, Command: &raft.AppendEntriesRequest{Term: term + 1, RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID(leader)), Addr: []byte(addr),
	}}}
	if a := <-done; a.Error != nil || !a.Response.(*raft.AppendEntriesResponse).Success || r.raft.State() != raft.Candidate {
		t.Fatalf("the leader is not heard: %+v, %v", a, r.raft.State())
	}
}

// Told is whether that member has said that this one is none.
func (r *Replica) Told(by uint64) bool { return r.members.Load().others[by].link.removed.Load() != 0 }

// Expelled asks those who say so whether that is certain.
func (r *Replica) Expelled(ctx context.Context) bool { return r.expelled(ctx) }

// Changing takes the leader's time as a change of members does, until it is told to end.
func (r *Replica) Changing() (end func()) {
	r.changing.Lock()
	return r.changing.Unlock
}

// RemoveAgain removes a member as one does whose first attempt has lost its leader.
func (r *Replica) RemoveAgain(ctx context.Context, id uint64) error {
	_, err := r.requestChange(ctx, memberRequest{Verb: verbRemove, Peer: Peer{ID: id}, Again: true})
	return err
}
