package main

import (
	"context"
	"io"
)

// input is stdin for a verb: a read ends with ctx, too. What waits in the reader below then is left to the end of the
// process, for a read of a terminal or a pipe cannot be called off.
type input struct {
	ctx   context.Context
	from  io.Reader
	ended chan inputRead // of one
	chunk []byte         // what from is read into
	rest  []byte         // of it, what was not asked for yet
	err   error
	// waits and goesOn, unless nil, are called around what may wait for a person or another program.
	waits, goesOn func()
}

type inputRead struct {
	n   int
	err error
}

func (e env) input(ctx context.Context) *input {
	return &input{ctx: ctx, from: e.stdin, ended: make(chan inputRead, 1), chunk: make([]byte, 1<<16)}
}

// Read reads what is there, and returns why ctx ended if it does before.
func (i *input) Read(p []byte) (int, error) {
	if len(i.rest) == 0 && i.err == nil {
		if i.waits != nil {
			i.waits()
			defer i.goesOn()
		}
		go func() {
			n, err := i.from.Read(i.chunk)
			i.ended <- inputRead{n, err}
		}()
		select {
		case r := <-i.ended:
			i.rest, i.err = i.chunk[:r.n], r.err
		case <-i.ctx.Done():
			i.err = context.Cause(i.ctx)
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	if n == 0 {
		return 0, i.err
	}
	return n, nil
}
