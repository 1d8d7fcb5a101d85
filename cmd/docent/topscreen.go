package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/docent-io/docent/client"
)

// What the terminal is told: the other screen without a cursor and without wrapping, and all of it back.
const (
	screenOpen  = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	screenClose = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineRest    = "\x1b[K"
	screenRest  = "\x1b[J"
)

// live redraws until q, ctrl-c or the end of ctx, which signals bring, and leaves the terminal as it was, also in a panic.
func (t *top) live(ctx context.Context, fd int) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	restore, err := t.takeKeys(cancel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()
	w := t.l.e.stdout
	if _, err := io.WriteString(w, screenOpen); err != nil {
		return err
	}
	defer func() {
		_, werr := io.WriteString(w, screenClose)
		err = errors.Join(err, werr)
	}()
	return t.redraw(ctx, fd, w)
}

// shot is the outcome of a refresh.
type shot struct {
	sights []*sight
	err    error
	panic  any // to go on where the terminal is given back
}

// shoot refreshes in a goroutine of its own, for the servers may not answer for long, and the screen must not freeze.
func (t *top) shoot(ctx context.Context, wg *sync.WaitGroup, done chan<- shot) {
	wg.Go(func() {
		var s shot
		defer func() {
			s.panic = recover()
			done <- s // has room: there is one at a time
		}()
		s.sights, s.err = t.refresh(ctx)
	})
}

// redraw refreshes at once, then every interval, and draws when something was seen or the terminal changed its size.
func (t *top) redraw(ctx context.Context, fd int, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	resized := make(chan os.Signal, 1)
	if sig := resizeSignal(); sig != nil {
		signal.Notify(resized, sig)
		defer signal.Stop(resized)
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	done := make(chan shot, 1)
	t.shoot(ctx, &wg, done)
	last, busy := shot{}, true
	for {
		select {
		case <-ctx.Done():
			return nil // asked to end
		case <-resized:
		case s := <-done:
			switch busy = false; {
			case s.panic != nil:
				panic(s.panic)
			case ctx.Err() != nil:
				return nil
			case s.err == nil:
				last = s
				t.seen = time.Now()
			case t.seen.IsZero() || errors.Is(s.err, client.ErrNoAuth):
				return s.err
			default:
				last.err = s.err
			}
		case <-tick.C:
			if !busy {
				t.shoot(ctx, &wg, done)
				busy = true
			}
		}
		width, height, err := term.GetSize(fd)
		if err != nil || width <= 0 || height <= 0 {
			width, height = 80, 24
		}
		if err := draw(w, t.frame(last.sights, last.err, time.Now(), width, height)); err != nil {
			return err
		}
	}
}

// draw writes a frame over the last one, in one go so that nothing flickers.
func draw(w io.Writer, lines []string) error {
	_, err := io.WriteString(w, screenHome+strings.Join(lines, lineRest+"\r\n")+lineRest+screenRest)
	return err
}

// takeKeys reads single keys from the terminal, and calls stop at q or ctrl-c. What it returns ends that and gives the
// terminal back.
func (t *top) takeKeys(stop func()) (restore func() error, err error) {
	in, ok := t.l.e.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return func() error { return nil }, nil
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		const ctrlC, ctrlD = 3, 4
		for key := make([]byte, 1); keyWaits(ctx, int(in.Fd())); {
			if n, err := in.Read(key); err != nil || n == 1 && (key[0] == 'q' || key[0] == 'Q' || key[0] == ctrlC || key[0] == ctrlD) {
				stop()
				return
			}
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return term.Restore(int(in.Fd()), old)
	}, nil
}

// runeWidth is how many columns a printable letter takes: none for marks, two for East Asian ones and pictures.
func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd):
		return 2
	}
	return 1
}
