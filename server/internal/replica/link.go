package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Requests and answers travel as frames:
//
//	0 length of what follows · 4 number of the request · 12 what (of an answer: status) · 13 payload
//
// Answers come in any order.
const (
	frameHeader = 13
	maxFrame    = MaxCommand + 1024
	maxServing  = 256 // requests of one peer served at once
)

type what byte

const (
	askStatus what = 1 // answered with the peer's status
	askCall   what = 2 // the server's handler, at the leader
	askSync   what = 3 // the commit index, at the leader
	askMember what = 4 // a change of members, at the leader
	askMark   what = 5 // what the peer's machine is like
	askGone   what = 6 // whether the asker was removed for certain
)

type status byte

const (
	statusOK       status = 0
	statusNoLeader status = 1
	statusError    status = 2 // the payload is the handler's error
	statusRemoved  status = 3 // whoever asks is no member; the payload is 1 + the last entry applied
	statusGone     status = 4 // it was removed, and that is committed; the payload is the birth of the store that says so
)

var errLinkDown = errors.New("no connection to the peer")

type answer struct {
	from    uint64
	status  status
	payload []byte
	err     error // the answer did not come
}

func appendFrame(b []byte, id uint64, k byte, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(frameHeader-4+len(payload)))
	b = binary.LittleEndian.AppendUint64(b, id)
	b = append(b, k)
	return append(b, payload...)
}

func readFrame(r *bufio.Reader) (id uint64, k byte, payload []byte, err error) {
	head, err := r.Peek(frameHeader)
	if err != nil {
		return 0, 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n < frameHeader-4 || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("frame of %d bytes: %w", n, errMalformed)
	}
	id, k = binary.LittleEndian.Uint64(head[4:]), head[12]
	r.Discard(frameHeader)
	payload, err = readN(r, int(n)-(frameHeader-4))
	return id, k, payload, err
}

// readN reads n bytes, without believing at once that so many will come.
func readN(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, 64<<10))
	for got := 0; ; {
		m, err := io.ReadFull(r, b[got:])
		if err != nil {
			return nil, err
		}
		if got += m; got == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-got, got))...)
	}
}

// sender writes frames that others have queued, as many at once as there are. It takes over the connection's writing side.
type sender struct {
	wake chan struct{}

	mu     sync.Mutex // guards buf and closed
	buf    []byte
	closed bool
}

func newSender() *sender { return &sender{wake: make(chan struct{}, 1)} }

// send queues a frame; false if the connection is gone.
func (s *sender) send(id uint64, k byte, payload []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.buf = appendFrame(s.buf, id, k, payload)
	signal(s.wake)
	return true
}

// run writes until ctx ends or a write fails. A peer that takes nothing for so long as writeWait is as good as gone.
func (s *sender) run(ctx context.Context, c net.Conn) error {
	var spare []byte
	for {
		s.mu.Lock()
		b := s.buf
		s.buf = spare[:0]
		s.mu.Unlock()
		if len(b) > 0 {
			c.SetWriteDeadline(time.Now().Add(writeWait))
			if _, err := c.Write(b); err != nil {
				return err
			}
			spare = b
			if cap(spare) > 1<<20 {
				spare = nil
			}
			continue
		}
		spare = b
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.buf = true, nil
}

const writeWait = 10 * time.Second

// link asks one peer. It keeps a connection open all the time, and by that notices when the peer's process dies.
type link struct {
	peer   Peer
	port   *port
	onUp   func(id uint64)
	onLost func(id uint64) // the connection broke, and the peer's machine refuses a new one: its process is gone

	removed atomic.Uint64 // 0 if the peer takes us for a member, else 1 + the last entry it has applied

	mu      sync.Mutex // guards what follows
	out     *sender    // nil while there is no connection
	next    uint64
	waiting map[uint64]chan<- answer
}

// ask sends a request. The answer, or that none will come, is put into ch, which must have room for it.
// It returns a number by which to give up.
func (l *link) ask(k what, payload []byte, ch chan<- answer) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		ch <- answer{from: l.peer.ID, err: errLinkDown}
		return 0
	}
	l.next++
	l.waiting[l.next] = ch
	l.out.send(l.next, byte(k), payload)
	return l.next
}

// giveUp forgets a request.
func (l *link) giveUp(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
}

