package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// lockLsVerb is docent lock ls.
func lockLsVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls PATH",
		Short: "tell who holds a lock and who waits for it",
		Long: `Tells who holds a lock, a semaphore or the lead, and who waits, in their order;
or lists all that stand below PATH. They may be docent's, Curator's, kazoo's or
go-zookeeper's. FOR counts from when somebody came, waiting included. AGE (the
session is at least that old) and HEARD (its last sign of life) come from the
servers: from --admin, or the four-letter word cons if they allow it; else "-".`,
		Example: "  docent lock ls --admin c1:8080,c2:8080,c3:8080 publish\n  docent lock ls --format '{{.Path}} {{.Queued}}' /locks",
		Args:    exactArgs("PATH"),
	}
	return looker(cmd, e, func(ctx context.Context, l *looking, args []string) error {
		path := zpath.Join("/", args[0])
		x, err := l.f.look(ctx, path, 0)
		if errors.Is(err, client.ErrNoNode) {
			x, err = absent(path), nil
		}
		if err != nil {
			return err
		}
		if x.isLine() || x.Children == 0 {
			l.meet(ctx, x)
			return all(l.out, l.e.stdout, []*sight{x}, func(w io.Writer) error { return writeLine(w, x, time.Now()) })
		}
		lines, err := l.f.lines(ctx, path)
		if err != nil {
			return err
		}
		sights, err := l.glances(ctx, lines)
		if err != nil {
			return err
		}
		return all(l.out, l.e.stdout, sights, func(w io.Writer) error { return writeLines(w, sights, time.Now()) })
	})
}

// looking is what the looking verbs have in common: a client, and a way to ask servers.
type looking struct {
	e   env
	out *output
	f   forest
	ask *asker

	chroot string // ahead of all paths on the servers, "" if nothing is
}

// looker gives a verb that looks at a tree its flags, and runs it with a client.
func looker(cmd *cobra.Command, e env, run func(ctx context.Context, l *looking, args []string) error) *cobra.Command {
	r, out := addRemote(cmd, e), addOutput(cmd)
	admins := addAdmins(cmd, e)
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		cfg, err := r.config()
		if err != nil {
			return err
		}
		ask, err := admins(r, cfg)
		if err != nil {
			return err
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		c, err := r.dialConfig(ctx, cfg)
		if err != nil {
			return err
		}
		defer c.Close()
		l := &looking{e: e, out: out, f: forest{c}, ask: ask, chroot: strings.TrimSuffix(zpath.Join("", cfg.Chroot), "/")}
		if err := l.f.catchUp(ctx); err != nil {
			return err
		}
		return run(ctx, l, args)
	}
	return cmd
}

// meet adds to sights what servers tell of the sessions.
func (l *looking) meet(ctx context.Context, sights ...*sight) {
	contacts := l.ask.contacts(ctx, ownSession(ctx, l.f.c), time.Now())
	for _, x := range sights {
		x.meet(contacts)
	}
}

// lines finds what somebody may hold below root. Kazoo's semaphores cannot be told by names alone: look decides.
func (f forest) lines(ctx context.Context, root string) (paths []string, err error) {
	err = f.walk(ctx, root, func(path string, l client.Listing, err error) []string {
		line, strangers := lineUp(l.Names)
		if len(line) > 0 || slices.Contains(l.Names, "leases") || len(l.Names) > 0 && !slices.ContainsFunc(l.Names, notKazoos) {
			paths = append(paths, path)
		}
		if slices.Contains(l.Names, "leases") && isSubset(l.Names, "leases", "locks") {
			return nil // they are the semaphore's
		}
		return strangers
	})
	slices.Sort(paths)
	return paths, err
}

func notKazoos(name string) bool { return !kazooName.MatchString(name) }

// lookAtOnce is how many paths are looked at at a time: each takes several round trips.
const lookAtOnce = 32

