package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/cmd/docent/internal/child"
	"github.com/docent-io/docent/recipes"
)

// wrap is what the verbs have in common that run a child while they hold something.
type wrap struct {
	e      env
	cmd    *cobra.Command
	remote *remote
	wait   *patience
	grace  time.Duration
	onLost string
	json   bool
}

// hold is what a child runs under.
type hold interface {
	Context() context.Context // ends when it is lost
	Session() *client.Session
}

// taken is what a verb has taken for its child.
type taken struct {
	hold    hold                                      // nil: nothing that can be lost
	event   event                                     // what to tell about it
	vars    []string                                  // of the child's environment, as NAME=TEXT
	ready   *readiness                                // what the child says when it is ready; nil: it says nothing
	started func(ctx context.Context) error           // what to do once it runs; nil: nothing
	ending  func(ended <-chan struct{})               // what to do before the child is asked to end; nil: nothing
	release func(ctx context.Context, code int) error // once the child has ended; not called for what is lost
}

// onlyChild are the variables that are set for the child alone. Those of a docent around us are not ours to hand on.
var onlyChild = []string{"DOCENT_TOKEN", "DOCENT_SLOT", "DOCENT_SLOTS", "DOCENT_LOCK", "DOCENT_GENERATION"}

// newWrap gives a verb the flags that all of its kind have.
func newWrap(cmd *cobra.Command, e env) *wrap {
	w := &wrap{e: e, cmd: cmd, remote: addRemote(cmd, e)}
	cmd.Flags().BoolVar(&w.json, "json", false, "tell on stderr, as JSON lines, what happens")
	return w
}

// addWait gives the verb --wait.
func (w *wrap) addWait(what string) { w.wait = addPatience(w.cmd, what) }

// addLoss gives the verb the flags that say what happens to the child when what is held is lost.
func (w *wrap) addLoss() {
	fs := w.cmd.Flags()
	fs.DurationVar(&w.grace, "grace", 0, "time from TERM to KILL (default a sixth of the session timeout)")
	fs.StringVar(&w.onLost, "on-lost", onLostTerm, "`what` to do when it is lost: term (TERM, KILL), kill, ignore")
	completeFlag(w.cmd, "on-lost", onLostTerm, onLostKill, onLostIgnore)
}

// wrapArgs checks the arguments of a verb that runs a child: those named, then -- and the command.
func wrapArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		dash := cmd.ArgsLenAtDash()
		switch {
		case dash < 0 && len(args) > len(names):
			return usagef("the command is to stand behind --, as in: %s -- %s", strings.Join(args[:len(names)], " "), strings.Join(args[len(names):], " "))
		case dash < 0:
			dash = len(args)
		}
		if err := exactArgs(names...)(cmd, args[:dash]); err != nil {
			return err
		}
		if len(args) == dash {
			return usagef("the command is missing: -- COMMAND [ARGUMENT...]")
		}
		return nil
	}
}

// check refuses what cannot be, before anything is connected to, and returns the path of the child's program.
func (w *wrap) check(argv []string) (program string, err error) {
	if w.wait != nil {
		if err := w.wait.check(); err != nil {
			return "", err
		}
	}
	if w.onLost != "" && !slices.Contains([]string{onLostTerm, onLostKill, onLostIgnore}, w.onLost) {
		return "", usagef("--on-lost %q: want term, kill or ignore", w.onLost)
	}
	cfg, err := w.remote.config()
	if err != nil {
		return "", err
	}
	if err := w.checkGrace(cfg, cmpOr(cfg.SessionTimeout, 10*time.Second), "asked for"); err != nil {
		return "", err
	}
	program, err = lookUp(argv[0])
	if err != nil {
		return "", err
	}
	if what := emptyExpansion(argv, w.e.getenv); what != "" {
		fmt.Fprintf(w.e.stderr, "%s: warning: %s\n", w.cmd.CommandPath(), what)
	}
	return program, nil
}

func cmpOr(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// checkGrace refuses a grace that a session timeout has no room for. Holds end a margin, of a third or more, before the
// timeout, counted from the last ping answered. Pings are a sixth apart, and as much again shall be left for servers
// that are slow or away: else the child would be stopped for nothing.
func (w *wrap) checkGrace(cfg client.Config, timeout time.Duration, who string) error {
	most := timeout - max(timeout/3, cfg.MinMargin) - timeout/3
	switch {
	case w.grace < 0:
		return usagef("--grace %v: want a time", w.grace)
	case w.grace > most:
		return usagef("--grace %v: of a session timeout of %v, as %s, the child can have %v at most; see --session", w.grace, timeout, who, max(most, 0).Truncate(time.Millisecond))
	}
	return nil
}

// wrapPath is a path as people write it: a name that is one of a verb below, too, is written ./ls.
func wrapPath(arg string) (string, error) {
	path := nodePath(strings.TrimPrefix(arg, "./"))
	if path == "/" {
		return "", usagef("path %q: want the name of a node", arg)
	}
	return path, nil
}

// lookUp finds a program as env(1) does.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	return "", cannotRun(err)
}

