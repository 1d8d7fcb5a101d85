package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

const (
	progressFirst = 300 * time.Millisecond // what takes less shows nothing
	progressEvery = 100 * time.Millisecond
)

// progress tells how far long work is, on one line of stderr that is written over again and again. Where stderr is no
// terminal it is silent. Its methods may be called by several goroutines at once; a nil progress does nothing.
type progress struct {
	w     io.Writer
	what  string
	width func() int // of the terminal
	begun time.Time
	clock func() time.Time
	count atomic.Int64
	total atomic.Int64
	next  atomic.Int64 // when the line may be written again, in nanoseconds after begun
	shown atomic.Bool
}

// newProgress begins to count; what says in the plural what is counted.
func newProgress(e env, what string) *progress {
	fd, ok := terminal(e.stderr)
	if !ok || e.dumb() {
		return nil
	}
	return startProgress(e.stderr, what, func() int { return columns(fd) }, time.Now)
}

func startProgress(w io.Writer, what string, width func() int, clock func() time.Time) *progress {
	p := &progress{w: w, what: what, width: width, begun: clock(), clock: clock}
	p.next.Store(int64(progressFirst))
	return p
}

// of says how many there will be in all, if that is known.
func (p *progress) of(total int64) {
	if p != nil {
		p.total.Store(total)
	}
}

// add counts n more. It is cheap: the line is written ten times a second at most.
func (p *progress) add(n int) {
	if p == nil {
		return
	}
	count := p.count.Add(int64(n))
	next, now := p.next.Load(), p.clock().Sub(p.begun)
	if int64(now) < next || !p.next.CompareAndSwap(next, int64(now+progressEvery)) {
		return
	}
	p.shown.Store(true)
	line := p.line(count, now)
	if width := p.width(); len(line) >= width {
		line = line[:max(width-1, 0)] // a line that wraps could not be written over
	}
	io.WriteString(p.w, "\r\x1b[K"+line) // progress that cannot be shown is no reason to stop the work
}

func (p *progress) line(count int64, took time.Duration) string {
	of := ""
	if total := p.total.Load(); total > 0 {
		of = fmt.Sprintf(" of %s (%d %%)", thousands(total), min(count*100/total, 100))
	}
	return fmt.Sprintf("%s%s %s, %s/s, %s", thousands(count), of, p.what, thousands(int64(float64(count)/took.Seconds())), clockTime(took))
}

// done takes the line away: what is printed next begins where it stood.
func (p *progress) done() {
	if p != nil && p.shown.Load() {
		io.WriteString(p.w, "\r\x1b[K")
	}
}

// thousands prints a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// clockTime prints a duration as h:mm:ss.
func clockTime(d time.Duration) string {
	s := int64(d.Seconds())
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// terminal returns the descriptor of a reader or writer that is a terminal.
func terminal(f any) (fd int, ok bool) {
	if n, is := f.(*noticed); is {
		f = n.Writer
	}
	file, ok := f.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	return int(file.Fd()), true
}

// dumb tells whether the terminal knows no way to write over what stands there, as those within editors.
func (e env) dumb() bool { return e.getenv("TERM") == "dumb" }

// columns returns the width of a terminal, 80 if it does not know.
func columns(fd int) int {
	if width, _, err := term.GetSize(fd); err == nil && width > 0 {
		return width
	}
	return 80
}