// call asks and waits.
func (l *link) call(ctx context.Context, k what, payload []byte) (answer, error) {
	ch := make(chan answer, 1)
	id := l.ask(k, payload, ch)
	select {
	case a := <-ch:
		return a, a.err
	case <-ctx.Done():
		l.giveUp(id)
		return answer{}, ctx.Err()
	}
}

// inquire puts a question to the members behind the links, and returns the answers that come before ctx ends.
func inquire(ctx context.Context, links map[uint64]*link, k what, payload []byte) map[uint64]answer {
	heard := make(map[uint64]answer)
	answers := make(chan answer, len(links))
	asked := make(map[uint64]uint64)
	for id, l := range links {
		asked[id] = l.ask(k, payload, answers)
	}
	for range asked {
		select {
		case a := <-answers:
			if a.err == nil {
				heard[a.from] = a
			}
		case <-ctx.Done():
			for id, n := range asked {
				links[id].giveUp(n)
			}
			return heard
		}
	}
	return heard
}

// run keeps the connection until ctx ends.
func (l *link) run(ctx context.Context) {
	wait := minRedial
	for had := false; ctx.Err() == nil; {
		dctx, cancel := context.WithTimeout(ctx, dialWait)
		c, err := l.port.dial(dctx, l.peer.Addr, l.peer.ID, forCalls)
		cancel()
		if err != nil {
			if had && errors.Is(err, syscall.ECONNREFUSED) {
				l.onLost(l.peer.ID)
			}
			had = false
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, maxRedial)
			continue
		}
		began := time.Now()
		had = l.serve(ctx, c) || had // a process that dies may take one more connection
		if wait = minRedial; time.Since(began) < minRedial {
			select { // the peer takes connections and drops them: do not spin
			case <-time.After(minRedial):
			case <-ctx.Done():
			}
		}
	}
}

const (
	minRedial = 10 * time.Millisecond
	maxRedial = 250 * time.Millisecond
	dialWait  = 2 * time.Second
)

// serve uses a connection until it breaks, and returns true if it ever worked.
func (l *link) serve(ctx context.Context, c net.Conn) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { c.Close() })()
	out := newSender()
	l.mu.Lock()
	l.out = out
	l.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { out.run(ctx, c); cancel() })
	// Only an answer shows that the other side has taken us: a port that is closing accepts, too.
	ok := false
	l.removed.Store(0)
	first := make(chan answer, 1)
	l.ask(askStatus, nil, first)
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		id, k, payload, err := readFrame(r)
		if err != nil {
			break
		}
		if !ok {
			ok = true
			l.onUp(l.peer.ID)
		}
		if status(k) == statusRemoved && len(payload) == 8 {
			l.removed.Store(binary.LittleEndian.Uint64(payload))
		}
		l.mu.Lock()
		ch := l.waiting[id]
		delete(l.waiting, id)
		l.mu.Unlock()
		if ch != nil {
			ch <- answer{from: l.peer.ID, status: status(k), payload: payload}
		}
	}
	cancel()
	c.Close()
	l.down()
	wg.Wait()
	return ok
}

// down fails all that waits.
func (l *link) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.close()
	l.out = nil
	for id, ch := range l.waiting {
		delete(l.waiting, id)
		ch <- answer{from: l.peer.ID, err: errLinkDown}
	}
}

// serveCalls is the other end of a link: it answers the requests of one peer.
func (r *Replica) serveCalls(ctx context.Context, c net.Conn, from uint64) {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { c.Close() })()
	out := newSender()
	var wg sync.WaitGroup
	wg.Go(func() { out.run(ctx, c); cancel() })
	slots := make(chan struct{}, maxServing)
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		id, k, payload, err := readFrame(in)
		if err != nil {
			break
		}
		member := r.isMember(from)
		if !member && what(k) != askGone {
			out.send(id, byte(statusRemoved), binary.LittleEndian.AppendUint64(nil, r.fsm.index.Load()+1))
			continue
		}
		if what(k) == askStatus {
			out.send(id, byte(statusOK), r.status().append(nil))
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue // the next read fails
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if !member {
				out.send(id, byte(r.vouch(ctx, from)), binary.LittleEndian.AppendUint64(nil, r.births.own))
				return
			}
			st, answer := r.answer(ctx, from, what(k), payload)
			out.send(id, byte(st), answer)
		})
	}
	cancel()
	out.close()
	c.Close()
	wg.Wait()
}

// connected tells whether the peer can be asked. A member that is gone, and has no link, cannot.
func (l *link) connected() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out != nil
}
