package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/recipes"
)

// groupMember is a member of a group as the verbs print it.
type groupMember struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
	Epoch uint64 `json:"epoch"`
	Err   string `json:"error,omitempty"` // why Value could not be read

	raw json.RawMessage
}

func newGroupMember(m groups.Member[json.RawMessage]) groupMember {
	g := groupMember{ID: m.ID, Epoch: m.Epoch, raw: m.Value}
	err := m.Err
	if err == nil {
		g.Value, err = decodeExactly(m.Value)
	}
	if err != nil {
		g.Err = err.Error()
	}
	return g
}

// says is what the member says about itself, for people.
func (g groupMember) says() string {
	if g.Err != "" {
		return "(unreadable)"
	}
	if fields := fieldsOf(g.raw); len(fields) != 1 || fields[0].key != "value" {
		return words(fields)
	}
	return legible(scalar(g.raw))
}

func (g groupMember) line() string { return legible(g.ID) + " " + g.says() }

func groupVerb(e env) *cobra.Command {
	return parent("group", "be one of a group, and see who is", groupJoinVerb(e), groupListVerb(e), groupWatchVerb(e))
}

func groupJoinVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "join PATH [KEY=TEXT...]",
		Short: "be a member of a group until told to end",
		Long: `Joins the group PATH and stays until INT or TERM, across lost sessions. What the
member says about itself are words KEY=TEXT and KEY:=JSON, one JSON value, @FILE
or - for stdin; by default it is who we are. Prints joined, and away and back
when it was interrupted.`,
		Example: "  docent group join jobs/7/workers rank=3 room=b-017 &",
		Args:    someArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	name := cmd.Flags().String("member", "", "`name` among the members (default: who we are, and something random)")
	wait := addPatience(cmd, "how long to wait while another has the name; then 75 (default: for ever)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(out.check(), wait.check()); err != nil {
			return err
		}
		var self json.RawMessage
		if len(args) > 1 {
			var err error
			if self, err = parseValue(args[1:], e.stdin); err != nil {
				return usageError(err)
			}
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			m, err := joinGroup(ctx, c, nodePath(args[0]), *name, self, wait)
			if err != nil {
				return err
			}
			return stayIn(ctx, m, func(ev groupEvent) error { return out.one(e.stdout, ev, ev.text) })
		})
	}
	return cmd
}

// groupEvent is what happens to a member of a group.
type groupEvent struct {
	Event string `json:"event"` // joined, away, back
	ID    string `json:"id"`
	Cause string `json:"cause,omitempty"` // of away
}

func (ev groupEvent) text(w io.Writer) (err error) {
	if ev.Cause != "" {
		_, err = fmt.Fprintf(w, "%s %s: %s\n", ev.Event, legible(ev.ID), printable(ev.Cause))
	} else {
		_, err = fmt.Fprintf(w, "%s %s\n", ev.Event, legible(ev.ID))
	}
	return err
}

func joinGroup(ctx context.Context, c *client.Client, path, name string, self json.RawMessage, wait *patience) (*groups.Membership[json.RawMessage], error) {
	var o []groups.Option
	if name != "" {
		o = append(o, groups.ID(name))
	}
	if self == nil {
		text, err := json.Marshal(c.Identity())
		if err != nil {
			return nil, err
		}
		self = text
	}
	if name != "" && wait.tries() {
		if _, there, err := c.Exists(ctx, path+"/"+name, client.Fresh()); err != nil {
			return nil, err
		} else if there {
			return nil, tooLate("%s is taken", name)
		}
	}
	within, cancel := wait.bound(ctx, "the name did not become free")
	defer cancel()
	m, err := groups.Join(within, c, path, self, o...)
	if errors.Is(err, recipes.ErrTaken) && ctx.Err() == nil {
		return nil, tooLate("%s is taken: the name did not become free within %v", name, wait.d)
	}
	return m, err
}

// stayIn keeps the membership until ctx ends, and leaves.
func stayIn(ctx context.Context, m *groups.Membership[json.RawMessage], tell func(groupEvent) error) error {
	event := groupEvent{Event: "joined", ID: m.ID()}
	for {
		if err := tell(event); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			over, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
			defer cancel()
			if err := m.Leave(over); !errors.Is(err, client.ErrDeletePending) {
				return err
			}
			return nil // it goes with the session, which ends with us
		case <-m.Context().Done():
		}
		if ctx.Err() != nil {
			continue
		}
		if err := tell(groupEvent{Event: "away", ID: m.ID(), Cause: context.Cause(m.Context()).Error()}); err != nil {
			return err
		}
		if err := m.Ready(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		event.Event = "back"
	}
}

func groupListVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list PATH", Short: "print who is in a group",
		Example: "  docent group list jobs/7/workers --format '{{.ID}} {{.Value.rank}}'",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		return r.meet(ctx, func(ctx context.Context, c *client.Client) error {
			found, err := groups.Members[json.RawMessage](ctx, c, nodePath(args[0]))
			if err != nil {
				return err
			}
			members := make([]groupMember, len(found))
			for i, m := range found {
				members[i] = newGroupMember(m)
			}
			return all(out, e.stdout, members, func(w io.Writer) error { return groupTable(w, members) })
		})
	}
	return cmd
}

func groupTable(w io.Writer, members []groupMember) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range members {
		fmt.Fprintf(table, "%s\t%s\n", legible(m.ID), m.says())
	}
	return table.Flush()
}

func groupWatchVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch PATH",
		Short: "print who is in a group, and who comes and goes",
		Long: `Prints + and a line for each member, = when all are known, and from then on who
comes (+), changes (~) and goes (-), until INT or TERM. It goes on across lost
sessions and servers; ! tells when it could not see, and when it can again.`,
		Example: "  docent group watch jobs/7/workers --json",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	settle := cmd.Flags().Duration("settle", 0, "wait so long for further changes, to tell them together")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(out.check(), checkSettle(*settle)); err != nil {
			return err
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			stream := &changes[groupMember]{
				w: e.stdout, out: out,
				id:   func(m groupMember) string { return m.ID },
				same: func(a, b groupMember) bool { return a.Epoch == b.Epoch && string(a.raw) == string(b.raw) },
				line: groupMember.line,
			}
			if _, _, err := c.Children(ctx, nodePath(args[0])); errors.Is(err, client.ErrNoAuth) {
				return err // the stream would wait for the permission
			}
			for snap, err := range groups.Watch[json.RawMessage](ctx, c, nodePath(args[0]), groups.WithSettle(*settle)) {
				if err != nil {
					return told(ctx, err)
				}
				members := make([]groupMember, len(snap.Members))
				for i, m := range snap.Members {
					members[i] = newGroupMember(m)
				}
				if err := errors.Join(stream.show(members), stream.health(snap.Stale, 0)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

func checkSettle(d time.Duration) error {
	if d < 0 {
		return usagef("--settle %v: want a time", d)
	}
	return nil
}
