package config

import (
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// ErrNoConfig: there is no node at the path, and no Default.
var ErrNoConfig = errors.New("no configuration")

// RejectedError tells why a value was not taken: it could not be decoded, or Validate refused it.
type RejectedError struct {
	Path    string
	Version Version // of the value that was refused
	Err     error
}

// Error implements error.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("configuration %s, version %d, is refused: %v", e.Path, e.Version.Number, e.Err)
}

// Unwrap returns the reason.
func (e *RejectedError) Unwrap() error { return e.Err }

// Version tells the states of a value apart. The zero Version is that of a Default.
type Version struct {
	Zxid   uint64 // of the transaction that wrote it: grows with every change, also when the node was deleted in between
	Number int32  // of the node's data, as other tools show it; begins at 0 with every new node
}

// Newer tells whether v was written after w.
func (v Version) Newer(w Version) bool { return v.Zxid > w.Zxid }

func versionOf(st client.Stat) Version { return Version{Zxid: uint64(st.Mzxid), Number: st.Version} }

// Option changes how a value of T is read and written.
type Option[T any] func(*options[T])

type options[T any] struct {
	codec    recipes.Codec[T]
	validate []func(T) error
	def      *T
}

// Validate refuses values for which f returns an error, in reading as in Update. It may be given several times. It must
// not block, and is called by several goroutines at once.
func Validate[T any](f func(T) error) Option[T] {
	return func(o *options[T]) { o.validate = append(o.validate, f) }
}

// Default is the value while there is no node, and while none was there but bad ones. It is not validated.
func Default[T any](v T) Option[T] { return func(o *options[T]) { o.def = &v } }

// WithCodec says how values become bytes; by default as JSON.
func WithCodec[T any](c recipes.Codec[T]) Option[T] {
	return func(o *options[T]) { o.codec = c }
}

func newOptions[T any](opts []Option[T]) *options[T] {
	o := &options[T]{codec: recipes.JSON[T]()}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// read turns a node into a value, or a *RejectedError.
func (o *options[T]) read(node client.Node) (T, error) {
	v, err := o.codec.Decode(node.Data)
	if err == nil {
		err = o.check(v)
	}
	if err != nil {
		return v, &RejectedError{Path: node.Path, Version: versionOf(node.Stat), Err: err}
	}
	return v, nil
}

func (o *options[T]) check(v T) error {
	for _, f := range o.validate {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}
