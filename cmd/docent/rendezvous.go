package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/rendezvous"
)

// posting is what is posted at a rendezvous, as the verbs print it.
type posting struct {
	Value  any    `json:"value"`
	Epoch  uint64 `json:"epoch"`
	Gone   bool   `json:"gone"`
	Poster string `json:"poster"`

	raw json.RawMessage
}

func newPosting(info rendezvous.Info[json.RawMessage]) (posting, error) {
	p := posting{Epoch: info.Epoch, Gone: info.Gone, Poster: info.Poster, raw: info.Value}
	if info.Gone {
		return p, nil
	}
	var err error
	p.Value, err = decodeExactly(info.Value)
	return p, err
}

// fields are those of the value, and the epoch.
func (p posting) fields() []field {
	return append(fieldsOf(p.raw), field{"epoch", fmt.Sprint(p.Epoch)})
}

func (p posting) text(w io.Writer) (err error) {
	if p.Gone {
		_, err = fmt.Fprintf(w, "gone epoch=%d\n", p.Epoch)
	} else {
		_, err = fmt.Fprintln(w, words(p.fields()))
	}
	return err
}

func rendezvousVerb(e env) *cobra.Command {
	return parent("rendezvous", "find a master whose place is known only when it runs",
		rendezvousPostVerb(e), rendezvousWaitVerb(e), rendezvousFollowVerb(e))
}

func rendezvousPostVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "post PATH KEY=TEXT...",
		Short: "tell those who wait where this is",
		Long: `Posts a JSON object made of KEY=TEXT (whole numbers become numbers) and
KEY:=JSON, or one JSON value, @FILE, or - for stdin. The posting is there for as
long as the verb runs: until INT or TERM. Exit code 75: another posting is there
and does not go within --wait; 76: ours was lost and another came.`,
		Example: "  docent rendezvous post jobs/7/meet host=n042 port=4242 &",
		Args:    someArgs("PATH", "KEY=TEXT"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	wait := addPatience(cmd, "how long to wait for another's posting to go (default: not)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(out.check(), wait.check()); err != nil {
			return err
		}
		value, err := parseValue(args[1:], e.stdin)
		if err != nil {
			return usageError(err)
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			point := rendezvous.At[json.RawMessage](c, args[0])
			return keepPosted(ctx, c, point, value, wait, func() error { return told(ctx, printPosting(ctx, e.stdout, out, point)) })
		})
	}
	return cmd
}

// keepPosted posts value, and again when it has gone although nobody was told so: its session was lost, or somebody
// deleted it. Every posting is shown. When ctx ends it takes the posting back.
func keepPosted(ctx context.Context, c *client.Client, point *rendezvous.Point[json.RawMessage], value json.RawMessage, wait *patience, show func() error) error {
	first, cancel := wait.bound(ctx, "the posting of another did not go")
	defer cancel()
	for lost := false; ; lost = true {
		s, err := c.Session(ctx)
		if err == nil {
			err = postOver(first, point, value, wait.d > 0 && !lost)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case errors.Is(err, rendezvous.ErrPosted) && lost:
			return &exit{code: exitLost, err: err}
		case errors.Is(err, rendezvous.ErrPosted):
			return &exit{code: exitTemporary, err: err}
		case err != nil && s != nil && s.Context().Err() != nil:
			continue
		case err != nil:
			return err
		}
		cancel()
		first = ctx
		if err := show(); err != nil {
			return err
		}
		if err := untilGone(ctx, s, point); ctx.Err() != nil {
			over, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
			defer cancel()
			return point.Withdraw(over)
		} else if err != nil {
			return err
		}
	}
}

// postOver posts, and waits before for another's posting to go if it may.
func postOver(ctx context.Context, point *rendezvous.Point[json.RawMessage], value json.RawMessage, mayWait bool) error {
	for {
		err := point.Post(ctx, value)
		if !mayWait || !errors.Is(err, rendezvous.ErrPosted) {
			return err
		}
		if err := point.Vacant(ctx); err != nil {
			return err
		}
	}
}

// untilGone waits until the posting made on s has gone, or ctx ends.
func untilGone(ctx context.Context, s *client.Session, point *rendezvous.Point[json.RawMessage]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.Context(), cancel)()
	err := point.Vacant(ctx)
	if s.Context().Err() != nil {
		return nil
	}
	return err
}

func printPosting(ctx context.Context, w io.Writer, out *output, point *rendezvous.Point[json.RawMessage]) error {
	info, err := point.Peek(ctx)
	if err != nil {
		return err
	}
	p, err := newPosting(info)
	if err != nil {
		return err
	}
	return out.one(w, p, p.text)
}

func rendezvousWaitVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait PATH",
		Short: "print what the master posted, once it has",
		Long: `Waits for a posting and prints it with its epoch, which grows from master to
master. --export prints assignments for eval in sh: PREFIX and the key in
capitals, all quoted. If it fails, the eval fails too, with the same code.
Exit code 75: nothing was posted within --wait.`,
		Example: `  eval "$(docent rendezvous wait --wait 9m --export MASTER_ jobs/meet)" || exit
  echo "$MASTER_HOST $MASTER_PORT $MASTER_EPOCH"`,
		Args: exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	wait := addPatience(cmd, "how long to wait; 0: only look (default: until INT or TERM)")
	x := addExport(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(out.check(), wait.check(), x.checkWith(cmd, out)); err != nil {
			return err
		}
		return x.failed(e.stdout, r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			info, err := waitPosted(ctx, rendezvous.At[json.RawMessage](c, args[0]), wait)
			if err != nil {
				return err
			}
			p, err := newPosting(info)
			if err != nil {
				return err
			}
			if x.prefix != "" {
				return x.print(e.stdout, p.fields())
			}
			return out.one(e.stdout, p, p.text)
		}))
	}
	return cmd
}

func waitPosted(ctx context.Context, point *rendezvous.Point[json.RawMessage], wait *patience) (info rendezvous.Info[json.RawMessage], err error) {
	const late = "nothing was posted"
	if wait.tries() {
		if info, err = point.Peek(ctx); err == nil && info.Gone {
			err = tooLate(late)
		}
		return info, err
	}
	ctx, cancel := wait.bound(ctx, late)
	defer cancel()
	return point.Wait(ctx)
}

func rendezvousFollowVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "follow PATH",
		Short: "print what is posted, and every change",
		Long: `Prints the posting, each further one, and a line when there is none any more,
until INT or TERM. It goes on across lost sessions and servers. While it runs it
counts as a worker for a master that gathers.`,
		Example: "  docent rendezvous follow --format '{{.Epoch}} {{.Gone}}' jobs/7/meet",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			for info, err := range rendezvous.At[json.RawMessage](c, args[0]).Follow(ctx) {
				if err != nil {
					return told(ctx, err)
				}
				p, err := newPosting(info)
				if err == nil {
					err = out.one(e.stdout, p, p.text)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}
