package recipes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// Pauses between attempts to put a node back that somebody keeps deleting, or that a server keeps refusing.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Presence keeps an ephemeral node there: it is put back when somebody deletes it, its data when somebody changes them,
// and both on the next session when one has ended. The methods may be called by several goroutines at once.
type Presence struct {
	c    *client.Client
	path string
	stop context.CancelFunc
	done chan struct{} // closed when run has ended
	poke chan struct{} // room for one: there are new data to be shown

	mu    sync.Mutex      // guards what follows, up to news
	want  wish            // gen counts Set
	drift func([]byte)    // see OnDrift; may be nil
	shown int             // the gen that the node shows; −1 when it is not there
	here  context.Context // of this appearance of the node
	leave context.CancelCauseFunc
	err   error         // why it is not there, if known
	over  bool          // for good
	news  chan struct{} // closed and replaced when any of this changes

	// Of run alone, and of Close after it:
	s    *client.Session // the session on which the node may be ours; nil if it is not
	mine map[int64]bool  // our sessions so far, whose nodes are left-overs
	seen []byte          // the data we wrote that the node was seen to have
	sent []byte          // those we tried to write last
}

// NewPresence begins to keep an ephemeral node with data at path, making missing parents as containers. It goes on,
// from session to session, until Close, or until a server refuses in a way that repeating does not help (see Ready).
// The data are taken over.
func NewPresence(c *client.Client, path string, data []byte) *Presence {
	ctx, stop := context.WithCancel(context.Background())
	p := &Presence{
		c: c, path: zpath.Join("/", path), stop: stop,
		done: make(chan struct{}), poke: make(chan struct{}, 1), news: make(chan struct{}),
		want: wish{data: data}, shown: -1, mine: make(map[int64]bool),
	}
	p.here, p.leave = context.WithCancelCause(context.Background())
	p.leave(ErrGone)
	go p.run(ctx)
	return p
}

// Ready waits until the node is there and shows the data last set. When ctx ends first, the error says as well what is
// in the way if that is known: ErrTaken when the node belongs to a session of somebody else. After Close, or a refusal
// for good (client.ErrNoAuth, for one), it fails at once.
func (p *Presence) Ready(ctx context.Context) error {
	p.mu.Lock()
	gen := p.want.gen
	p.mu.Unlock()
	return p.await(ctx, gen)
}

// Set changes the data, on this session and those to come, and waits until the node shows them, as Ready does. When it
// fails the data are still to be shown as soon as that is possible. They are taken over.
func (p *Presence) Set(ctx context.Context, data []byte) error {
	p.mu.Lock()
	p.want = wish{data: data, gen: p.want.gen + 1}
	gen := p.want.gen
	p.mu.Unlock()
	select {
	case p.poke <- struct{}{}:
	default:
	}
	return p.await(ctx, gen)
}

// OnDrift has f told what somebody else has made of the node's data, before the data last set are put back: f may call
// Set, to meet a wish that is in them. One goroutine calls it, which must not be kept waiting. Call OnDrift right after
// NewPresence.
func (p *Presence) OnDrift(f func(data []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drift = f
}

// Context is that of the present appearance of the node: it ends when the node's session ends, when somebody deletes the
// node, or by Close (cause ErrReleased). While the node is not there it has ended.
func (p *Presence) Context() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here
}

// Path is the path of the node.
func (p *Presence) Path() string { return p.path }

// Close stops and deletes the node, if it is ours; errors are those of Hold.Release. It may be called again.
func (p *Presence) Close(ctx context.Context) error {
	p.stop()
	<-p.done
	if p.s == nil {
		return nil
	}
	if err := remove(ctx, p.s, p.path); err != nil {
		return fmt.Errorf("close presence %s: %w", p.path, err)
	}
	return nil
}

func (p *Presence) await(ctx context.Context, gen int) error {
	for {
		p.mu.Lock()
		shown, here, over, err, news := p.shown, p.here, p.over, p.err, p.news
		p.mu.Unlock()
		switch {
		case shown >= gen && here.Err() == nil: // a session that has just ended took the node along before run knows
			return nil
		case over:
			return fmt.Errorf("presence %s: %w", p.path, err)
		}
		select {
		case <-news:
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("presence %s: %w: %w", p.path, ended(ctx), err)
			}
			return fmt.Errorf("presence %s: %w", p.path, ended(ctx))
		}
	}
}

