package tree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// TestDigest_IsThatOfTheRecords runs random transactions of all kinds, most of which fail somewhere; world.do compares the
// digest kept up with one made anew after each. Two replicas of the same log, one of which is restored from snapshots again
// and again, stay equal.
func TestDigest_IsThatOfTheRecords(t *testing.T) {
	steps := 700
	if testing.Short() {
		steps = 300
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d := digestRun{rand: rand.New(rand.NewPCG(seed, 7)), a: newWorld(t), b: newWorld(t)}
			d.gen = run{T: t, rand: d.rand}
			for range steps {
				d.step()
			}
			if d.ok < steps/4 {
				t.Errorf("only %d of %d transactions were carried out", d.ok, steps)
			}
		})
	}
}

type digestRun struct {
	rand *rand.Rand
	gen  run // of operations
	a, b *world
	held []*tree.Snapshot
	ok   int
}

func (d *digestRun) step() {
	d.a.now += d.rand.Int64N(3)
	d.b.now = d.a.now
	switch d.rand.IntN(20) {
	case 0: // what changes from here on is copied first
		d.held = append(d.held, d.a.Snapshot())
	case 1:
		d.b.Tree = restored(d.b.t, d.b.Tree)
	}
	x := d.txn()
	ra, rb := d.a.do(x), d.b.do(x)
	if fmt.Sprint(ra) != fmt.Sprint(rb) || d.a.Digest() != d.b.Digest() || d.a.Zxid() != d.b.Zxid() {
		d.a.t.Fatalf("%+v: %+v and %+v", x, ra, rb)
	}
	if ra.Err == wire.OK {
		d.ok++
	}
	if len(d.held) > 3 {
		s := d.held[0]
		d.held = d.held[1:]
		if got, err := tree.Restore(bytes.NewReader(bytesOf(d.a.t, s))); err != nil || got.Digest() != s.Digest() {
			d.a.t.Fatalf("snapshot held for a while: %v", err)
		}
	}
}

func (d *digestRun) txn() *tree.Txn {
	id := 1 + d.rand.Int64N(3)
	s, _ := d.a.Session(id)
	x := &tree.Txn{Session: id, Epoch: s.Epoch, IDs: d.a.ids, Features: tree.FeatureTTL | tree.FeatureQuota}
	switch k := d.rand.IntN(100); {
	case k < 45:
		x.One = d.gen.op(false)
		x.Op = x.One.Op
	case k < 70:
		x.Op = wire.OpMulti
		for range d.rand.IntN(6) {
			x.Multi = append(x.Multi, d.gen.op(true))
		}
	case k < 75:
		x.Op, x.ACL = wire.OpSetACL, wire.SetACLRequest{Path: d.path(), Version: -1, ACL: []wire.ACL{open, {Perms: d.rand.Int32N(31), Scheme: "ip", ID: "::1"}}}
	case k < 82:
		x.One = d.quota()
		x.Op = x.One.Op
	case k < 88:
		x.Op, x.Timeout, x.Password = wire.OpCreateSession, 100, password
	case k < 91:
		x.Op, x.Timeout, x.Password = tree.OpAttach, 100+d.rand.Int32N(9), password
	case k < 93:
		x.Op = wire.OpCloseSession
	case k < 95:
		x.Op, x.Members, x.Seen = tree.OpMembers, fmt.Sprint("server.", k), d.a.Node(tree.ConfigPath).Stat().Mzxid
	case k < 98:
		x.Op, x.One.Check.Path = wire.OpDeleteContainer, d.path()
		if paths := d.a.Reapable(d.a.now, 0, 9); len(paths) > 0 {
			x.One.Check.Path = paths[d.rand.IntN(len(paths))]
		}
	default:
		x.Op = tree.OpRestore
		x.Part = tree.Part{ID: 1, Number: d.rand.Int32N(2), Force: true, Last: d.rand.IntN(2) == 0}
		if len(d.held) > 0 {
			x.Part.Data = bytesOf(d.a.t, d.held[0])
		}
	}
	return x
}

