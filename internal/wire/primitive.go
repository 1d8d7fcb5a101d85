package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrShort is the error of a Reader whose bytes end before the record does.
var ErrShort = errors.New("wire: record is cut short")

// ErrNull is the error of a Reader that met null where the protocol needs a value.
var ErrNull = errors.New("wire: null where a value is needed")

// AppendInt32 appends v, big-endian.
func AppendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendInt64 appends v, big-endian.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendBool appends one byte, 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendString appends a string behind its length in bytes.
func AppendString(b []byte, s string) []byte {
	return append(AppendInt32(b, int32(len(s))), s...)
}

// AppendBuffer appends bytes behind their number; nil is null (-1), which the protocol tells apart from empty.
func AppendBuffer(b, p []byte) []byte {
	if p == nil {
		return AppendInt32(b, -1)
	}
	return append(AppendInt32(b, int32(len(p))), p...)
}

// AppendStrings appends a vector of strings; nil is an empty vector.
func AppendStrings(b []byte, list []string) []byte {
	b = AppendInt32(b, int32(len(list)))
	for _, s := range list {
		b = AppendString(b, s)
	}
	return b
}

// Reader decodes primitives from a record. After the first error every method returns a zero value; Err tells.
// The zero Reader is an empty record.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader of b, which it does not copy.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Reset makes r read b from now on.
func (r *Reader) Reset(b []byte) { r.b, r.err = b, nil }

// Err returns the first error met.
func (r *Reader) Err() error { return r.err }

// Len returns the number of bytes not read yet.
func (r *Reader) Len() int { return len(r.b) }

// Rest returns the bytes not read yet, without reading them.
func (r *Reader) Rest() []byte { return r.b }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *Reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.fail(ErrShort)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

// Bool reads one byte; everything but 0 is true.
func (r *Reader) Bool() bool { return r.Byte() != 0 }

// Int32 reads an int.
func (r *Reader) Int32() int32 {
	if p := r.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

// Int64 reads a long.
func (r *Reader) Int64() int64 {
	if p := r.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// Buffer reads bytes; null is nil, an empty buffer is not. The result points into the record.
func (r *Reader) Buffer() []byte {
	n := r.Int32()
	switch {
	case r.err != nil || n == -1:
		return nil
	case n < 0:
		r.fail(fmt.Errorf("wire: length %d of a buffer", n))
		return nil
	case n == 0:
		return []byte{}
	}
	return r.take(int(n))
}

// String reads a string that must not be null. Bytes that are not UTF-8 become U+FFFD, as Java's decoder does.
func (r *Reader) String() string {
	s, ok := r.NullString()
	if !ok {
		r.fail(ErrNull)
	}
	return s
}

// NullString reads a string; ok is false if it is null.
func (r *Reader) NullString() (s string, ok bool) {
	p := r.Buffer()
	if p == nil {
		return "", false
	}
	if !utf8.Valid(p) {
		return string([]rune(string(p))), true
	}
	return string(p), true
}

// Count reads the length of a vector whose elements take at least min bytes each, and fails before anything is
// allocated if the record cannot hold that many. ok is false if the vector is null.
func (r *Reader) Count(min int) (n int, ok bool) {
	c := r.Int32()
	switch {
	case r.err != nil || c == -1:
		return 0, false
	case c < 0 || int64(c)*int64(min) > int64(len(r.b)):
		r.fail(fmt.Errorf("wire: a vector of %d elements in %d bytes", c, len(r.b)))
		return 0, false
	}
	return int(c), true
}

// Strings reads a vector of strings that must not be null, nor any of its elements.
func (r *Reader) Strings() []string {
	n, ok := r.Count(4)
	if !ok {
		r.fail(ErrNull)
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.String())
	}
	if r.err != nil {
		return nil
	}
	return list
}
