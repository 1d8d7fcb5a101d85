package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
)

// mortal is the session timeout of those who are going to die, so that nobody has to wait for long. The others have the
// client's default.
const mortal = 2 * time.Second

// process stands for a process of the gateway: it has a session of its own, and can vanish as by kill -9.
type process struct {
	*client.Client
	name  string
	cable *cable
}

// connectWithin is how long a process may take to reach the ensemble.
const connectWithin = 5 * time.Second

// spawn starts a process, which ends with the story.
func (s *story) spawn(name string, change ...func(*client.Config)) (*process, error) {
	p, err := s.dial(name, change...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// dial starts a process that the caller has to close.
func (s *story) dial(name string, change ...func(*client.Config)) (*process, error) {
	p := &process{name: name, cable: &cable{dial: s.base.DialContext}}
	if p.cable.dial == nil {
		p.cable.dial = (&net.Dialer{}).DialContext
	}
	cfg := s.base
	cfg.Identity = name
	cfg.DialContext = p.cable.connect
	cfg.CloseTimeout = time.Second
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(s.ctx, connectWithin)
	defer cancel()
	var err error
	if p.Client, err = client.Dial(ctx, cfg); err != nil {
		return nil, fmt.Errorf("%s cannot reach the ensemble: %w", name, err)
	}
	return p, nil
}

// closeProcesses ends all sessions. Those that were cut off cannot say good-bye.
func (s *story) closeProcesses() error {
	errs := make([]error, len(s.processes))
	var wg sync.WaitGroup
	for i, p := range s.processes {
		wg.Go(func() {
			if err := p.Close(); err != nil && !p.cable.isCut() {
				errs[i] = fmt.Errorf("close the session of %s: %w", p.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// mortally is for spawn: the process has little time once nobody hears from it.
func mortally(cfg *client.Config) { cfg.SessionTimeout, cfg.RequireTimeout = mortal, false }

// cable is a process's way to the servers. When it is cut, nothing gets through any more, and nobody is told so.
type cable struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex // guards the rest
	conns []net.Conn
	isOff bool
}

var errCut = errors.New("the cable is cut")

func (k *cable) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	if k.isCut() {
		return nil, errCut
	}
	conn, err := k.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	off := k.isOff
	if !off {
		k.conns = append(k.conns, conn)
	}
	k.mu.Unlock()
	if off {
		conn.Close()
		return nil, errCut
	}
	return conn, nil
}

func (k *cable) cut() {
	k.mu.Lock()
	k.isOff = true
	conns := k.conns
	k.conns = nil
	k.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (k *cable) isCut() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.isOff
}
