package tree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// furnished returns a tree with some of everything.
func furnished(t testing.TB) *world {
	w := newWorld(t)
	w.feature = tree.FeatureTTL
	w.open(7)
	for i := range 300 {
		w.now++
		w.must(create(fmt.Sprintf("/a%d", i%7), wire.FlagSequential))
		w.must(create("/e", wire.FlagEphemeralSequential))
	}
	w.must(container("/c"))
	w.must(ttl("/c/t", 99))
	large := create("/c/t/x", 0)
	large.Create.Data = bytes.Repeat([]byte("large"), 30000) // more than a block
	large.Create.ACL = append([]wire.ACL{{Perms: 9, Scheme: "ip", ID: "10.0.0.0/8"}}, open)
	w.must(large)
	w.must(createWith(wire.OpCreate, "/c/t/y", 0, 0, readOnly))
	w.must(del(w.Ephemerals(7)[3], -1))
	w.do(&tree.Txn{Session: 7, Op: tree.OpAttach, Timeout: 5, Password: password})
	return w
}

func bytesOf(t testing.TB, s *tree.Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	if n, err := s.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, %v; %d bytes came", n, err, b.Len())
	}
	return b.Bytes()
}

func TestSnapshot_RoundTrip(t *testing.T) {
	w := furnished(t)
	got := restored(t, w.Tree)
	if got.Zxid() != w.Zxid() || got.Digest() != w.Digest() || got.Counts() != w.Counts() {
		t.Errorf("restored: zxid %d, digest %x, %+v; want %d, %x, %+v",
			got.Zxid(), got.Digest(), got.Counts(), w.Zxid(), w.Digest(), w.Counts())
	}
	if !slices.Equal(got.Ephemerals(7), w.Ephemerals(7)) || tree.ACLs(got) != tree.ACLs(w.Tree) {
		t.Error("ephemerals or ACLs differ")
	}
	if a, b := bytesOf(t, w.Snapshot()), bytesOf(t, restored(t, got).Snapshot()); len(a) != len(b) {
		t.Errorf("the second snapshot has %d bytes, the first %d", len(b), len(a))
	}
	fresh := tree.New()
	if restored(t, fresh).Digest() != fresh.Digest() {
		t.Error("a fresh tree is not restored")
	}
}

// A snapshot of a server that knew no digest ends before it. Everything else that is cut is refused.
const digestBlock = blockHead + 1 + 1 + 8

const blockHead = 8

// The digest tells every difference apart that clients could see, and the owner of a session.
func TestDigest_TellsApart(t *testing.T) {
	seen := map[uint64]string{}
	note := func(name string, w *world) {
		t.Helper()
		d := w.Digest()
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[d] = name
		if s := w.Snapshot(); s.Digest() != d || s.Zxid() != w.Zxid() {
			t.Errorf("%s: digest %x of the snapshot, %x of the tree", name, s.Digest(), d)
		}
	}
	w := newWorld(t)
	note("empty", w)
	for _, step := range []wire.MultiOp{
		create("/a", 0), create("/b", 0), set("/a", "x", -1), set("/a", "", -1), create("/a/c", 0), del("/a/c", -1),
		create("/e", wire.FlagEphemeral), del("/e", -1), container("/c"),
	} {
		w.must(step)
		note(fmt.Sprint("after ", step), w)
	}
	w.setACL("/a", -1, readOnly)
	note("setACL", w)
	w.do(&tree.Txn{Session: 1, Op: tree.OpAttach, Timeout: 30000, Password: password})
	note("attach", w)
	w.close(1)
	note("close", w)
}

