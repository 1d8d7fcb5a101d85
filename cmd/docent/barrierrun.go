package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
)

func barrierRunVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run --count N PATH -- COMMAND [ARGUMENT...]",
		Short: "start a command with N-1 others, and end with them",
		Long: `Waits at the barrier PATH until N have come, runs a command, waits until all of
the N have left, and ends with the command's exit code. Where less than N come
nobody starts: --wait ends it with 75. Whose command fails, or is lost, does not
leave: docent barrier report names it among those who crashed. The command finds
DOCENT_GENERATION, the number of the barrier's use, in its environment.`,
		Example: `  docent barrier run --count 64 --wait 10m jobs/7/step1 -- ./worker`,
		Args:    wrapArgs("PATH"),
	}
	w := newWrap(cmd, e)
	count := cmd.Flags().Int("count", 0, "how many start together")
	next := cmd.Flags().Bool("next", false, "come late: wait for the next use of the barrier, not 75")
	w.addWait("how long to wait for the others; then 75 (default: for ever)")
	w.addLoss()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := wrapPath(args[0])
		switch {
		case err != nil:
			return err
		case *count < 1 || *count > mostMembers:
			return usagef("--count %d: want 1 to %d", *count, mostMembers)
		case w.wait.tries():
			return usagef("--wait 0: the others will not be there at once; want a time")
		}
		var o []barrier.Option
		if *next {
			o = append(o, barrier.Next())
		}
		return w.run(args[1:], func(ctx context.Context, c *client.Client) (*taken, error) {
			m, err := barrier.New(c, path, *count, o...).Enter(ctx)
			if err != nil {
				return nil, notHad(err, barrier.ErrBarrierFull, barrier.ErrRunning)
			}
			return entered(ctx, c, path, m)
		})
	}
	return cmd
}

// entered is what a member of a barrier has taken.
func entered(ctx context.Context, c *client.Client, path string, m *barrier.Member) (*taken, error) {
	s, err := c.Session(ctx) // the member's, or its context has ended
	if err != nil {
		return nil, err
	}
	return &taken{
		hold:  memberHold{m, s},
		event: event{Path: path},
		vars:  []string{fmt.Sprint("DOCENT_GENERATION=", m.Generation())},
		release: func(_ context.Context, code int) error {
			if code != 0 {
				return nil // it goes with our session, and counts as crashed
			}
			return leave(m)
		},
	}, nil
}

// leave waits until all have left, or a signal asks us to end: the member has left then all the same.
func leave(m *barrier.Member) error {
	signals := []os.Signal{syscall.SIGTERM}
	if !signal.Ignored(os.Interrupt) { // as it is of what runs in a script's background
		signals = append(signals, os.Interrupt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	_, err := m.Leave(ctx)
	if errors.Is(err, barrier.ErrReportGone) || ctx.Err() != nil {
		return nil
	}
	return err
}

// memberHold is a member, which is lost with its session.
type memberHold struct {
	*barrier.Member
	session *client.Session
}

func (h memberHold) Session() *client.Session { return h.session }
