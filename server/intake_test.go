package server

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
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
