package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/internal/zpath"
)

func inspectVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect [PATH]",
		Short: "tell what stands at a path: who is there, holds and waits",
		Long: `Tells what a path is used for, by the names below it (docent's, Curator's,
kazoo's, go-zookeeper's): a lock, a semaphore, an election, a barrier, a
rendezvous, a service, a group, a counter, a value; and who is there. AGE and
HEARD are as of docent lock ls: from --admin, or the word cons; else "-".`,
		Example: "  docent inspect jobs/7/step\n  docent inspect --orphans",
		Args:    optionalPath,
	}
	orphans := cmd.Flags().Bool("orphans", false, "list what those who have gone left behind in lines below PATH, and places of which a session holds more than one")
	return looker(cmd, e, func(ctx context.Context, l *looking, args []string) error {
		path := zpath.Join("/", strings.Join(args, ""))
		if *orphans {
			return l.orphans(ctx, path)
		}
		x, err := l.f.look(ctx, path, 0)
		if err != nil {
			return err
		}
		if len(x.sessions()) > 0 {
			l.meet(ctx, x)
		}
		return l.out.one(e.stdout, x, func(w io.Writer) error { return writeSight(w, x, time.Now()) })
	})
}

// writeSight tells all of what stands at a path.
func writeSight(w io.Writer, x *sight, now time.Time) error {
	if x.isLine() {
		return writeLine(w, x, now)
	}
	if len(x.Holders)+len(x.Members) > 0 {
		t := newTable(w, "ROLE", "WHO", "FOR", "TOKEN", "SESSION", "AGE", "HEARD", "NOTE")
		for _, c := range x.Holders {
			t.row(append([]string{role(x, c)}, c.cells(now)...)...)
		}
		for _, c := range x.Members {
			t.row(append([]string{"here"}, c.cells(now)...)...)
		}
		if err := t.end(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(w, printable(x.headline())); err != nil {
		return err
	}
	for _, s := range x.Strangers[:min(len(x.Strangers), 10)] {
		x.Notes = append(x.Notes, fmt.Sprintf("%s is not ephemeral: it does not go with anybody", s))
	}
	return writeNotes(w, x)
}

// headline is what there is to say of a path in one sentence.
func (x *sight) headline() string {
	switch s := x.Kind + " " + x.Path; x.Kind {
	case kindBarrier:
		if x.Size == 0 {
			return fmt.Sprintf("%s: %d here", s, len(x.Members))
		}
		return fmt.Sprintf("%s: generation %d is %s, %d of %d here", s, x.Generation, x.State, len(x.Members), x.Size)
	case kindRendezvous:
		if x.State == "posted" {
			return fmt.Sprintf("%s: posted %s, %d follow", s, x.Value, len(x.Members))
		}
		return fmt.Sprintf("%s: nobody has posted, %d wait", s, len(x.Members))
	case kindService, kindGroup:
		return fmt.Sprintf("%s: %d here", s, len(x.Members))
	case kindCounter, kindValue:
		return fmt.Sprintf("%s: %s (version %d, changed %s)", s, x.Value, x.Stat.Version, time.UnixMilli(x.Stat.Mtime).UTC().Format(time.RFC3339))
	case kindEmpty:
		return s
	default:
		return fmt.Sprintf("%s: %d children", s, x.Children)
	}
}

// orphans lists what a doctor says about places in line, and no more.
func (l *looking) orphans(ctx context.Context, path string) error {
	p := newProgress(l.e, "nodes")
	d := l.doctor(limits{}, nil)
	d.repeats = true
	err := d.examine(ctx, l.f, path, p)
	p.done()
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(d.report().Findings, func(f finding) bool { return f.Kind != findOrphan && f.Kind != findRepeat && f.Kind != findUnreadable })
	return all(l.out, l.e.stdout, list, func(w io.Writer) error {
		t := newTable(w, "FINDING", "PATH", "WHAT")
		for _, f := range list {
			t.row(f.Kind, f.Path, f.What)
		}
		if err := t.end(); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "%d orphans or suspects below %s\n", len(list), printable(path))
		return err
	})
}
