package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/rendezvous"
)

func electVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "elect PATH -- COMMAND [ARGUMENT...]",
		Short: "run a command while it leads; or see who does",
		Long: `Runs a command while it leads at PATH, as docent lock does. With --post, what it
writes to --ready-fd in lines, as host=n7 port=42, is posted at a rendezvous
until the lead ends. --observe instead prints who leads, whenever that changes.`,
		Example: `  docent elect --wait 0 --post jobs/7/meet --ready-fd 3 jobs/7/lead -- ./master`,
		Args: func(cmd *cobra.Command, args []string) error {
			if observe, err := cmd.Flags().GetBool("observe"); err != nil || observe {
				return exactArgs("PATH")(cmd, args)
			}
			return wrapArgs("PATH")(cmd, args)
		},
	}
	w := newWrap(cmd, e)
	w.addWait("how long to be a candidate, 0: not at all; then 75 (default: for ever)")
	post := cmd.Flags().String("post", "", "`path` of a rendezvous")
	fd := cmd.Flags().Int("ready-fd", 3, "`descriptor` on which the command says where it is")
	observe := cmd.Flags().Bool("observe", false, "print who leads, and run nothing")
	w.addLoss()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := wrapPath(args[0])
		switch {
		case err != nil:
			return err
		case *observe:
			return observeLeader(cmd.Context(), w, path)
		case *fd < 3 || *fd > 255:
			return usagef("--ready-fd %d: want 3 to 255", *fd)
		case cmd.Flags().Changed("ready-fd") && *post == "":
			return usagef("--ready-fd goes with --post")
		case cmd.Flags().Changed("post"):
			if *post, err = wrapPath(*post); err != nil {
				return err
			}
		}
		return w.run(args[1:], func(ctx context.Context, c *client.Client) (*taken, error) {
			campaign := leader.Campaign
			if w.wait.tries() {
				campaign = leader.TryCampaign
			}
			term, err := campaign(ctx, c, path)
			if errors.Is(err, recipes.ErrBusy) {
				return nil, tooLate("%s: somebody else leads", path)
			}
			if err != nil {
				return nil, notHad(err)
			}
			return leads(c, path, *post, *fd, term)
		})
	}
	return cmd
}

// leads is what a leader has taken.
func leads(c *client.Client, path, post string, fd int, term *leader.Term) (t *taken, err error) {
	t = &taken{
		hold:    term,
		event:   event{Path: path, Token: term.Token()},
		vars:    lockVars(path, term),
		started: func(ctx context.Context) error { return term.Publish(ctx, nil) },
		release: func(ctx context.Context, _ int) error { return term.Resign(ctx) },
	}
	if post != "" {
		point := rendezvous.At[json.RawMessage](c, post, rendezvous.OnTerm(term))
		t.ready, err = newReadiness(fd, point.Post)
	}
	return t, err
}

// lead is who leads, as --observe prints it.
type lead struct {
	ID     string     `json:"id"`
	Addr   string     `json:"address,omitempty"`
	Token  uint64     `json:"token"`
	Acts   bool       `json:"acked"` // it has begun to act
	Vacant bool       `json:"vacant"`
	Since  *time.Time `json:"since,omitempty"`
}

func (l lead) text(w io.Writer) (err error) {
	switch {
	case l.Vacant:
		_, err = fmt.Fprintln(w, "nobody")
	case l.Acts:
		_, err = fmt.Fprintf(w, "%s token=%d since=%s\n", legible(l.ID), l.Token, l.Since.Format(time.RFC3339))
	default:
		_, err = fmt.Fprintf(w, "%s token=%d elected\n", legible(l.ID), l.Token)
	}
	return err
}

// observeLeader prints who leads, until it is told to end, or once with --wait 0.
func observeLeader(ctx context.Context, w *wrap, path string) error {
	if err := w.wait.check(); err != nil {
		return err
	}
	if w.wait.set() && !w.wait.tries() {
		return usagef("--wait %v: with --observe, only 0, to look once", w.wait.d)
	}
	out := &output{json: w.json}
	return w.remote.meet(ctx, func(ctx context.Context, c *client.Client) error {
		for info, err := range leader.Observe(ctx, c, path) {
			if err != nil {
				return told(ctx, err)
			}
			l := lead{ID: info.ID, Addr: info.Addr, Token: info.Token, Acts: info.Acked, Vacant: info.Vacant}
			if !info.Vacant {
				l.Since = &info.Since
			}
			if err := out.one(w.e.stdout, l, l.text); err != nil || w.wait.tries() {
				return err
			}
		}
		return nil
	})
}
