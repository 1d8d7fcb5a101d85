package server

import (
	"encoding/binary"
	"io"
	"sync"
)

// An intake is a connection's read buffer: small while the client is quiet, large while it has much to say. So ten
// thousand idle connections cost little, and a busy one reads many requests at once.
//
// A read that fills the small buffer makes the next one use a large one, from a pool; a read into the large one that
// brings little makes the next one use the small one.
type intake struct {
	r          io.Reader
	small      [smallIntake]byte
	buf        []byte // small, or a large one; what was read and not taken is buf[start:end]
	start, end int
	large      bool // what the next read is to use
	pooled     *[]byte
}

const (
	smallIntake = 512
	largeIntake = 64 << 10
)

var intakes = sync.Pool{New: func() any {
	b := make([]byte, largeIntake)
	return &b
}}

func newIntake(r io.Reader) *intake {
	in := &intake{r: r}
	in.buf = in.small[:]
	return in
}

// Buffered returns how much can be taken without a read.
func (in *intake) Buffered() int { return in.end - in.start }

// Peek returns the next n bytes, at most smallIntake, without taking them.
func (in *intake) Peek(n int) ([]byte, error) {
	for in.Buffered() < n {
		if in.start > 0 && in.start+n > len(in.buf) {
			in.end = copy(in.buf, in.buf[in.start:in.end])
			in.start = 0
		}
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
	return in.buf[in.start : in.start+n], nil
}

// Frame takes a request, with its length before it, if every byte of it is there: nil if not, and if it is longer than
// limit. It is valid until the next read.
func (in *intake) Frame(limit int) []byte {
	have := in.buf[in.start:in.end]
	if len(have) < 4 {
		return nil
	}
	n := int(int32(binary.BigEndian.Uint32(have)))
	if n < 0 || n > limit || n > len(have)-4 {
		return nil
	}
	in.start += 4 + n
	return have[4 : 4+n : 4+n]
}

// Read takes what there is, reading if that is nothing.
func (in *intake) Read(p []byte) (int, error) {
	if in.Buffered() == 0 {
		if len(p) >= largeIntake {
			return in.r.Read(p)
		}
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.start:in.end])
	in.start += n
	return n, nil
}

// fill reads once. Only an empty buffer is exchanged.
func (in *intake) fill() error {
	if in.Buffered() == 0 {
		in.start, in.end = 0, 0
		in.choose()
	}
	n, err := in.r.Read(in.buf[in.end:])
	in.large = in.end+n == len(in.buf) || in.pooled != nil && n > smallIntake
	in.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (in *intake) choose() {
	switch {
	case in.large && in.pooled == nil:
		in.pooled = intakes.Get().(*[]byte)
		in.buf = *in.pooled
	case !in.large:
		in.release()
	}
}

// release gives a large buffer back. It is called between reads, and when the connection has ended.
func (in *intake) release() {
	if in.pooled != nil {
		intakes.Put(in.pooled)
		in.pooled, in.buf = nil, in.small[:]
	}
	in.start, in.end = 0, 0
}
