package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
)

func semVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sem --permits N PATH -- COMMAND [ARGUMENT...]",
		Short: "run a command while it has one of N permits",
		Long: `Runs a command while it has one of the N permits at PATH, or as many as --weight
says, and ends with its exit code. The command finds in its environment
DOCENT_SLOT, the number of its permit from 0, which nobody else has meanwhile
(all of several in DOCENT_SLOTS, as 0,3), DOCENT_TOKEN and DOCENT_LOCK.`,
		Example: `  docent sem --permits 8 --wait 4h seats/sim -- sh -c 'run seat$DOCENT_SLOT.lic'`,
		Args:    wrapArgs("PATH"),
	}
	w := newWrap(cmd, e)
	permits := cmd.Flags().Int("permits", 0, "how many there are; 0: as somebody has set")
	weight := cmd.Flags().Int("weight", 1, "how many to take")
	w.addWait("how long to wait, 0: not; then 75 (default: for ever)")
	note := cmd.Flags().String("note", "", "`text` beside our identity, for who asks who has them")
	w.addLoss()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := wrapPath(args[0])
		switch {
		case err != nil:
			return err
		case *permits < 0:
			return usagef("--permits %d: want 1 or more", *permits)
		case *weight < 1 || *permits > 0 && *weight > *permits:
			return usagef("--weight %d: want from 1 to the number of permits", *weight)
		}
		return w.run(args[1:], func(ctx context.Context, c *client.Client) (*taken, error) {
			s := lock.NewSemaphore(c, path, *permits, lock.Note(*note))
			acquire := s.Acquire
			if w.wait.tries() {
				acquire = s.TryAcquire
			}
			permit, err := acquire(ctx, *weight)
			if err != nil {
				return nil, notHad(err, lock.ErrLocked)
			}
			return &taken{
				hold:    permit,
				event:   event{Path: path, Token: permit.Token(), Slots: permit.Slots()},
				vars:    append(lockVars(path, permit), slotVars(permit)...),
				release: func(ctx context.Context, _ int) error { return permit.Unlock(ctx) },
			}, nil
		})
	}
	return cmd
}

func slotVars(p *lock.Permit) []string {
	var all []string
	for _, slot := range p.Slots() {
		all = append(all, fmt.Sprint(slot))
	}
	return []string{fmt.Sprint("DOCENT_SLOT=", p.Slot()), "DOCENT_SLOTS=" + strings.Join(all, ",")}
}
