package wire_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"github.com/docent-io/docent/internal/wire"
)

func TestReadFrame(t *testing.T) {
	large := bytes.Repeat([]byte("x"), wire.MaxFrame)
	for _, content := range [][]byte{{}, []byte("abc"), large[:64<<10], large[:64<<10+1], large} { // trap 41: the limit is inclusive
		b := wire.EndFrame(append(wire.BeginFrame([]byte("before")), content...), len("before"))
		got, err := wire.ReadFrame(bytes.NewReader(b[len("before"):]), nil, 0)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("frame of %d bytes: %d, %v", len(content), len(got), err)
		}
		for _, cut := range []int{1, 3, 4, len(content) / 2, len(content) + 3} {
			_, err := wire.ReadFrame(bytes.NewReader(b[len("before"):][:cut]), nil, 0)
			if cut > 0 && cut < len(content)+4 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("frame of %d bytes cut at %d: %v", len(content), cut, err)
			}
		}
	}
	if _, err := wire.ReadFrame(bytes.NewReader(nil), nil, 0); err != io.EOF { // the end between two frames is clean
		t.Errorf("end: %v", err)
	}
	for _, head := range [][]byte{{0, 0x10, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff}, []byte("ruok")} {
		var bad *wire.FrameError
		if _, err := wire.ReadFrame(bytes.NewReader(head), nil, 0); !errors.As(err, &bad) || bad.Limit != wire.MaxFrame {
			t.Errorf("head %x: %v", head, err)
		}
	}
	room := make([]byte, 0, 100)
	got, err := wire.ReadFrame(bytes.NewReader([]byte{0, 0, 0, 1, 'x'}), room, 5)
	if err != nil || &got[0] != &room[:1][0] {
		t.Errorf("the buffer was not used: %v", err)
	}
}

// Trap 41: memory grows with what comes, not with what is claimed.
func TestClaimedSizes_AllocateNothing(t *testing.T) {
	huge := []byte{0x3f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for name, decode := range map[string]func(r *wire.Reader){
		"buffer":  func(r *wire.Reader) { r.Buffer() },
		"string":  func(r *wire.Reader) { _ = r.String() },
		"strings": func(r *wire.Reader) { r.Strings() },
		"ACLs":    func(r *wire.Reader) { r.ACLs() },
		"ids":     func(r *wire.Reader) { r.IDs() },
		"frame": func(r *wire.Reader) {
			_, err := wire.ReadFrame(bytes.NewReader(huge), nil, 1<<30)
			r.Reset(nil)
			_ = err
			r.Byte()
		},
	} {
		r := wire.NewReader(huge)
		if n := allocated(func() { decode(r) }); n > 128<<10 {
			t.Errorf("%s: %d bytes were allocated for a claim", name, n)
		}
		if r.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, n := range []int32{-2, -1 << 31} {
		r := wire.NewReader(wire.AppendInt32(nil, n))
		if r.Buffer(); r.Err() == nil {
			t.Errorf("a buffer of %d bytes was read", n)
		}
		r.Reset(wire.AppendInt32(nil, n))
		if r.Strings(); r.Err() == nil {
			t.Errorf("%d strings were read", n)
		}
	}
}

// allocated returns how many bytes f allocates, and others meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestPrimitives_AllocateNothing(t *testing.T) {
	buf := make([]byte, 0, 1024)
	data := []byte("some data")
	event := wire.WatcherEvent{Type: wire.EventCreated, State: 3, Path: "/a"}
	var r wire.Reader
	var got wire.Stat
	n := testing.AllocsPerRun(100, func() {
		b := wire.BeginFrame(buf)
		b = wire.ReplyHeader{Xid: 1, Zxid: 2}.Append(b)
		b = wire.AppendBuffer(wire.AppendString(wire.AppendBool(wire.AppendInt64(wire.AppendInt32(b, 1), 2), true), "/path"), data)
		b = wire.EndFrame(stat.Append(event.Append(b)), 0)

		r.Reset(b[4:])
		var h wire.ReplyHeader
		h.Decode(&r)
		if r.Int32() != 1 || r.Int64() != 2 || !r.Bool() || string(r.Buffer()) != "/path" || !bytes.Equal(r.Buffer(), data) {
			t.Error("wrong primitives")
		}
		r.Int64()
		r.Buffer()
		if got.Decode(&r); got != stat || r.Err() != nil {
			t.Error("wrong Stat")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzMessages decodes anything as every message: no panic, no memory beyond what the bytes can hold, and what is
// accepted comes back the same after a round trip.
func FuzzMessages(f *testing.F) {
	kinds := messages()
	for i, m := range kinds {
		f.Add(uint8(i), m.Append(nil))
	}
	for _, g := range golden {
		f.Add(uint8(0), unhex(g.hex))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		m := fresh(kinds[int(kind)%len(kinds)])
		r := wire.NewReader(b)
		if crc32.ChecksumIEEE(b)%16 > 0 { // to measure stops the world
			m.Decode(r)
		} else if n := allocated(func() { m.Decode(r) }); n > uint64(40*len(b)+64<<10) {
			t.Errorf("%T: %d bytes allocated for %d", m, n, len(b))
		}
		if r.Err() != nil {
			return
		}
		encoded := m.Append(nil)
		again, r2 := fresh(m), wire.NewReader(encoded)
		if again.Decode(r2); r2.Err() != nil || r2.Len() > 0 || !bytes.Equal(again.Append(nil), encoded) {
			t.Errorf("%T after a round trip: %v, %d bytes left\n%+v\n%+v", m, r2.Err(), r2.Len(), m, again)
		}
	})
}

// FuzzReadFrame reads frames one behind the other.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 2, 'y'})
	f.Add([]byte("mntr"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			left := r.Len()
			got, err := wire.ReadFrame(r, nil, 1000)
			if err != nil {
				return
			}
			if left-r.Len() != len(got)+4 {
				t.Errorf("%d bytes were read for a frame of %d", left-r.Len(), len(got))
			}
		}
	})
}

func BenchmarkReplyHeader(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.EndFrame(wire.ReplyHeader{Xid: 1, Zxid: 2}.Append(wire.BeginFrame(buf[:0])), 0)
	}
}

func BenchmarkCreate(b *testing.B) {
	m := createOf{wire.OpCreate, wire.CreateRequest{Path: "/some/path", Data: make([]byte, 100), ACL: open}}
	raw := m.Append(nil)
	var r wire.Reader
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(raw)
		if m.m.Decode(&r, wire.OpCreate); r.Err() != nil {
			b.Fatal(r.Err())
		}
	}
}
