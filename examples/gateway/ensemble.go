package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
)

const members = 3

// ensemble is three servers in this process that know each other by TCP only, each with a data folder of its own. In
// production each is a `docent serve` on its own machine.
type ensemble struct {
	configs []server.Config
	servers []*server.Server
}

// startEnsemble starts the servers and has the operator connect to them.
func (s *story) startEnsemble() error {
	s.title("Three servers form an ensemble")
	dir, err := os.MkdirTemp("", "docent-gateway-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	s.atEnd(func() error { return os.RemoveAll(dir) })
	s.ensemble = &ensemble{}
	s.atEnd(s.ensemble.close)
	if err := s.ensemble.start(dir); err != nil {
		return err
	}
	for _, srv := range s.ensemble.servers {
		if err := srv.Ready(s.ctx); err != nil {
			return fmt.Errorf("wait for server %d: %w", srv.ID(), err)
		}
		s.base.Servers = append(s.base.Servers, srv.Addr())
		s.tells("server %d serves clients on %s, its log is on disk", srv.ID(), srv.Addr())
	}
	if s.operator, err = s.spawn("operator"); err != nil {
		return err
	}
	return s.writeOneReadAll()
}

// start starts all members on free ports. It takes the ports before the first member starts, as all must know them.
func (e *ensemble) start(dir string) error {
	peers := make(map[uint64]string)
	for id := uint64(1); id <= members; id++ {
		clients, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen for clients: %w", err)
		}
		others, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			clients.Close()
			return fmt.Errorf("listen for peers: %w", err)
		}
		peers[id] = others.Addr().String()
		e.configs = append(e.configs, server.Config{
			ID: id, Data: filepath.Join(dir, strconv.FormatUint(id, 10)), Peers: peers,
			Listen: clients.Addr().String(), Listener: clients, PeerListener: others,
		})
	}
	for i := range e.configs {
		srv, err := server.Start(e.configs[i])
		if err != nil {
			return fmt.Errorf("start server %d: %w", i+1, err)
		}
		e.configs[i].Listener, e.configs[i].PeerListener = nil, nil // they are the server's now
		e.servers = append(e.servers, srv)
	}
	return nil
}

// leader returns the number of the server that leads, according to one that lives.
func (e *ensemble) leader(dead uint64) (uint64, error) {
	for _, srv := range e.servers {
		if id, ok := srv.Leader(); ok && srv.ID() != dead && id != dead {
			return id, nil
		}
	}
	return 0, errors.New("no server knows of a leader")
}

// kill stops a server as kill -9 would.
func (e *ensemble) kill(id uint64) error { return e.servers[id-1].Kill() }

// restart starts a killed server again, from what is on its disk and at the addresses it had.
func (e *ensemble) restart(ctx context.Context, id uint64) (*server.Server, error) {
	cfg := e.configs[id-1]
	var err error
	if cfg.Listener, err = listenAgain(ctx, cfg.Listen); err != nil {
		return nil, fmt.Errorf("restart server %d: %w", id, err)
	}
	if cfg.PeerListener, err = listenAgain(ctx, cfg.Peers[id]); err != nil {
		cfg.Listener.Close()
		return nil, fmt.Errorf("restart server %d: %w", id, err)
	}
	srv, err := server.Start(cfg)
	if err != nil {
		return nil, fmt.Errorf("restart server %d: %w", id, err)
	}
	e.servers[id-1] = srv
	return srv, nil
}

// listenAgain listens on a port that was ours a moment ago. Meanwhile the system may have lent it to somebody's outgoing
// connection; such a loan is short, and its end is told by no event.
func listenAgain(ctx context.Context, addr string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		ln, err := net.Listen("tcp", addr)
		if err == nil || ctx.Err() != nil {
			return ln, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// close stops all at once: one by one, each would hand its lead to the next.
func (e *ensemble) close() error {
	errs := make([]error, len(e.servers))
	var wg sync.WaitGroup
	for i, srv := range e.servers {
		wg.Go(func() { errs[i] = srv.Close() })
	}
	wg.Wait()
	for _, cfg := range e.configs { // of members that were not started
		if cfg.Listener != nil {
			errs = append(errs, cfg.Listener.Close(), cfg.PeerListener.Close())
		}
	}
	return errors.Join(errs...)
}

// writeOneReadAll writes through one server and reads through the others.
func (s *story) writeOneReadAll() error {
	const path, text = "/greeting", "hello from server 1"
	through := func(i int) func(*client.Config) {
		return func(cfg *client.Config) { cfg.Servers = s.base.Servers[i : i+1] }
	}
	first, err := s.spawn("reader 1", through(0))
	if err != nil {
		return err
	}
	if _, err := first.Create(s.ctx, path, []byte(text)); err != nil {
		return err
	}
	same := true
	for i := 1; i < members; i++ {
		reader, err := s.spawn(fmt.Sprintf("reader %d", i+1), through(i))
		if err != nil {
			return err
		}
		node, err := reader.Get(s.ctx, path, client.Fresh())
		if err != nil {
			return err
		}
		same = same && string(node.Data) == text
	}
	leader, err := s.ensemble.leader(0)
	if err != nil {
		return err
	}
	s.claim(same, "what is written through server 1 is read through servers 2 and 3; server %d leads", leader)
	return nil
}
