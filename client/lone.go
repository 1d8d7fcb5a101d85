package client

import (
	"errors"
	"os"
	"time"
)

// Most connections carry one call at a time, most of the time. With a writer and a reader beside the caller, such a call
// costs three goroutines that wake each other, which is more than all the rest of it. So the caller writes a request by
// itself if no other is open, and reads its answer by itself when the reader stands by. The reader does so behind lone
// calls, and only while no watch is open, as nothing but answers is to be expected then. It reads again as soon as there
// is more than one call, or a watch; when a call takes long, so that its context is looked at; and when no call has come
// for a moment.

const (
	loneEnough = 8                // lone flights in a row after which the reader stands by
	glance     = time.Millisecond // how often the reader looks up then
)

// role says whose turn it is to read from a connection.
type role uint8

const (
	byReader role = iota
	byNobody
	byCaller // whose flight is under way
)

// long ago, as a deadline, makes a read fail at once.
var longAgo = time.Unix(1, 0)

// send is enqueue, and writes at once if it can. With lead, the one who waits for the calls is to do so by read: the
// answers are his to read.
func (c *conn) send(calls []*call) (taken, lead bool, err error) {
	c.mu.Lock()
	alone := c.open.Load() == 0
	if taken, err = c.number(calls); !taken || err != nil {
		c.mu.Unlock()
		return taken, false, err
	}
	if !alone {
		c.lone = 0
		c.signal()
		c.readAgain()
		c.mu.Unlock()
		return true, false, nil
	}
	c.lone++
	if lead = c.reading == byNobody; lead {
		c.reading = byCaller
	}
	if c.direct == nil || c.writing {
		c.signal()
		c.mu.Unlock()
		return true, lead, nil
	}
	full := c.swap(c.spare)
	c.spare, c.writing = nil, true
	c.mu.Unlock()
	n := c.direct.write(full)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written(full, n)
	return true, lead, nil
}

// written leaves to the writer what a caller could not write without waiting, an error included, and what has come
// meanwhile. The caller holds mu.
func (c *conn) written(full []byte, n int) {
	c.writing = false
	if n < len(full) {
		c.out = append(append([]byte(nil), full[n:]...), c.out...)
	}
	if len(c.out) > 0 {
		c.signal()
	}
	if cap(full) <= keepBuffer {
		c.spare = full[:0]
	}
}

// read handles frames until the last call of a flight has its answer. It returns earlier when the connection fails, or
// the reader wants to read again: the caller is to wait for the answer either way.
func (c *conn) read(last *call) {
	var err error
	for err == nil && last.state.Load() == callWaiting {
		err = c.readOne()
	}
	calm := c.s.watches.count() == 0 // a watch opens only by an answer, and we have read the last one
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.recall && errors.Is(err, os.ErrDeadlineExceeded):
		err = nil
	case err == nil && calm && !c.recall && c.open.Load() == 0:
		c.reading = byNobody
		return
	}
	c.reading, c.failure = byReader, err
	c.back <- struct{}{} // of one, and only who ends another's turn sends
}

// readAgain ends the rest of the reader, unless a caller reads: that one will see that there is more to come. The caller
// holds mu.
func (c *conn) readAgain() {
	if c.reading == byNobody {
		c.reading = byReader
		c.back <- struct{}{}
	}
}

// rests tells whether the reader may let callers read.
func (c *conn) rests() bool {
	if c.open.Load() > 0 || c.br.Buffered() > 0 || c.s.watches.count() > 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lone < loneEnough || c.open.Load() > 0 || c.over || !c.deadlines {
		return false
	}
	c.reading = byNobody
	return true
}

// standBy waits until the reader has to read again, and sees to it that nobody reads for too long, nor for too long
// nobody. It returns the error at which a caller's reading ended.
func (c *conn) standBy() error {
	timer := time.NewTimer(glance)
	defer timer.Stop()
	for seen := int32(0); ; {
		select {
		case <-c.back:
			return c.resume()
		case <-timer.C:
		}
		now, ours, recall := c.look(seen)
		if ours {
			return nil
		}
		if recall {
			if c.nc.SetReadDeadline(longAgo) != nil {
				c.nc.Close() // it is closed already
			}
			<-c.back
			return c.resume()
		}
		seen = now
		timer.Reset(glance)
	}
}

// resume makes reading the reader's again after a caller gave it back.
func (c *conn) resume() error {
	c.mu.Lock()
	err, interrupted := c.failure, c.recall
	c.recall = false
	c.mu.Unlock()
	if err == nil && interrupted {
		err = c.nc.SetReadDeadline(time.Time{})
	}
	return err
}

// look compares the number of the latest request with that of the last look. If there was none since, then either
// nobody reads, and from now on the reader does; or a caller, who is to be interrupted.
func (c *conn) look(seen int32) (now int32, ours, recall bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.xid != seen || c.reading == byReader: // and back tells
		return c.xid, false, false
	case c.reading == byNobody:
		c.reading, ours = byReader, true
	default:
		c.recall = true
	}
	c.lone = 0
	return c.xid, ours, c.recall
}
