package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// occurrence is an event as watch prints it.
type occurrence struct {
	Event string `json:"event"` // watching, created, deleted, changed, children, or resync
	Path  string `json:"path"`
	Zxid  int64  `json:"zxid,omitempty"` // of the change, if the server tells
}

func watchVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch PATH",
		Short: "print what happens to a znode, as it happens",
		Long: `Prints the events of a znode, which need not exist, one a line, until a signal:
created, deleted, changed (its data), children (their list changed). The first,
watching, tells that nothing is missed from there on; resync, that the
connection was replaced and events may be missing. An event says that there is
something to read, not what: the znode may have changed again.`,
		Example: "  docent watch /config | while read -r event; do reload; done\n  docent watch --once --wait 10m /jobs/88123/done",
		Args:    exactArgs("PATH"),
	}
	r, out, w := addRemote(cmd, e), addOutput(cmd), &watching{}
	recursive := cmd.Flags().Bool("recursive", false, "all below it, too; children are not told of then")
	cmd.Flags().BoolVar(&w.once, "once", false, "end after the first event")
	cmd.Flags().DurationVar(&w.wait, "wait", 0, "with --once: how long; then the exit code is 75")
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("wait") && (w.wait <= 0 || !w.once) {
			return usagef("--wait %v: want a time to wait for the event of --once", w.wait)
		}
		if err := out.check(); err != nil {
			return err
		}
		w.path, w.mode = r.path(args[0]), client.Persistent
		if *recursive {
			w.mode = client.PersistentRecursive
		}
		w.print = func(o occurrence) error {
			return out.one(e.stdout, o, func(to io.Writer) error { return o.write(to) })
		}
		ctx, cancel := context.WithCancelCause(cmd.Context())
		defer cancel(nil)
		return r.use(ctx, func(c *client.Client) error {
			var wg sync.WaitGroup
			defer wg.Wait()
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			if e.attached == nil {
				wg.Go(func() { tellStates(ctx, c, e.stderr) })
			}
			if w.wait > 0 {
				late := fmt.Errorf("nothing happened to %s within %v", w.path, w.wait)
				defer time.AfterFunc(w.wait, func() { cancel(&exit{code: exitTemporary, err: late}) }).Stop()
			}
			err := w.run(ctx, c)
			if cmd.Context().Err() != nil && err != nil {
				if w.once {
					return context.Cause(cmd.Context()) // it has waited in vain
				}
				return nil // the signal that ends it
			}
			return err
		})
	}
	return cmd
}

func (o occurrence) write(w io.Writer) error {
	line := o.Event + " " + printable(o.Path)
	if o.Zxid > 0 {
		line += fmt.Sprintf(" zxid %#x", uint64(o.Zxid))
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// tellStates says when the connection is lost, and when it is back.
func tellStates(ctx context.Context, c *client.Client, w io.Writer) {
	last := client.Connected
	for state := range c.States(ctx) {
		if state != last && state != client.Closed {
			fmt.Fprintf(w, "docent watch: %v\n", state)
		}
		last = state
	}
}

// watching is a run of watch.
type watching struct {
	path  string
	mode  client.WatchMode
	once  bool
	wait  time.Duration
	print func(occurrence) error
}

// eventWord is what watch calls an event.
func eventWord(t client.EventType) string {
	switch t {
	case client.EventDataChanged:
		return "changed"
	case client.EventChildrenChanged:
		return "children"
	}
	return t.String()
}

// errSeen ends a watch that waits for one event.
var errSeen = errors.New("the event has come")

// run prints events over any number of sessions.
func (w *watching) run(ctx context.Context, c *client.Client) error {
	for first := true; ; first = false {
		s, err := c.Session(ctx)
		if err != nil {
			return err
		}
		err = w.session(ctx, s, first)
		switch {
		case errors.Is(err, errSeen):
			return nil
		case s.Context().Err() == nil || ctx.Err() != nil:
			return err
		}
	}
}

// session prints the events of one session, until it ends.
func (w *watching) session(ctx context.Context, s *client.Session, first bool) error {
	stream, err := s.AddWatch(ctx, w.path, w.mode)
	if errors.Is(err, client.ErrUnimplemented) && w.mode == client.Persistent {
		return w.oneByOne(ctx, s, first) // ZooKeeper before 3.6
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := w.begin(first); err != nil {
		return err
	}
	for {
		ev, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		if err := w.tell(ev); err != nil {
			return err
		}
	}
}

func (w *watching) begin(first bool) error {
	what := "watching"
	if !first {
		what = eventWord(client.EventResync)
	}
	return w.print(occurrence{Event: what, Path: w.path})
}

func (w *watching) tell(ev client.Event) error {
	if ev.Type == client.EventResync {
		ev.Path = w.path
	}
	if err := w.print(occurrence{eventWord(ev.Type), ev.Path, max(ev.Zxid, 0)}); err != nil {
		return err
	}
	if w.once && ev.Type != client.EventResync {
		return errSeen
	}
	return nil
}

// oneByOne makes do with watches for one event each. They are set again before the event is told, so that who reads the
// node then misses nothing.
func (w *watching) oneByOne(ctx context.Context, s *client.Session, first bool) error {
	var told []client.Event
	var node, children *client.Watch
	for begun := false; ; begun = true {
		var err error
		if node == nil {
			if _, _, node, err = s.ExistsW(ctx, w.path); err != nil {
				return err
			}
		}
		if children == nil {
			if _, _, children, err = s.ChildrenW(ctx, w.path); err != nil && !errors.Is(err, client.ErrNoNode) {
				return err
			}
		}
		if !begun {
			if err := w.begin(first); err != nil {
				return err
			}
		}
		for _, ev := range told {
			if err := w.tell(ev); err != nil {
				return err
			}
		}
		told = told[:0]
		var listing <-chan struct{}
		if children != nil {
			listing = children.Done()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-node.Done():
			ev, err := node.Wait(ctx)
			if err != nil {
				return err
			}
			node, told = nil, append(told, ev)
			if ev.Type == client.EventDeleted && children != nil {
				children.Close() // it tells of the same
				children = nil
			}
		case <-listing:
			ev, err := children.Wait(ctx)
			if err != nil {
				return err
			}
			if children = nil; ev.Type == client.EventChildrenChanged {
				told = append(told, ev)
			}
		}
	}
}
