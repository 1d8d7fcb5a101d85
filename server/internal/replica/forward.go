package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// batchPrefix is the length before a forwarded batch.
	batchPrefix = 4
	// suspicious is how long a batch may stay pending before it is sent again without any other sign of loss.
	suspicious = 2 * time.Second
	// resendPause keeps a leader that refuses batches (it may be handing over) from being asked in a tight loop.
	resendPause = 5 * time.Millisecond
)

// send feeds the batches proposed here to whoever leads: to our own joiner, or through a stream to another member's. A
// stream always begins with the oldest batch that is not applied here.
func (r *Replica) send(ctx context.Context) {
	for ctx.Err() == nil {
		v := r.view.Load()
		switch {
		case v.leader == 0:
			select {
			case <-v.ctx.Done():
			case <-ctx.Done():
			}
		case v.leader == r.cfg.ID:
			r.feed(v.ctx, nil, func(frame []byte) error { return r.joiner.put(frame[batchPrefix:]) })
		default:
			r.forward(v)
		}
		select {
		case <-time.After(resendPause):
		case <-v.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// forward feeds the leader of a view until the stream breaks or the view ends.
func (r *Replica) forward(v *view) {
	p, ok := r.peer(v.leader)
	if !ok {
		return
	}
	dctx, cancel := context.WithTimeout(v.ctx, dialWait)
	defer cancel()
	c, err := r.port.dial(dctx, p.Addr, p.ID, forBatches)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(v.ctx, func() { c.Close() })()
	broken := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(broken)
		io.Copy(io.Discard, c) // nothing comes; it ends when the leader drops the stream
	})
	r.feed(v.ctx, broken, func(frame []byte) error {
		c.SetWriteDeadline(time.Now().Add(writeWait))
		_, err := c.Write(frame)
		return err
	})
	c.Close()
	wg.Wait()
}

// feed puts batches in order, from the oldest on, until something says that they must be sent from the start again.
func (r *Replica) feed(ctx context.Context, broken <-chan struct{}, put func([]byte) error) {
	sent := r.out.oldest()
	began := sent
	tick := time.NewTicker(suspicious)
	defer tick.Stop()
	for ctx.Err() == nil {
		if b := r.out.next(sent); b != nil {
			if put(b.frame) != nil {
				return
			}
			if b.seq <= r.highest {
				r.resends.Add(1)
			}
			sent = b.seq
			r.highest = max(r.highest, sent)
			continue
		}
		select {
		case <-r.out.wake:
		case <-r.out.again:
			if sent != began {
				return
			}
		case <-broken:
			return
		case <-tick.C:
			if r.out.overdue(suspicious) {
				return
			}
		case <-ctx.Done():
		}
	}
}

// inbound are the streams on which other members forward batches to us.
type inbound struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

func (in *inbound) add(c net.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.conns[c] = struct{}{}
}

func (in *inbound) remove(c net.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.conns, c)
}

// drop closes all streams: the origins will begin anew.
func (in *inbound) drop() {
	in.mu.Lock()
	conns := in.conns
	in.conns = make(map[net.Conn]struct{})
	in.mu.Unlock()
	for c := range conns {
		c.Close()
	}
}

// serveBatches takes the batches that one member forwards, while we lead. Whatever is not what that member may send ends
// the stream.
func (r *Replica) serveBatches(ctx context.Context, c net.Conn, from uint64) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	r.inbound.add(c) // before the question below: a lead lost after it finds the stream in the books
	defer r.inbound.remove(c)
	if r.raft.State() != raft.Leader || !r.isMember(from) {
		return
	}
	in := bufio.NewReaderSize(c, 256<<10)
	for {
		frame, err := readBatch(in, from)
		if err == nil {
			err = r.joiner.put(frame)
		}
		if err != nil {
			if err != io.EOF && ctx.Err() == nil {
				r.log.Debug("forwarded batches: stream ended", "from", from, "err", err)
			}
			return
		}
	}
}

func readBatch(in *bufio.Reader, from uint64) ([]byte, error) {
	head, err := in.Peek(batchPrefix)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n < batchHeader || n > maxBatch {
		return nil, fmt.Errorf("batch of %d bytes: %w", n, errMalformed)
	}
	in.Discard(batchPrefix)
	frame, err := readN(in, int(n))
	if err != nil {
		return nil, err
	}
	p, rest, err := cutBatch(frame)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 || p.origin != from || p.count == 0 || p.seq == 0 {
		return nil, fmt.Errorf("batch that member %d must not send: %w", from, errMalformed)
	}
	return frame, nil
}

// dropped: batches on their way to the log are lost, so all origins begin anew, this one too.
func (r *Replica) dropped() {
	r.inbound.drop()
	signal(r.out.again)
}