// glances looks at lines, without reading all who wait. What has gone, or cannot be read, is left out.
func (l *looking) glances(ctx context.Context, paths []string) ([]*sight, error) {
	found := make([]*sight, len(paths))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(lookAtOnce)
	for i, path := range paths {
		g.Go(func() (err error) {
			found[i], err = l.f.look(within, path, 1)
			return passOver(err)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sights := slices.DeleteFunc(found, func(x *sight) bool { return x == nil || !x.isLine() })
	l.meet(ctx, sights...)
	return sights, nil
}

// writeLine tells all of one line.
func writeLine(w io.Writer, x *sight, now time.Time) error {
	t := newTable(w, "ROLE", "WHO", "FOR", "TOKEN", "SESSION", "AGE", "HEARD", "NOTE")
	for _, c := range x.Holders {
		t.row(append([]string{role(x, c)}, c.cells(now)...)...)
	}
	for i, c := range x.Waiting {
		kind := ""
		if c.Shared {
			kind = " (reads)"
		}
		t.row(append([]string{fmt.Sprintf("waits %d%s", i+1, kind)}, c.cells(now)...)...)
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, printable(x.summary()))
	return errors.Join(err, writeNotes(w, x))
}

func role(x *sight, c contender) string {
	switch {
	case x.Kind == kindElection:
		return "leads"
	case x.Kind == kindRendezvous:
		return "posted"
	case len(c.Slots) > 0:
		return "slot " + strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Slots), " ", ","), "[]")
	case c.Shared:
		return "reads"
	case x.Kind == kindRWLock:
		return "writes"
	}
	return "holds"
}

// cells are a contender's in a table: who, for how long, token, session, its age, last heard, note.
func (c contender) cells(now time.Time) []string {
	age, heard := c.Contact.cells(now)
	return []string{dash(c.ID), since(c.Since, now), fmt.Sprint(c.Token), dash(c.Session.String()), age, heard,
		dash(strings.TrimSpace(strings.Join([]string{c.Addr, c.Details, c.Note}, " ")))}
}

func (c *contact) cells(now time.Time) (age, heard string) {
	age, heard = "-", "-"
	if c == nil {
		return age, heard
	}
	if c.Connected != nil {
		age = ago(now.Sub(*c.Connected))
	}
	switch {
	case c.Heard != nil:
		heard = ago(now.Sub(*c.Heard)) + " ago"
	case c.Expires != nil:
		heard = "ends in " + ago(c.Expires.Sub(now))
	}
	return age, heard
}

// summary is what there is to say of a line in one sentence.
func (x *sight) summary() string {
	s := fmt.Sprintf("%s %s: %d hold, %d wait", x.Kind, x.Path, x.Holding, x.Queued)
	if x.Permits > 0 {
		s += fmt.Sprintf("; %d of %d permits are out", x.Used, x.Permits)
	}
	return s
}

func writeNotes(w io.Writer, x *sight) error {
	notes := x.Notes
	if len(x.Strangers) > 0 && x.isLine() {
		notes = append(notes, fmt.Sprintf("beside them stand children that are no contenders: %d, such as %s", len(x.Strangers), x.Strangers[0]))
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, "note:", printable(n)); err != nil {
			return err
		}
	}
	return nil
}

// writeLines tells of each line who holds it, and how many wait.
func writeLines(w io.Writer, sights []*sight, now time.Time) error {
	t := newTable(w, "PATH", "KIND", "HELD BY", "FOR", "HEARD", "WAIT", "LONGEST", "NOTE")
	for _, x := range sights {
		t.row(x.cells(now)...)
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d with anybody in line\n", len(sights))
	return err
}

// cells are a line's in a table of lines.
func (x *sight) cells(now time.Time) []string {
	who, held, heard, longest, note := "-", "-", "-", "-", "-"
	if len(x.Holders) > 0 {
		h := x.Holders[0]
		who, held, note = dash(h.ID), since(h.Since, now), dash(h.Note)
		_, heard = h.Contact.cells(now)
		if x.Holding > 1 {
			who = fmt.Sprintf("%s +%d", who, x.Holding-1)
		}
	}
	if len(x.Waiting) > 0 {
		longest = since(x.Waiting[0].Since, now)
	}
	if x.Permits > 0 && note == "-" {
		note = fmt.Sprintf("%d of %d out", x.Used, x.Permits)
	}
	return []string{x.Path, x.Kind, who, held, heard, fmt.Sprint(x.Queued), longest, note}
}

// table is text in columns, whose cells are made printable.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, header ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(header...)
	return t
}

// row adds a row. That it could not be written, end tells.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) end() error { return t.w.Flush() }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return ago(now.Sub(t))
}

// ago tells a time span in two units: 12s, 41m10s, 5h02m, 3d02h. What clocks that differ make negative is 0s.
func ago(d time.Duration) string {
	s := int64(max(d, 0).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
