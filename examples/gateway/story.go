package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/recipes/fence"
)

// story is the narrator, and the cast as it has come together so far.
type story struct {
	ctx    context.Context // of the story; ends with the reason why it cannot go on
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup // what the cast does beside the narration
	ending []func() error // what has to be put away at last

	out      io.Writer
	began    time.Time
	chapter  int
	held     int
	unproven []string // claims that did not hold

	base      client.Config // how to reach the ensemble
	ensemble  *ensemble     // nil if it is not ours
	processes []*process
	operator  *process // who looks and turns knobs
	managers  []*manager
	scheduler *groups.Directory // of the managers that may take the jobs of the story
	store     *store
	writer    *writer // who may write to the store at present
}

func newStory(ctx context.Context, out io.Writer, base client.Config, guard fence.Guard) *story {
	ctx, cancel := context.WithCancelCause(ctx)
	return &story{
		ctx: ctx, cancel: cancel, out: out, began: time.Now(), base: base,
		store: &store{guard: guard, rows: make(map[string]string)},
	}
}

// title begins a chapter.
func (s *story) title(text string) {
	s.chapter++
	fmt.Fprintf(s.out, "\n%d. %s\n", s.chapter, text)
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// tells what happens.
func (s *story) tells(format string, args ...any) { s.say("     "+format, args...) }

// claim says what was found to hold, or not to.
func (s *story) claim(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !ok {
		s.unproven = append(s.unproven, text)
		s.say("   ✗ NOT SO: %s", text)
		return
	}
	s.held++
	s.say("   ✓ %s", text)
}

// verdict sums up. It fails when a claim did not hold.
func (s *story) verdict() error {
	if n := len(s.unproven); n > 0 {
		return fmt.Errorf("%d of %d claims did not hold, the first: %s", n, n+s.held, s.unproven[0])
	}
	s.say("\nAll %d claims were read back and held. The story took %.1f s.", s.held, time.Since(s.began).Seconds())
	return nil
}

// start does something beside the narration, until the story ends. If it fails before that, the story does.
func (s *story) start(what string, task func(context.Context) error) {
	s.tasks.Go(func() {
		if err := task(s.ctx); err != nil && s.ctx.Err() == nil {
			s.cancel(fmt.Errorf("%s: %w", what, err))
		}
	})
}

// atEnd leaves something to do when everybody has gone; what was left last is done first.
func (s *story) atEnd(do func() error) { s.ending = append(s.ending, do) }

// end has everybody stop and go, and puts away what the story has made.
func (s *story) end() error {
	s.cancel(nil)
	s.tasks.Wait()
	errs := []error{s.closeProcesses()}
	for i := len(s.ending) - 1; i >= 0; i-- {
		errs = append(errs, s.ending[i]())
	}
	return errors.Join(errs...)
}

// until reads what a recipe shows, from change to change, until it is as wanted. The sequence says with its last error
// why there will be no more; a value with an error is shown to want as well.
func until[T any](seq iter.Seq2[T, error], want func(T, error) bool) (T, error) {
	var last T
	var lastErr error
	for v, err := range seq {
		if want(v, err) {
			return v, nil
		}
		last, lastErr = v, err
	}
	return last, lastErr
}