// run is the goroutine that keeps the node.
func (p *Presence) run(ctx context.Context) {
	defer close(p.done)
	for {
		s, err := p.c.Session(ctx)
		if err == nil {
			p.mine[s.ID()] = true
			err = p.keep(ctx, s)
		}
		switch {
		case ctx.Err() != nil:
			p.absent(ErrReleased, true)
			return
		case s == nil || s.Context().Err() == nil: // no session to be had any more, or refused
			p.absent(err, true)
			return
		}
		p.s = nil
		p.absent(context.Cause(s.Context()), false)
	}
}

// keep compares what is there with what should be and acts on the difference, again and again, until ctx or the session
// ends or a server refuses for good.
func (p *Presence) keep(ctx context.Context, s *client.Session) error {
	var pause time.Duration
	var last time.Time // the node was put there
	for missing := true; ; {
		if missing {
			if time.Since(last) > 2*lastPause {
				pause = 0
			}
			if err := rest(ctx, s, pause); err != nil {
				return err
			}
			pause, last = min(max(2*pause, firstPause), lastPause), time.Now()
			p.s = s // from here on there may be a node of ours
			p.sent = p.wanted().data
			_, err := s.Create(ctx, p.path, p.sent, client.Ephemeral(), client.Parents())
			if err != nil && !lookAgain(err) {
				if code := client.Code(0); errors.As(err, &code) {
					p.s = nil // refused
				}
				return err
			}
		}
		w, err := p.compare(ctx, s)
		if missing = errors.Is(err, client.ErrNoNode); err != nil {
			if lookAgain(err) {
				continue
			}
			return err
		}
		select {
		case <-w.Done():
		case <-p.poke:
			w.Close()
		case <-ctx.Done():
			w.Close()
			return ctx.Err()
		}
	}
}

// compare reads the node, acts if it is not as it should be, and returns a watch that fires when there is more to do.
func (p *Presence) compare(ctx context.Context, s *client.Session) (*client.Watch, error) {
	node, w, err := s.GetW(ctx, p.path)
	if err != nil {
		if errors.Is(err, client.ErrNoNode) {
			p.s = nil
			p.absent(ErrGone, false)
		}
		return nil, err
	}
	switch owner := node.Stat.EphemeralOwner; {
	case owner == s.ID():
		p.s = s
		p.heed(node.Data)
		want := p.wanted()
		if bytes.Equal(node.Data, want.data) {
			p.present(s, want.gen)
			break
		}
		p.present(s, -1)
		p.sent = want.data
		_, err = s.Set(ctx, p.path, want.data, node.Stat.Version)
	case p.mine[owner]: // of a session of ours that is over, and would take it along some day (CURATOR-154, -258)
		err = s.Delete(ctx, p.path, node.Stat.Version)
	default:
		p.s = nil
		p.absent(fmt.Errorf("%w: %#x", ErrTaken, uint64(owner)), false)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil // what we changed has made it fire, or will
}

// heed tells OnDrift's f of data that are not ours. Ours are also those that a Set has made old meanwhile.
func (p *Presence) heed(data []byte) {
	if bytes.Equal(data, p.seen) || bytes.Equal(data, p.sent) {
		p.seen = data
		return
	}
	p.mu.Lock()
	drift := p.drift
	p.mu.Unlock()
	if drift != nil {
		drift(data)
	}
}

// lookAgain holds for errors after which only another look tells how things are.
func lookAgain(err error) bool {
	return errors.Is(err, client.ErrMaybeApplied) || errors.Is(err, client.ErrNoNode) ||
		errors.Is(err, client.ErrNodeExists) || errors.Is(err, client.ErrBadVersion)
}

// rest pauses for d, or less if ctx or the session ends.
func rest(ctx context.Context, s *client.Session, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.Context().Done():
		return context.Cause(s.Context())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wish is what the node should hold.
type wish struct {
	data []byte
	gen  int
}

func (p *Presence) wanted() wish {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}

// present tells whoever waits that the node is there, and as of which Set; −1 for data that are not ours.
func (p *Presence) present(s *client.Session, gen int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.here.Err() != nil {
		p.here, p.leave = context.WithCancelCause(s.Context())
	}
	p.shown, p.err = gen, nil
	p.announce()
}

// absent tells whoever waits that the node is not there, why, and whether it stays so.
func (p *Presence) absent(why error, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(why)
	p.shown, p.err, p.over = -1, why, over
	p.announce()
}

func (p *Presence) announce() {
	close(p.news)
	p.news = make(chan struct{})
}
