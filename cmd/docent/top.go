package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/internal/zpath"
)

func topVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top [PATH]",
		Short: "show, again and again, who holds, who waits, and for how long",
		Long: `Shows all locks, semaphores and elections below PATH, those with the longest
queue first, and redraws them until q or ctrl-c. Where stdout is no terminal, or
TERM is dumb, it prints them once. New ones are looked for less often than known
ones are looked at. AGE and HEARD are as of docent lock ls: from --admin, or the
word cons.`,
		Example: "  docent top --admin c1:8080,c2:8080,c3:8080 /proj",
		Args:    optionalPath,
	}
	every := cmd.Flags().Duration("every", 2*time.Second, "how often to redraw")
	look := looker(cmd, e, func(ctx context.Context, l *looking, args []string) error {
		t := &top{l: l, root: zpath.Join("/", strings.Join(args, "")), every: *every}
		fd, onScreen := terminal(e.stdout)
		if !onScreen || e.dumb() || l.out.json || l.out.tmpl != nil {
			sights, err := t.refresh(ctx)
			if err != nil {
				return err
			}
			return all(l.out, e.stdout, sights, func(w io.Writer) error { return writeLines(w, sights, time.Now()) })
		}
		return t.live(ctx, fd)
	})
	run := look.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *every < 100*time.Millisecond {
			return usagef("--every %v: want at least 100ms", *every)
		}
		return run(cmd, args)
	}
	noTimeLimit(cmd)
	return cmd
}

// top looks at the lines below root again and again.
type top struct {
	l     *looking
	root  string
	every time.Duration

	paths []string  // of the lines that are known
	next  time.Time // when to look for others
	seen  time.Time // when the screen was refreshed last
}

// rediscover is how often the whole tree is looked through at most; where that takes long, it is done less often.
const rediscover = 10 * time.Second

// refresh looks at all lines, those with most who wait first.
func (t *top) refresh(ctx context.Context) ([]*sight, error) {
	if now := time.Now(); !now.Before(t.next) {
		paths, err := t.l.f.lines(ctx, t.root)
		if err != nil {
			return nil, err
		}
		t.paths, t.next = paths, time.Now().Add(max(rediscover, 20*time.Since(now)))
	}
	sights, err := t.l.glances(ctx, t.paths)
	slices.SortStableFunc(sights, func(a, b *sight) int {
		return cmp.Or(cmp.Compare(b.Queued, a.Queued), cmp.Compare(b.Holding, a.Holding), strings.Compare(a.Path, b.Path))
	})
	return sights, err
}

// frame draws what fits into a screen: lines of at most width columns. Above what was seen last it says so when that is not
// what is there now.
func (t *top) frame(sights []*sight, failure error, now time.Time, width, height int) []string {
	waiting := 0
	for _, x := range sights {
		waiting += x.Queued
	}
	lines := []string{fmt.Sprintf("docent top %s  %s  %d lines, %d wait", t.root, now.Format("15:04:05"), len(sights), waiting)}
	switch {
	case t.seen.IsZero():
		lines = append(lines, "looking ...")
	case failure != nil:
		lines = append(lines, "as of "+ago(now.Sub(t.seen))+" ago: "+oneLine(failure))
	case now.Sub(t.seen) > 2*t.every+time.Second:
		lines = append(lines, "as of "+ago(now.Sub(t.seen))+" ago: the servers do not answer")
	}
	var b bytes.Buffer
	if err := writeLines(&b, sights[:min(len(sights), max(height, 1))], now); err == nil {
		rows := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
		lines = append(lines, rows[:len(rows)-1]...) // without the sum, which stands above
	}
	for i, line := range lines {
		lines[i] = fit(printable(line), width)
	}
	return lines[:min(len(lines), max(height, 1))]
}

// fit cuts a line to width columns. East Asian letters and pictures take two, so they are counted so, and marks none.
func fit(line string, width int) string {
	used := 0
	for i, r := range line {
		if used += runeWidth(r); used > width {
			return line[:i]
		}
	}
	return line
}
