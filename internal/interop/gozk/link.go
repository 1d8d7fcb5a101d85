package main

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// link is a dialer whose connections can be cut, refused, and led to another server. It records the states of the
// session and every event in the order the client handled them.
type link struct {
	mu     sync.Mutex // guards target and conn
	target string     // empty: refuse
	conn   net.Conn

	states chan zk.State
	events chan zk.Event
}

func newLink(addr string) *link {
	return &link{target: addr, states: make(chan zk.State, 1000), events: make(chan zk.Event, 1000)}
}

// dial is the client's dialer. It does not look at the address the client asks for.
func (l *link) dial(_, _ string, timeout time.Duration) (net.Conn, error) {
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	if target == "" {
		time.Sleep(10 * time.Millisecond) // go-zookeeper tries again at once
		return nil, errors.New("cut off by the check")
	}
	c, err := net.DialTimeout("tcp", target, timeout)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = c
	return c, err
}

// cut closes the connection; new ones go to target, or fail while it is empty.
func (l *link) cut(target string) {
	l.lead(target)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.Close()
}

// lead sends new connections to target.
func (l *link) lead(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// record is the client's event callback.
func (l *link) record(ev zk.Event) {
	if ev.Type == zk.EventSession {
		l.states <- ev.State
	} else {
		l.events <- ev
	}
}

// until waits for the session to reach state and returns it, or the last state before time was up.
func (l *link) until(state zk.State) zk.State {
	var last zk.State
	for end := time.After(wait); ; {
		select {
		case last = <-l.states:
			if last == state {
				return last
			}
		case <-end:
			return last
		}
	}
}

// next returns the kind and path of the next event.
func (l *link) next() string {
	return next(l.events)
}

// connect opens a session over l and returns once it has one.
func (e *env) connect(l *link) *zk.Conn {
	c, _, err := zk.Connect([]string{"127.0.0.1:1"}, e.timeout, // the address is a placeholder: l knows the real one
		zk.WithDialer(l.dial), zk.WithLogInfo(false), zk.WithLogger(silent{}), zk.WithEventCallback(l.record))
	must0(err)
	if got := l.until(zk.StateHasSession); got != zk.StateHasSession {
		panic("no session: " + got.String())
	}
	e.conns = append(e.conns, c)
	return c
}

// next waits for an event of a watch and returns its kind and path.
func next(ch <-chan zk.Event) string {
	select {
	case ev, ok := <-ch:
		if !ok {
			return "channel closed"
		}
		if ev.Err != nil {
			return ev.Type.String() + " " + ev.Path + " " + ev.Err.Error()
		}
		return ev.Type.String() + " " + ev.Path
	case <-time.After(wait):
		return "no event"
	}
}

// silent drops the client's log: a lost connection is part of the checks.
type silent struct{}

func (silent) Printf(string, ...any) {}
