package groups

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoInstance: no instance is there that is selected, up, and not left alone because it failed.
var ErrNoInstance = errors.New("no instance")

// Pick is an instance chosen for one piece of work.
type Pick struct {
	d    *Directory
	in   Instance
	life life
	once sync.Once
}

// Pick chooses one of the instances that are up. If the directory is not Synced yet it waits for that, and for nothing
// else: without an instance to choose it fails with ErrNoInstance at once. Call Done on what it returns.
func (d *Directory) Pick(ctx context.Context, s Strategy) (*Pick, error) {
	if err := d.Synced(ctx); err != nil {
		return nil, err
	}
	p, _, _, err := d.pick(s, time.Now())
	return p, err
}

// PickWait is Pick, but waits for an instance as long as there is none.
func (d *Directory) PickWait(ctx context.Context, s Strategy) (*Pick, error) {
	if err := d.Synced(ctx); err != nil {
		return nil, err
	}
	for {
		p, news, retry, err := d.pick(s, time.Now())
		if !errors.Is(err, ErrNoInstance) {
			return p, err
		}
		if waitErr := waitNews(ctx, news, retry); waitErr != nil {
			return nil, fmt.Errorf("%w; %w", waitErr, err)
		}
		d.mu.Lock()
		over := d.over
		d.mu.Unlock()
		if over != nil {
			return nil, over
		}
	}
}

// waitNews waits for news, until retry if that is set, or until ctx ends.
func waitNews(ctx context.Context, news <-chan struct{}, retry time.Time) error {
	var trial <-chan time.Time
	if !retry.IsZero() {
		timer := time.NewTimer(time.Until(retry))
		defer timer.Stop()
		trial = timer.C
	}
	select {
	case <-news:
		return nil
	case <-trial:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pick chooses now. Without an instance it tells what to wait for: news of the directory, or the end of a quarantine.
func (d *Directory) pick(s Strategy, now time.Time) (p *Pick, news <-chan struct{}, retry time.Time, err error) {
	c, lives, news, retry, err := d.choice(now)
	if err != nil {
		return nil, news, retry, err
	}
	i := s(c)
	if i < 0 || i >= len(lives) {
		return nil, nil, time.Time{}, fmt.Errorf("pick %s: the strategy chose number %d of %d", d.service, i, len(lives))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight[lives[i]]++
	d.q.picked(lives[i], now)
	return &Pick{d: d, in: c.Instances[i], life: lives[i]}, nil, time.Time{}, nil
}

// choice collects what can be picked now.
func (d *Directory) choice(now time.Time) (c Choice, lives []life, news <-chan struct{}, retry time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	up := 0
	for _, e := range d.shown {
		if e.in.Status != Up {
			continue
		}
		up++
		l := e.life()
		if !d.q.admits(l, now) {
			if until := d.q.failed[l].until; retry.IsZero() || until.Before(retry) {
				retry = until
			}
			continue
		}
		c.Instances, c.InFlight, lives = append(c.Instances, e.in), append(c.InFlight, d.inFlight[l]), append(lives, l)
	}
	if len(lives) == 0 {
		err = fmt.Errorf("pick %s: %w: %s", d.service, ErrNoInstance, d.whyNone(up))
		return c, nil, d.news, retry, err
	}
	c.Turn = d.turn
	d.turn++
	return c, lives, d.news, retry, nil
}

// whyNone says why there is nothing to choose from, where up of those that are shown are up. The caller holds the lock.
func (d *Directory) whyNone(up int) string {
	switch selected := len(d.shown); {
	case selected == 0 && d.known == 0:
		return "none is registered"
	case selected == 0 && len(d.bad) == 0:
		return fmt.Sprintf("none of %d is selected", d.known)
	case selected == 0:
		return fmt.Sprintf("none of %d is selected, %d of which cannot be read", d.known, len(d.bad))
	case up == 0:
		return fmt.Sprintf("%d selected, none is up", selected)
	default:
		return fmt.Sprintf("%d selected, %d up, every one of which failed lately", selected, up)
	}
}

// Addr is the address of the instance: host:port.
func (p *Pick) Addr() string { return p.in.Addr() }

// Instance is the instance as it was when it was picked. Its Meta is shared: do not change it.
func (p *Pick) Instance() Instance { return p.in }

// Done says that the work is over. An error puts the instance into quarantine for the pickers of this directory: it is
// not picked for a while, longer after every failure, and then by one alone, whose Done decides. That the caller lost
// interest (context.Canceled) says nothing about the instance. Only the first call counts.
func (p *Pick) Done(err error) {
	p.once.Do(func() {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		if p.d.inFlight[p.life]--; p.d.inFlight[p.life] <= 0 {
			delete(p.d.inFlight, p.life)
		}
		if !errors.Is(err, context.Canceled) {
			p.d.q.done(p.life, err != nil, time.Now())
			p.d.announce()
		}
	})
}
