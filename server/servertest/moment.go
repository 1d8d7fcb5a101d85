package servertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Moment is when a script acts: when a request has come to a server, or a reply is about to leave it, or when some time
// has passed.
type Moment struct {
	Server  *Server
	Op      string // of the request; empty when just time has passed
	Session int64  // whose request it is, 0 if Op is empty
	Reply   bool   // not the request, but its reply

	Rand *rand.Rand // for Do: what is drawn from it replays

	run      *Run
	fault    Fault
	released bool // used by Do's goroutine
	done     chan struct{}
}

// Let gives the request or reply a fault; Op, N and Session of it do not count. Where it comes too late, the next
// request has it: at a reply for faults of requests, and if just time has passed.
func (m *Moment) Let(f Fault) {
	if m.Op != "" && !(m.Reply && f.atRequest()) {
		m.fault = f
		return
	}
	f.Op, f.N, f.Session = anyOp, 1, 0
	m.run.undo = append(m.run.undo, m.Server.Inject(f))
}

// Resume lets the request or reply go on. Do does so when it returns.
func (m *Moment) Resume() {
	if !m.released {
		m.released = true
		close(m.done)
	}
}

// Wait resumes, and waits for d or until the script is stopped: a Do that has shut something opens it again behind it.
func (m *Moment) Wait(d time.Duration) {
	m.Resume()
	pause(d, m.run.ctx.Done())
}

// Context ends when the script is stopped.
func (m *Moment) Context() context.Context { return m.run.ctx }

// Between draws a duration, short ones as likely as long ones.
func (m *Moment) Between(least, most time.Duration) time.Duration {
	return between(m.Rand, least, most)
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	doublings := 0
	for d := least; d < most; d *= 2 {
		doublings++
	}
	return min(least<<r.IntN(doublings+1)+time.Duration(r.Int64N(int64(least))), most)
}

// String says what a script did when.
func (m *Moment) String() string {
	switch {
	case m.Op == "":
		return "after a while"
	case m.Reply:
		return fmt.Sprintf("at the reply to %s of %#x by server %d", m.Op, uint64(m.Session), m.Server.id)
	}
	return fmt.Sprintf("at %s of %#x to server %d", m.Op, uint64(m.Session), m.Server.id)
}

// wait holds whoever calls it until Do has decided, or ended is closed.
func (m *Moment) wait(ended <-chan struct{}) Fault {
	select {
	case <-m.done:
		return m.fault
	case <-ended:
		return Fault{Kind: RequestDropped}
	}
}