func (d *digestRun) path() string {
	return []string{"/", "/a", "/b", "/a/a", "/zookeeper/config", "/zookeeper/quota/a"}[d.rand.IntN(6)]
}

// quota makes, changes or drops a quota on /a.
func (d *digestRun) quota() wire.MultiOp {
	path := "/zookeeper/quota/a" + []string{"", "/zookeeper_limits", "/zookeeper_stats"}[d.rand.IntN(3)]
	switch d.rand.IntN(8) {
	case 0:
		return del(path, -1)
	case 1:
		return set(path, "count=5,bytes=100=;byteHardLimit=200;countHardLimit=9", -1)
	}
	return createData(path, "count=5,bytes=100=;byteHardLimit=200;countHardLimit=9")
}

// withDigest gives a snapshot another digest, under a checksum that is right.
func withDigest(snapshot []byte, version byte, digest uint64) []byte {
	body := snapshot[:len(snapshot)-digestBlock]
	content := binary.BigEndian.AppendUint64([]byte{'d', version}, digest)
	before := lastChecksum(body)
	sum := crc32.Update(before, crc32.MakeTable(crc32.Castagnoli), content)
	b := binary.BigEndian.AppendUint32(slices.Clone(body), uint32(len(content)))
	return append(binary.BigEndian.AppendUint32(b, sum), content...)
}

// lastChecksum returns the checksum of the last block.
func lastChecksum(b []byte) (sum uint32) {
	for b = b[8:]; len(b) > 0; b = b[blockHead+binary.BigEndian.Uint32(b):] {
		sum = binary.BigEndian.Uint32(b[4:])
	}
	return sum
}

func TestRestore_ComparesTheDigest(t *testing.T) {
	w := furnished(t)
	good := bytesOf(t, w.Snapshot())
	if !bytes.Equal(withDigest(good, tree.DigestVersion, w.Digest()), good) {
		t.Fatal("withDigest does not make what WriteTo writes")
	}
	for name, c := range map[string]struct {
		b    []byte
		want string // "" : taken
	}{
		"another digest":         {withDigest(good, tree.DigestVersion, w.Digest()+1), "digest is not that of the records"},
		"of an unknown version":  {withDigest(good, 99, w.Digest()+1), ""},
		"without":                {good[:len(good)-digestBlock], ""},
		"something behind":       {append(slices.Clone(good), 0), "unexpected EOF"},
		"something for a digest": {append(slices.Clone(good[:len(good)-digestBlock]), 0), "unexpected EOF"},
	} {
		got, err := tree.Restore(bytes.NewReader(c.b))
		switch {
		case c.want == "" && (err != nil || got.Digest() != w.Digest()):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A bit that flips in memory does not get into a snapshot.
func TestSnapshot_DamagedMemoryIsNotWritten(t *testing.T) {
	w := furnished(t)
	snap := w.Snapshot()
	w.Node("/c/t/x").Data()[12345] ^= 4
	var b bytes.Buffer
	if _, err := snap.WriteTo(&b); !errors.Is(err, tree.ErrDigest) {
		t.Errorf("WriteTo = %v, want ErrDigest", err)
	}
	if _, err := tree.Restore(&b); err == nil {
		t.Error("what was written until then passes for a snapshot")
	}
}

// Near each other, one bit apart and exchanged: digests differ, and their differences, too.
func TestDigest_SpreadsSmallDifferences(t *testing.T) {
	seen := make(map[uint64]string)
	note := func(what string, w *world) {
		if other, ok := seen[w.Digest()]; ok {
			t.Errorf("%s has the digest of %s", what, other)
		}
		seen[w.Digest()] = what
	}
	for i := range 64 {
		for _, nodes := range [][2]string{{"/a", "/b"}, {"/b", "/a"}} {
			w := newWorld(t)
			for j, path := range nodes {
				m := create(path, 0)
				m.Create.Data = make([]byte, 8)
				m.Create.Data[i/8] = byte(1+j) << (i % 8)
				w.must(m)
			}
			note(fmt.Sprint(nodes, i), w)
		}
	}
}
