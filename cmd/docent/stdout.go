package main

import (
	"io"
	"sync"
)

// noticed is stdout, and remembers that a write to it failed: whoever prints without looking at errors, as help does, has
// not done its work then.
type noticed struct {
	io.Writer

	mu  sync.Mutex // guards err
	err error
}

func (n *noticed) Write(p []byte) (int, error) {
	written, err := n.Writer.Write(p)
	if err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.err == nil {
			n.err = err
		}
	}
	return written, err
}

// failed returns err, or else why a write failed.
func (n *noticed) failed(err error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		err = n.err
	}
	return err
}
