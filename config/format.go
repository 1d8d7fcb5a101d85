package config

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/docent-io/docent/recipes"
)

// Decimal is the format of kazoo's Counter: decimal text. It is the default.
func Decimal() recipes.Codec[int64] { return decimal{} }

// Int32 is the format of Curator's SharedCount and DistributedAtomicInteger: four bytes, the highest first.
func Int32() recipes.Codec[int64] { return binaryInt(4) }

// Int64 is the format of Curator's DistributedAtomicLong: eight bytes, the highest first.
func Int64() recipes.Codec[int64] { return binaryInt(8) }

type decimal struct{}

func (decimal) Encode(n int64) ([]byte, error) { return strconv.AppendInt(nil, n, 10), nil }

// Decode reads no bytes as zero (kazoo #569).
func (decimal) Decode(data []byte) (int64, error) {
	text := strings.TrimSpace(string(data))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("not a counter: %w", err)
	}
	return n, nil
}

// binaryInt is the number of bytes.
type binaryInt int

func (size binaryInt) Encode(n int64) ([]byte, error) {
	if size == 4 {
		if n != int64(int32(n)) {
			return nil, fmt.Errorf("%w: %d does not fit into 32 bits", ErrOverflow, n)
		}
		return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
}

// Decode reads no bytes as zero, as Curator does.
func (size binaryInt) Decode(data []byte) (int64, error) {
	switch {
	case len(data) == 0:
		return 0, nil
	case len(data) != int(size):
		return 0, fmt.Errorf("not a counter of %d bytes, but %d bytes", int(size), len(data))
	case size == 4:
		return int64(int32(binary.BigEndian.Uint32(data))), nil
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}
