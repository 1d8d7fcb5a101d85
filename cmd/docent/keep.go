package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/cmd/docent/internal/child"
)

// What becomes of the child when what is held is lost.
const (
	onLostTerm   = "term"   // TERM so early that KILL, if it takes that, comes before anybody else can hold it
	onLostKill   = "kill"   // KILL at the last moment: the child works on until then
	onLostIgnore = "ignore" // the child works on: whatever it writes to must check its token
)

// keeper watches over a child while it runs.
type keeper struct {
	w       *wrap
	t       *taken
	child   *child.Child
	signals <-chan os.Signal
	grace   time.Duration

	termed bool      // it was asked to end
	killAt time.Time // when it has not, by then; zero: whenever it likes
	killed bool
	lost   error // why it was asked to, if what is held was lost
	failed error // why it was asked to, if something else went wrong
}

// keep runs the child and lets go when it has ended.
func (w *wrap) keep(ctx context.Context, t *taken, cmd child.Command, signals chan os.Signal) error {
	if t.ready != nil {
		defer t.ready.close()
		cmd.Ready, cmd.FD = t.ready.childEnd, t.ready.fd
	}
	w.tell("acquired", t.event)
	kid, err := child.Start(cmd, signals)
	if err != nil {
		return errors.Join(cannotRun(err), w.letGo(t, exitCannotRun))
	}
	defer kid.Close()
	k := &keeper{w: w, t: t, child: kid, signals: signals, grace: w.grace}
	if t.hold != nil && k.grace == 0 {
		k.grace = t.hold.Session().Timeout() / 6
	}
	if t.ready != nil {
		t.ready.begin(ctx)
	}
	var side sync.WaitGroup
	defer side.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if t.started != nil {
		side.Go(func() { // a failure is the hold's, and shows there
			_, _ = again(ctx, func() (struct{}, error) { return struct{}{}, t.started(ctx) })
		})
	}
	k.watch()
	return k.end()
}

// watch returns when the child and all of its process group have ended.
func (k *keeper) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var over <-chan struct{}
	if k.watches() {
		over = k.t.hold.Context().Done()
	}
	ended := k.child.Ended()
	var failed <-chan error
	if k.t.ready != nil {
		failed = k.t.ready.failed
	}
	for {
		select {
		case <-k.child.Gone():
			return
		case <-ended: // what it has left behind works in the name of what is held, too
			ended = nil
			k.noticeEnd()
		case sig := <-k.signals:
			if k.look(); !k.killed { // a CONT may come long after the session has ended
				k.forward(sig)
			}
		case sig := <-k.child.Stopped():
			if k.child.Suspend(sig) {
				if k.look(); !k.killed {
					k.child.Continue()
				}
			}
		case err := <-failed:
			failed = nil
			k.failed = err
			k.terminate()
			k.killAt = time.Now().Add(k.grace)
		case <-over:
			over = nil
		case <-timer.C:
		}
		timer.Reset(k.look())
	}
}

// watches tells whether the child is to be stopped when what is held is lost.
func (k *keeper) watches() bool { return k.t.hold != nil && k.w.onLost != onLostIgnore }

// look stops the child if it is time to, and returns when to look again: so often that a machine that was asleep is
// noticed, too, for timers stand still meanwhile.
func (k *keeper) look() time.Duration {
	next := time.Minute
	if k.watches() {
		s := k.t.hold.Session()
		left := s.Remaining()
		lost := k.t.hold.Context().Err() != nil
		if left <= 0 {
			k.kill(k.why())
			return next
		}
		switch {
		case lost:
			k.stop(k.why())
		case k.w.onLost == onLostTerm && left <= k.grace:
			k.stop(&refusal{client.ErrSessionDeadline, fmt.Sprintf("no server answers, and the session's deadline is %v away", left.Round(time.Millisecond))})
		case k.w.onLost == onLostTerm:
			left -= k.grace
		}
		next = min(left, s.Timeout()/20)
	}
	if !k.killAt.IsZero() {
		left := time.Until(k.killAt)
		if left <= 0 {
			k.killAt = time.Time{}
			k.child.Kill()
		}
		next = min(next, max(left, 0))
	}
	return max(next, time.Millisecond)
}

// why is the reason of the loss.
func (k *keeper) why() error {
	if cause := context.Cause(k.t.hold.Context()); cause != nil {
		return cause
	}
	return client.ErrSessionDeadline
}

// stop asks the child to end, and makes it when the grace is over.
func (k *keeper) stop(why error) {
	if k.lost != nil {
		return
	}
	k.noteLoss(why)
	if k.w.onLost == onLostKill {
		k.kill(why)
		return
	}
	k.terminate()
	k.killAt = time.Now().Add(k.grace)
}

func (k *keeper) noteLoss(why error) {
	k.lost = why
	k.w.tell("stopping", event{Path: k.t.event.Path, Cause: why.Error()})
}

// kill ends the child at once.
func (k *keeper) kill(why error) {
	if k.killed {
		return
	}
	k.killed = true
	k.child.Kill()
	if k.lost == nil {
		k.noteLoss(why)
	}
}

func (k *keeper) terminate() {
	if !k.termed {
		k.termed = true
		k.child.Terminate()
	}
}

// noticeEnd ends what the child has left in its process group.
func (k *keeper) noticeEnd() {
	select {
	case <-k.child.Gone():
		return
	default:
	}
	k.terminate()
	if k.killAt.IsZero() && !k.killed {
		k.killAt = time.Now().Add(max(k.grace, time.Second))
	}
}

// forward passes a signal on to the child. One that ends it comes behind what is to be done before that.
func (k *keeper) forward(sig os.Signal) {
	if _, fatal := child.Fatal(sig); fatal && k.t.ending != nil {
		k.t.ending(k.child.Ended())
		k.t.ending = nil
	}
	k.termed = k.termed || sig == syscall.SIGTERM
	k.child.Forward(sig)
}

// end lets go, and returns the child's exit code as an error.
func (k *keeper) end() error {
	code := k.child.Code()
	if k.lost == nil && k.watches() && (k.t.hold.Context().Err() != nil || k.t.hold.Session().Remaining() <= 0) {
		k.lost = k.why() // it has ended by itself; but maybe after the loss
	}
	defer k.w.tell("ended", event{Path: k.t.event.Path, Code: &code})
	if k.lost != nil {
		return &exit{code: exitLost, err: fmt.Errorf("%s: lost while the command ran, which was stopped: %w", k.t.event.Path, k.lost)}
	}
	if err := k.w.letGo(k.t, code); err != nil {
		fmt.Fprintf(k.w.e.stderr, "%s: %v\n", k.w.cmd.CommandPath(), printable(oneLine(err)))
	}
	if k.failed != nil {
		return k.failed
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}
