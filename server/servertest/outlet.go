package servertest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate is a place that can be shut, so that whoever passes waits.
type gate struct {
	mu   sync.Mutex    // guards wall
	wall chan struct{} // closed by open; nil while open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wall == nil {
		g.wall = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wall != nil {
		close(g.wall)
		g.wall = nil
	}
}

// closed returns a channel that is closed when the gate opens; nil if it is open.
func (g *gate) closed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wall
}

// pass returns when the gate is open, or ended is closed; then false.
func (g *gate) pass(ended <-chan struct{}) bool {
	for wall := g.closed(); wall != nil; wall = g.closed() {
		select {
		case <-wall:
		case <-ended:
			return false
		}
	}
	return true
}

// pause waits for d, or until ended is closed; then it returns false.
func pause(d time.Duration, ended <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ended:
		return false
	}
}

// way is what lies between the two ends of a connection, in one direction. Many connections may share it.
type way struct {
	gate gate
	lag  atomic.Int64 // nanoseconds
}

// outlet is what is written to a connection and may be held up on its way. Writing never waits for what holds it: a
// server writes under a lock, and whoever waited for that lock would stop the clock of a bubble.
type outlet struct {
	nc    net.Conn
	way   *way
	ended chan struct{} // closed with the connection

	mu      sync.Mutex // guards the fields below
	over    bool       // ended is closed
	queue   []parcel
	running bool // a goroutine delivers the queue
	wg      sync.WaitGroup
}

// fate is what happens to a parcel.
type fate int

const (
	arrives fate = iota
	arrivesTwice
	arrivesLast // the connection breaks behind it
	getsLost    // the connection breaks in front of it
)

// parcel is some bytes and what holds them: decide may wait, and must return when ended is closed.
type parcel struct {
	data   []byte
	due    time.Time
	decide func(ended <-chan struct{}) fate // nil: it arrives
}

func newOutlet(nc net.Conn, w *way) *outlet {
	return &outlet{nc: nc, way: w, ended: make(chan struct{})}
}

// send writes the parcel at once if nothing holds it or what was sent before. There must be one sender at a time.
func (o *outlet) send(p parcel) error {
	lag := time.Duration(o.way.lag.Load())
	o.mu.Lock()
	if !o.running && p.decide == nil && lag == 0 && o.way.gate.closed() == nil {
		o.mu.Unlock()
		_, err := o.nc.Write(p.data)
		return err
	}
	defer o.mu.Unlock()
	if o.over {
		return net.ErrClosed
	}
	if lag > 0 {
		p.due = time.Now().Add(lag)
	}
	p.data = append([]byte(nil), p.data...) // the sender uses its buffer again
	o.queue = append(o.queue, p)
	if !o.running {
		o.running = true
		o.wg.Go(o.deliver)
	}
	return nil
}

// deliver works until the queue is empty or the connection breaks.
func (o *outlet) deliver() {
	for p, ok := o.next(); ok; p, ok = o.next() {
		if !o.bring(p) {
			o.nc.Close() // the other goroutines of the connection learn of it
			return
		}
	}
}

func (o *outlet) next() (p parcel, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running = len(o.queue) > 0; o.running {
		p, o.queue = o.queue[0], o.queue[1:]
	}
	return p, o.running
}

// bring delivers one parcel, and tells whether the connection lives on.
func (o *outlet) bring(p parcel) bool {
	f := arrives
	if p.decide != nil {
		f = p.decide(o.ended)
	}
	if f == getsLost || !pause(time.Until(p.due), o.ended) || !o.way.gate.pass(o.ended) {
		return false
	}
	if f == arrivesTwice {
		p.data = append(p.data, p.data...)
	}
	_, err := o.nc.Write(p.data)
	return err == nil && f != arrivesLast
}

// end gives up what has not been delivered. It does not block.
func (o *outlet) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		o.over = true
		close(o.ended)
	}
}

// close ends the connection and waits until nobody uses it.
func (o *outlet) close() error {
	o.end()
	err := o.nc.Close()
	o.wg.Wait()
	return err
}
