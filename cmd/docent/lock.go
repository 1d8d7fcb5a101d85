package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
)

func lockVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lock PATH -- COMMAND [ARGUMENT...]",
		Short: "run a command while nobody else holds a lock",
		Long: `Runs a command while it holds the lock at PATH, and ends with its exit code. The
command finds DOCENT_TOKEN, which grows from holder to holder, and DOCENT_LOCK
in its environment. When the lock is lost, it is stopped before somebody else
can have it; the exit code is 76 then. A lock called ls is written ./ls.`,
		Example: `  docent lock --wait 30m publish -- sh -c 'psql -v tok="$DOCENT_TOKEN" -f p.sql'`,
		Args:    wrapArgs("PATH"),
	}
	w := newWrap(cmd, e)
	w.addWait("how long to wait for it, 0: not at all; then 75 (default: for ever)")
	note := cmd.Flags().String("note", "", "`text` beside our identity, for who asks who holds it")
	w.addLoss()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := wrapPath(args[0])
		if err != nil {
			return err
		}
		return w.run(args[1:], func(ctx context.Context, c *client.Client) (*taken, error) {
			m := lock.New(c, path, lock.Note(*note))
			held, err := w.takeLock(ctx, path, m.TryLock, m.Lock)
			if err != nil {
				return nil, err
			}
			return &taken{
				hold:    held,
				event:   event{Path: path, Token: held.Token()},
				vars:    lockVars(path, held),
				release: func(ctx context.Context, _ int) error { return held.Unlock(ctx) },
			}, nil
		})
	}
	cmd.AddCommand(lockLsVerb(e))
	return cmd
}

// lockVars are the variables of a child that runs under a lock.
func lockVars(path string, held interface{ Token() uint64 }) []string {
	return []string{fmt.Sprint("DOCENT_TOKEN=", held.Token()), "DOCENT_LOCK=" + path}
}

// takeLock tries, or waits as long as --wait says.
func (w *wrap) takeLock(ctx context.Context, path string, try, wait func(context.Context) (*lock.Held, error)) (*lock.Held, error) {
	if w.wait.tries() {
		held, err := try(ctx)
		return held, notHad(err, lock.ErrLocked)
	}
	held, err := wait(ctx)
	return held, notHad(err)
}
