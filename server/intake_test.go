package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/docent-io/docent/internal/wire"
)

// chunks gives its bytes in pieces of random size.
type chunks struct {
	r   io.Reader
	rnd *rand.Rand
	max int
}

func (c *chunks) Read(p []byte) (int, error) {
	return c.r.Read(p[:min(len(p), 1+c.rnd.IntN(c.max))])
}

// Whatever pieces the bytes come in, and whichever way they are taken, they come out as they went in.
func TestIntake(t *testing.T) {
	want := make([]byte, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range want {
		want[i] = byte(rnd.Uint32())
	}
	for _, size := range []int{1, 20, smallIntake, 3000, 1 << 20} {
		in := newIntake(&chunks{bytes.NewReader(want), rnd, size})
		var got []byte
		large := false
		for {
			if head, err := in.Peek(4); err == nil && !bytes.Equal(head, want[len(got):len(got)+4]) {
				t.Fatalf("pieces of %d: peeked %x at %d", size, head, len(got))
			}
			p := make([]byte, 1+rnd.IntN(2*size))
			n, err := in.Read(p)
			got = append(got, p[:n]...)
			large = large || in.pooled != nil
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("pieces of %d: %d bytes came, not what was sent", size, len(got))
		}
		if busy := size > smallIntake; large != busy && size != smallIntake {
			t.Errorf("pieces of %d: large buffer %v, want %v", size, large, busy)
		}
		in.release()
	}
}

// One quiet read gives the large buffer back.
func TestIntake_QuietAgain(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	in := newIntake(r)
	go func() {
		for _, n := range []int{smallIntake, 5000, 16, 16} {
			if _, err := w.Write(make([]byte, n)); err != nil {
				return
			}
		}
		w.Close()
	}()
	buf := make([]byte, 8<<10)
	for i, want := range []bool{false, true, true, false} {
		if _, err := in.Read(buf); err != nil || (in.pooled != nil) != want {
			t.Errorf("read %d: large %v, want %v; %v", i, in.pooled != nil, want, err)
		}
	}
}

func TestIntake_Errors(t *testing.T) {
	in := newIntake(iotest.TimeoutReader(bytes.NewReader(make([]byte, 10))))
	if _, err := in.Peek(11); err != iotest.ErrTimeout {
		t.Errorf("%v", err)
	}
	if _, err := newIntake(bytes.NewReader(nil)).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v", err)
	}
}

// Requests come out whole, in order and unchanged, whether they lie in the buffer or are still coming.
func TestIntake_Frame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	var sent []byte
	var want [][]byte
	for range 2000 {
		b := make([]byte, rnd.IntN(3*smallIntake))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		want = append(want, b)
		sent = append(binary.BigEndian.AppendUint32(sent, uint32(len(b))), b...)
	}
	for _, size := range []int{1, 100, 5000, 1 << 20} {
		in := newIntake(&chunks{bytes.NewReader(sent), rnd, size})
		inside := 0
		for i, w := range want {
			got := in.Frame(len(w))
			if got != nil {
				inside++
			} else if err := func() (err error) { got, err = wire.ReadFrame(in, nil, len(w)); return }(); err != nil {
				t.Fatalf("pieces of %d, request %d: %v", size, i, err)
			}
			if !bytes.Equal(got, w) {
				t.Fatalf("pieces of %d: request %d is not what was sent", size, i)
			}
		}
		if inside == 0 && size > 1 {
			t.Errorf("pieces of %d: no request was taken from the buffer", size)
		}
		in.release()
	}
	// One that is too long, or of a negative length, is left for the ordinary way to refuse.
	in := newIntake(bytes.NewReader([]byte{0, 0, 0, 5, 1, 2, 3, 4, 5, 0xff, 0xff, 0xff, 0xff, 0}))
	if _, err := in.Peek(4); err != nil {
		t.Fatal(err)
	}
	if in.Frame(4) != nil {
		t.Error("a request that is too long was taken")
	}
	if in.Frame(5) == nil || in.Frame(5) != nil {
		t.Error("a request in the buffer was not taken, or one of a negative length was")
	}
}
