//go:build unix

package client

import (
	"net"
	"syscall"
)

// tryWriter writes to a TCP connection what fits into the kernel's buffer, without waiting for room. Nobody else may
// write meanwhile.
type tryWriter struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // made once
	buf []byte
	n   int
}

// newTryWriter returns nil if that cannot be done: what wraps a connection has a Write of its own to go through.
func newTryWriter(nc net.Conn) *tryWriter {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	w := &tryWriter{raw: raw}
	w.try = func(fd uintptr) bool {
		w.n, _ = syscall.Write(int(fd), w.buf) // an error comes again when the rest is written
		return true
	}
	return w
}

// write returns how much it has written.
func (w *tryWriter) write(b []byte) int {
	w.buf, w.n = b, 0
	_ = w.raw.Write(w.try) // the connection is closed: the next one to write finds out
	w.buf = nil
	return max(w.n, 0)
}