// cannotRun is the error of a child that cannot be run.
func cannotRun(err error) error {
	code := exitCannotRun
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNoCommand
	}
	return &exit{code: code, err: err}
}

// run takes what take takes, and runs the child while it is held.
func (w *wrap) run(argv []string, take func(ctx context.Context, c *client.Client) (*taken, error)) error {
	program, err := w.check(argv)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 64)
	child.Notify(signals)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(w.cmd.Context())) // our signals end it, not main's
	defer cancel(nil)
	c, t, err := w.acquire(ctx, cancel, signals, take)
	defer closeNow(c)
	if err != nil {
		return plainly(err)
	}
	cmd := child.Command{Path: program, Args: argv, Env: childEnv(t.vars)}
	return w.keep(ctx, t, cmd, signals)
}

// closeNow ends the session if a server is there to be told. Else it ends by itself: whoever waits for our exit code is not
// kept waiting.
func closeNow(c *client.Client) {
	if c != nil && c.State() == client.Connected {
		_ = c.Close()
	}
}

// childEnv is our environment with vars in place of what is only for a child.
func childEnv(vars []string) []string {
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(onlyChild, name)
	})
	return append(inherited, vars...)
}

// acquire connects and takes, until a signal ends that.
func (w *wrap) acquire(ctx context.Context, cancel context.CancelCauseFunc, signals <-chan os.Signal, take func(context.Context, *client.Client) (*taken, error)) (c *client.Client, t *taken, err error) {
	if _, ok := terminal(w.e.stderr); ok {
		defer time.AfterFunc(time.Second, func() { fmt.Fprintf(w.e.stderr, "%s: waiting\n", w.cmd.CommandPath()) }).Stop()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err = w.dial(ctx); err == nil {
			ctx, stop := w.bound(ctx)
			defer stop()
			t, err = again(ctx, func() (*taken, error) { return take(ctx, c) })
		}
	}()
	var ended error
	for {
		select {
		case sig := <-signals:
			if code, ok := child.Fatal(sig); ok && ended == nil {
				ended = &exit{code: code}
				cancel(ended)
			}
		case <-done:
			if err == nil && ended != nil {
				w.letGo(t, 0)
			}
			if ended != nil {
				err = ended
			}
			return c, t, err
		}
	}
}

// bound limits the waiting, as --wait says.
func (w *wrap) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.wait == nil {
		return context.WithCancel(ctx)
	}
	return w.wait.bound(ctx, w.cmd.Flags().Arg(0)+": not had")
}

// dial connects, and refuses a session too short for the grace.
func (w *wrap) dial(ctx context.Context) (*client.Client, error) {
	cfg, err := w.remote.config()
	if err != nil {
		return nil, err
	}
	cfg.CloseTimeout = time.Second
	c, err := w.remote.dialConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, err := c.Session(ctx)
	if err != nil {
		return c, err
	}
	return c, w.checkGrace(cfg, s.Timeout(), "the server grants it")
}

// again calls f until it fails otherwise than by the end of a session or a lost reply: who waits does so on the next one.
func again[T any](ctx context.Context, f func() (T, error)) (T, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		v, err := f()
		if err == nil || !passes(err) || ctx.Err() != nil {
			return v, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// passes holds for what ends one try to take something, and not the next.
func passes(err error) bool {
	var e *exit
	if errors.As(err, &e) {
		return false
	}
	return slices.ContainsFunc([]error{client.ErrSessionExpired, client.ErrSessionDeadline, client.ErrSuspended, client.ErrMaybeApplied},
		func(target error) bool { return errors.Is(err, target) })
}

// notHad turns the reasons why something is not had, which the caller may try again, into exit code 75.
func notHad(err error, reasons ...error) error {
	reasons = append(reasons, recipes.ErrGone) // somebody has taken our place in the line away
	if slices.ContainsFunc(reasons, func(r error) bool { return errors.Is(err, r) }) {
		return &exit{code: exitTemporary, err: err}
	}
	return err
}

// letGo releases what is still held, in bounded time.
func (w *wrap) letGo(t *taken, code int) error {
	if t.release == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	err := t.release(ctx, code)
	if errors.Is(err, client.ErrDeletePending) {
		return nil // it goes with the session, which ends with us
	}
	return err
}

// event is a line of --json.
type event struct {
	Event string    `json:"event"` // acquired, stopping, ended
	Time  time.Time `json:"time"`
	Path  string    `json:"path,omitempty"`
	Token uint64    `json:"token,omitempty"`
	Slots []int     `json:"slots,omitempty"`
	Cause string    `json:"cause,omitempty"`
	Code  *int      `json:"code,omitempty"`
}

// tell prints an event if that is wanted. One that cannot be printed is no reason to stop the child.
func (w *wrap) tell(name string, ev event) {
	if w.json {
		ev.Event, ev.Time = name, time.Now()
		_ = json.NewEncoder(w.e.stderr).Encode(ev)
	}
}
