package recipes

import (
	"encoding/json"
	"fmt"
)

// Codec turns values into the bytes of a node and back. It is called by several goroutines at once, and must not keep
// or change the bytes it is given. Decode meets whatever others have written, so it returns an error and never panics.
type Codec[T any] interface {
	Encode(v T) ([]byte, error)
	Decode(data []byte) (T, error)
}

// JSON is the codec of encoding/json, the default everywhere. Unknown fields are ignored, so that a newer writer does
// not stop older readers.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

// Text is the codec of nodes that hold plain text.
func Text() Codec[string] { return textCodec{} }

// Bytes is the codec that leaves everything to the caller. The values share no memory with the client's.
func Bytes() Codec[[]byte] { return bytesCodec{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(v T) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return data, nil
}

func (jsonCodec[T]) Decode(data []byte) (v T, err error) {
	if err = json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}

type textCodec struct{}

func (textCodec) Encode(v string) ([]byte, error)    { return []byte(v), nil }
func (textCodec) Decode(data []byte) (string, error) { return string(data), nil }

type bytesCodec struct{}

func (bytesCodec) Encode(v []byte) ([]byte, error)    { return append([]byte(nil), v...), nil }
func (bytesCodec) Decode(data []byte) ([]byte, error) { return append([]byte(nil), data...), nil }
