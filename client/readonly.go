package client

import (
	"context"
	"io"
)

// seekWritable looks for a server that takes writes, in rounds over all of them, until it has found one or ctx ends. It
// asks in the protocol's own way, by the word isro: attaching the session to find out would take it away from the
// server that answers its reads.
func (c *core) seekWritable(ctx context.Context, found chan<- host) {
	all := newHosts(&c.cfg)
	for {
		h, wait, err := all.next(ctx)
		if !c.sleep(ctx, wait) {
			return
		}
		if err == nil && c.writable(ctx, h) {
			found <- h
			return
		}
	}
}

// writable asks a server whether it takes writes. Apache ZooKeeper answers to that if it may become read-only at all,
// docent's servers always.
func (c *core) writable(ctx context.Context, h host) bool {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	nc, err := c.dial(ctx, h)
	if err != nil {
		return false
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := io.WriteString(nc, "isro"); err != nil {
		return false
	}
	answer, err := io.ReadAll(io.LimitReader(nc, 16))
	return err == nil && string(answer) == "rw"
}