// A snapshot shows the tree as it was, whatever happens while it is written. The race detector watches.
func TestSnapshot_WhileTheTreeGoesOn(t *testing.T) {
	w := furnished(t)
	r := rand.New(rand.NewPCG(1, 2))
	var wg sync.WaitGroup
	for round := range 30 {
		digest, snap := w.Digest(), w.Snapshot()
		wg.Go(func() {
			if got := snap.Digest(); got != digest {
				t.Errorf("round %d: digest %x, want %x", round, got, digest)
			}
			var b bytes.Buffer
			if _, err := snap.WriteTo(&b); err != nil {
				t.Error(err)
			}
			if got, err := tree.Restore(&b); err != nil || got.Digest() != digest {
				t.Errorf("round %d: restored: %v", round, err)
			}
		})
		id := int64(100 + round)
		w.open(id)
		for range 100 {
			parent := "/c"
			if r.IntN(3) == 0 {
				parent = "/c/t"
			}
			ops := []wire.MultiOp{set("/c/t/x", "y", -1), create(parent+"/n", wire.FlagEphemeralSequential)}
			if names := w.Ephemerals(id); len(names) > 3 {
				ops = append(ops, del(names[r.IntN(len(names))], -1))
			}
			if r.IntN(2) == 0 {
				ops = append(ops, check("/none", 0))
			}
			w.multi(ops...)
			w.setACL("/c", -1, open, wire.ACL{Perms: int32(r.IntN(3)), Scheme: "world", ID: "anyone"})
		}
		w.close(id)
	}
	wg.Wait()
}

func TestRestore_EveryDamageIsFound(t *testing.T) {
	good := bytesOf(t, furnished(t).Snapshot())
	step := len(good)/500 | 1 // odd, to meet all fields
	for i := 0; i < len(good); i += step {
		if _, err := tree.Restore(bytes.NewReader(good[:i])); !errors.Is(err, io.ErrUnexpectedEOF) && i != len(good)-digestBlock {
			t.Fatalf("cut at %d: %v", i, err)
		}
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := tree.Restore(bytes.NewReader(bad)); err == nil {
			t.Fatalf("a flipped bit at %d went unnoticed", i)
		}
	}
	first := 8 + 8 + int(binary.BigEndian.Uint32(good[8:]))
	second := first + 8 + int(binary.BigEndian.Uint32(good[first:]))
	lost := append(slices.Clone(good[:first]), good[second:]...)
	if _, err := tree.Restore(bytes.NewReader(lost)); err == nil {
		t.Error("a lost block went unnoticed")
	}
	newer := slices.Clone(good)
	newer[7]++
	if _, err := tree.Restore(bytes.NewReader(newer)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("newer version: %v", err)
	}
}

func TestSnapshot_WriteError(t *testing.T) {
	full := errors.New("disk full")
	_, err := furnished(t).Snapshot().WriteTo(writerFunc(func(p []byte) (int, error) { return 0, full }))
	if !errors.Is(err, full) {
		t.Errorf("WriteTo = %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// sealed makes a snapshot of one block from its records, with a checksum that is right: what is wrong is inside.
func sealed(records []byte) []byte {
	const magic = "docent\x00\x01"
	b := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(records)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(append([]byte(magic), records...), crc32.MakeTable(crc32.Castagnoli)))
	return append(b, records...)
}

// FuzzRestore feeds records with right checksums; whatever is accepted must be sound.
func FuzzRestore(f *testing.F) {
	w := newWorld(f)
	w.must(create("/a", 0))
	w.must(create("/a/b", wire.FlagEphemeral))
	good := bytesOf(f, w.Snapshot())[16:]
	f.Add(good)
	for i := 1; i < len(good); i += 5 {
		bad := slices.Clone(good)
		bad[i] ^= 0x81
		f.Add(bad)
		f.Add(good[:i])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, records []byte) {
		got, err := tree.Restore(bytes.NewReader(sealed(records)))
		if err != nil {
			return
		}
		again := restored(t, got)
		if again.Digest() != got.Digest() {
			t.Error("what was restored does not survive a second time")
		}
		x := tree.Txn{Session: 99, Op: wire.OpCreateSession, Timeout: 1}
		got.Apply(1, &x, nil)
		for s := range again.Sessions() {
			again.Apply(1, &tree.Txn{Session: s.ID, Epoch: s.Epoch, Op: wire.OpCloseSession}, nil)
			break
		}
	})
}

// A snapshot that the first version wrote stays readable, and its digest the same in every process.
func TestRestore_FirstVersion(t *testing.T) {
	const want = 0x2492842dc83976f
	file, err := os.ReadFile("testdata/v1.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.Restore(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest() != want || got.Zxid() != 8 {
		t.Errorf("digest %#x, zxid %d, want %#x, 8", got.Digest(), got.Zxid(), uint64(want))
	}
	if data, s := got.Node("/ü/eph").Data(), got.Node("/ü/eph").Stat(); string(data) != "x" || s.EphemeralOwner != 1 || s.Ctime != 1000 {
		t.Errorf("/ü/eph: %q, %+v", data, s)
	}
}
