package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// idlers are sessions that do nothing but live and watch nodes that never come to be. Each has a goroutine.
type idlers struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newIdlers opens the sessions and sets the watches. Watches without sessions are those of one more session.
func newIdlers(ctx context.Context, cfg *Config) (*idlers, error) {
	n := cfg.Sessions
	if n == 0 && cfg.Watches > 0 {
		n = 1
	}
	ctx, cancel := context.WithCancel(ctx)
	all := &idlers{cancel: cancel}
	if n > 0 {
		cfg.progress("opening %d idle sessions with %d watches", n, cfg.Watches)
	}
	err := eachOf(n, 64, func(i int) error {
		var s session
		l, err := dial(ctx, cfg, cfg.Addrs[i%len(cfg.Addrs)], &s)
		if err != nil {
			return err
		}
		l.in = l.in[:4<<10] // thousands of them
		for k := cfg.Watches * i / n; k < cfg.Watches*(i+1)/n; k += watchBatch {
			if err := l.watch(cfg.Root, k, min(k+watchBatch, cfg.Watches*(i+1)/n)); err != nil {
				l.nc.Close()
				return err
			}
		}
		l.out, l.in = nil, make([]byte, 256)
		l.from, l.to = 0, 0
		all.wg.Go(func() { l.idle(ctx, s.timeout/3) })
		return nil
	})
	if err != nil {
		all.close()
		return nil, fmt.Errorf("idle sessions: %w", err)
	}
	return all, nil
}

const watchBatch = 500

// watch watches for the nodes number k to end to be created; nobody does.
func (l *link) watch(root string, k, end int) error {
	for i := k; i < end; i++ {
		l.send(int32(i-k+1), wire.OpExists, func(b []byte) []byte {
			return wire.AppendBool(wire.AppendString(b, fmt.Sprintf("%s/w%08d", root, i)), true)
		})
	}
	if err := l.flush(); err != nil {
		return err
	}
	for i := k; i < end; i++ {
		if _, err := l.reply(int32(i - k + 1)); !errors.Is(err, wire.ErrNoNode) {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

// idle keeps the session alive until ctx ends, and then ends it. A connection that breaks is left alone: the servers
// may be killed meanwhile.
func (l *link) idle(ctx context.Context, ping time.Duration) {
	defer l.nc.Close()
	bye := wire.EndFrame(wire.RequestHeader{Xid: 1, Op: wire.OpCloseSession}.Append(wire.BeginFrame(nil)), 0)
	defer context.AfterFunc(ctx, func() {
		_, _ = l.nc.Write(bye) // the server then closes the connection; without its word the session ends by itself
	})()
	for {
		err := l.fill(time.Now().Add(ping))
		l.from = l.to
		if err == nil {
			continue
		}
		if ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		l.send(wire.XidPing, wire.OpPing, nil)
		if l.flush() != nil {
			return
		}
	}
}

func (i *idlers) close() {
	i.cancel()
	i.wg.Wait()
}
