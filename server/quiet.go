package server

import (
	"encoding/binary"
	"net"
	"syscall"

	"github.com/docent-io/docent/internal/wire"
)

// Most sessions are quiet: their clients ping now and then, and what ten thousand of them cost is system calls and
// goroutines woken. So while only pings come each costs one read, where the net package would look for more and then
// wait; and its answer is written by the goroutine that confirms it, unless the socket would make that wait.

// pingFrame is the length of a ping with its length before it.
const pingFrame = 4 + 8

// A quiet is what a connection needs for that. Of connections with TLS, and on systems without such calls, raw is nil
// and they do without.
type quiet struct {
	raw   syscall.RawConn
	took  int    // pings, since takePings began
	write []byte // what writeSome is to write, and then what is left of it
}

func newQuiet(nc net.Conn) (q quiet) {
	if tcp, ok := nc.(*net.TCPConn); ok && canCall { // nothing that wraps one: it wants to see all that passes
		if raw, err := tcp.SyscallConn(); err == nil {
			q.raw = raw
		}
	}
	return q
}

// takePings takes requests until one comes that is no ping, or the connection fails; the ordinary way finds that out
// again. It returns how many it took. Only the reader calls it.
//
// All of that is one call of raw.Read. In between calls a notice of new data could be lost, within one it is not: the
// function is called again for whatever came since it last looked.
func (c *conn) takePings() int {
	if c.quiet.raw == nil || c.readOnly || c.br.large || c.br.Buffered() > 0 {
		return 0
	}
	c.quiet.took = 0
	c.br.release()
	if err := c.quiet.raw.Read(c.readable); err != nil {
		return c.quiet.took // the next read says the same
	}
	return c.quiet.took
}

// readable is called when there may be something to read, and tells whether takePings is over.
func (c *conn) readable(fd uintptr) bool {
	n, again := readNow(fd, c.br.small[:])
	if again {
		return false
	}
	if n <= 0 {
		return true
	}
	c.br.end = n
	c.br.large = n == len(c.br.small)
	if !isPing(c.br.small[:n]) {
		return true
	}
	c.br.end = 0
	c.quiet.took++
	return c.request(c.br.small[4:n]) != nil || c.inFlight() > 1 // not confirmed in time: mind the limits
}

func isPing(b []byte) bool {
	return len(b) == pingFrame && binary.BigEndian.Uint32(b) == pingFrame-4 && wire.Op(binary.BigEndian.Uint32(b[8:])) == wire.OpPing
}

func (c *conn) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.len()
}

// flushOrSignal writes what there is if that can be done without waiting, and leaves the rest to the writer.
func (c *conn) flushOrSignal() {
	if c.quiet.raw == nil || !c.flushing.TryLock() {
		c.signal()
		return
	}
	done := c.flushSome()
	c.flushing.Unlock()
	if !done {
		c.signal()
	}
}

// flushSome tells whether nothing is left to do. The caller holds flushing.
func (c *conn) flushSome() bool {
	c.mu.Lock()
	if c.closed || c.last || len(c.out) == 0 { // who waits for its session has nothing to write
		c.mu.Unlock()
		return false
	}
	p := c.out
	c.out, c.spare = c.spare[:0], nil
	c.mu.Unlock()

	c.quiet.write = p
	failed := c.quiet.raw.Write(c.writable) != nil
	rest := c.quiet.write
	c.quiet.write = nil

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(rest) > 0 { // others have added to out meanwhile
		c.out = append(rest, c.out...)
		return false
	}
	c.below.Signal()
	if c.spare == nil && cap(p) <= keepOut {
		c.spare = p
	}
	return !failed && len(c.out) == 0
}

// writable is called once, whether the socket has room or not.
func (c *conn) writable(fd uintptr) bool {
	c.quiet.write = c.quiet.write[writeNow(fd, c.quiet.write):]
	return true
}
