package client

import "time"

// Hooks are called by the client's goroutines, never under a lock, some of them at once. They must not block, nor call
// the client. Every field may be nil.
type Hooks struct {
	// State gets every change of the connection's state, in order.
	State func(State)
	// Connect gets the outcome of every attempt at one address; err is nil if a session was attached.
	Connect func(addr string, err error)
	// Request gets every operation when it has ended.
	Request func(RequestInfo)
}

// RequestInfo tells of an operation that has ended. For those of a batch or a Fresh read, each is told by itself.
type RequestInfo struct {
	Op       string // the protocol's name: getData, create2, multi ...
	Path     string // with the chroot; empty for transactions
	Duration time.Duration
	Err      error // nil, a Code, or why there was no answer
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
