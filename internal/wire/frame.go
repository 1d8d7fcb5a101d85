package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MaxFrame is ZooKeeper's default limit for a frame, inclusive (jute.maxbuffer).
const MaxFrame = 0xfffff

// BeginFrame appends room for a frame's length. Append the frame's content, then call EndFrame with the length b had
// before.
func BeginFrame(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// EndFrame fills in the length of the frame that began at offset start.
func EndFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// FrameError is the error of a frame whose length is negative or above the limit.
type FrameError struct {
	Length int32 // as claimed
	Limit  int
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("wire: frame of %d bytes, the limit is %d", e.Length, e.Limit)
}

// frameStep is how much of a frame is allocated before any of it has come.
const frameStep = 64 << 10

// ReadFrame reads one frame into buf, grown if it is too small, and returns its content. The length is checked before
// anything is allocated, and beyond 64 KiB memory grows with what comes, not with what is claimed. A limit of 0 means
// MaxFrame.
func ReadFrame(r io.Reader, buf []byte, limit int) ([]byte, error) {
	if limit == 0 {
		limit = MaxFrame
	}
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > limit {
		return nil, &FrameError{Length: int32(n), Limit: limit}
	}
	buf = buf[:0]
	for len(buf) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, max(frameStep, 2*cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		part := buf[len(buf):min(n, cap(buf))]
		if _, err := io.ReadFull(r, part); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		buf = buf[:len(buf)+len(part)]
	}
	return buf, nil
}

// RequestHeader stands before every request but the first.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// Append appends the header.
func (h RequestHeader) Append(b []byte) []byte {
	return AppendInt32(AppendInt32(b, h.Xid), int32(h.Op))
}

// Decode reads the header.
func (h *RequestHeader) Decode(r *Reader) { h.Xid, h.Op = r.Int32(), Op(r.Int32()) }

// ReplyHeader stands before every reply but the first. A body follows only if Err is OK and the operation has one.
type ReplyHeader struct {
	Xid  int32
	Zxid int64
	Err  Code
}

// Append appends the header.
func (h ReplyHeader) Append(b []byte) []byte {
	return AppendInt32(AppendInt64(AppendInt32(b, h.Xid), h.Zxid), int32(h.Err))
}

// Decode reads the header.
func (h *ReplyHeader) Decode(r *Reader) { h.Xid, h.Zxid, h.Err = r.Int32(), r.Int64(), Code(r.Int32()) }
