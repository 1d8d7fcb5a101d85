package leader

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// ErrRetry makes Run, when fn returns it, give up the term and campaign again.
var ErrRetry = errors.New("campaign again")

// Option changes how leaders are elected.
type Option func(*options)

type options struct {
	addr    string
	layout  Layout
	grace   time.Duration
	overrun func(*Term)
}

func newOptions(o []Option) *options {
	opt := &options{grace: 10 * time.Second}
	for _, set := range o {
		set(opt)
	}
	return opt
}

// WithAddr publishes where the leader can be reached.
func WithAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// WithGrace sets how long fn may take to return after its context has ended, before OnOverrun is called. Default 10 s.
func WithGrace(d time.Duration) Option { return func(o *options) { o.grace = d } }

// OnOverrun sets what to do when fn has not returned within the grace: by then somebody else may lead. By default it is
// logged. The function runs once per term, on a goroutine of its own, while fn is still running; Run waits for it.
func OnOverrun(f func(*Term)) Option { return func(o *options) { o.overrun = f } }

// Exit ends the process, with code 76: for OnOverrun, where no leader is better than two.
func Exit(t *Term) {
	slog.Error("leader did not stop in time, exiting", "token", t.Token())
	os.Exit(76)
}

// Run campaigns at path and calls fn whenever it is our turn to lead. The context fn gets has the values of ctx, and
// ends when ctx ends or the term is lost, with the reason as its cause; fn should return soon then. The term is given
// up when fn has returned, never before.
//
// Run returns when ctx has ended, or when fn has returned in a term that was not lost, with the error of fn and what
// went wrong with the release. After a lost term, whatever fn returned, and after ErrRetry it campaigns again. It also
// returns when campaigning is refused for good: the client is closed, permission is missing.
func Run(ctx context.Context, c *client.Client, path string, fn func(context.Context, *Term) error, o ...Option) error {
	opt := newOptions(o)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		again, err := opt.once(ctx, c, path, fn)
		if !again || ctx.Err() != nil {
			return err
		}
		c.Logger().Info("leader: campaigning again", "path", path, "reason", err)
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

// once is one candidacy and, if it succeeds, one term.
func (opt *options) once(ctx context.Context, c *client.Client, path string, fn func(context.Context, *Term) error) (again bool, err error) {
	term, err := opt.campaign(ctx, c, path, (*recipes.Ticket).Wait)
	if err != nil {
		return passes(err), err
	}
	ctx, stop := term.hold.Bind(ctx)
	defer stop()
	led := false
	if err = term.acknowledge(ctx); err == nil {
		led = true
		err = opt.lead(ctx, c, term, fn)
	}
	lost := term.hold.Lost()
	if lost {
		err = errors.Join(context.Cause(term.Context()), err)
	}
	again = lost || errors.Is(err, ErrRetry) || !led && passes(err)
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	return again, errors.Join(err, term.Resign(release))
}

// lead calls fn, and somebody else if fn does not return in time once its context has ended.
func (opt *options) lead(ctx context.Context, c *client.Client, term *Term, fn func(context.Context, *Term) error) error {
	returned, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		opt.watch(ctx, c, term, returned)
	}()
	defer func() { close(returned); <-watched }()
	return fn(ctx, term)
}

func (opt *options) watch(ctx context.Context, c *client.Client, term *Term, returned <-chan struct{}) {
	select {
	case <-returned:
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(opt.grace)
	defer timer.Stop()
	select {
	case <-returned:
		return
	case <-timer.C:
	}
	c.Logger().Error("leader: still running after the end of its term", "token", term.Token(), "grace", opt.grace, "cause", context.Cause(ctx))
	if opt.overrun != nil {
		opt.overrun(term)
	}
}

// Pauses between campaigns, and the time for a confirmation that a term has ended.
const (
	firstPause  = 50 * time.Millisecond
	lastPause   = 5 * time.Second
	releaseTime = 3 * time.Second
)

// passes holds for what ends a candidacy but not the next one.
func passes(err error) bool {
	for _, e := range []error{client.ErrSessionExpired, client.ErrSessionDeadline, client.ErrSuspended, client.ErrMaybeApplied, recipes.ErrGone} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// rest pauses for d, give or take a half, so that those who lost their terms together do not return together.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
