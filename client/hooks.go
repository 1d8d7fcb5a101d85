package client

import (
	"context"
	"time"
)

// Hooks are called by the client's goroutines, never under a lock, some of them at once. They must not block, nor call
// the client. Every field may be nil. The packages client/prommetrics and client/oteltracing make some.
type Hooks struct {
	// State gets every change of the connection's state, in order.
	State func(State)
	// Connect gets the outcome of every attempt at one address; err is nil if a session was attached.
	Connect func(addr string, err error)
	// Request gets every operation when it has ended.
	Request func(RequestInfo)
}

// With returns hooks that call those of h first, and then those of more.
func (h Hooks) With(more Hooks) Hooks {
	return Hooks{
		State:   both(h.State, more.State),
		Connect: both2(h.Connect, more.Connect),
		Request: both(h.Request, more.Request),
	}
}

func both[A any](f, g func(A)) func(A) {
	if f == nil || g == nil {
		return either(f == nil, g, f)
	}
	return func(a A) { f(a); g(a) }
}

func both2[A, B any](f, g func(A, B)) func(A, B) {
	if f == nil || g == nil {
		return either(f == nil, g, f)
	}
	return func(a A, b B) { f(a, b); g(a, b) }
}

func either[F any](first bool, a, b F) F {
	if first {
		return a
	}
	return b
}

// RequestInfo tells of an operation that has ended. For those of a batch or a Fresh read, each is told by itself.
type RequestInfo struct {
	Context  context.Context // of the caller: what a tracer finds the operation's parent in
	Session  int64           // the ensemble's number for the session
	Op       string          // the protocol's name: getData, create2, multi ...
	Path     string          // with the chroot; empty for transactions
	Duration time.Duration   // from the call to its end, waiting for a connection included
	Err      error           // nil, a Code, or why there was no answer
	// MaybeApplied: it was sent and no answer came.
	MaybeApplied bool
}

// Stats are figures of a client at one moment.
type Stats struct {
	Connects       int64 // attempts at an address, since Dial
	Attached       int64 // of these, that attached a session
	Sessions       int64 // sessions begun
	InFlight       int   // requests not answered yet
	WatchesOpen    int   // watches and streams that have not ended
	PendingDeletes int   // guaranteed deletions not confirmed yet
}
