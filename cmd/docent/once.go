package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
)

// onceDir is what the nodes of docent once are below.
//
//	/once/nightly/2026-11-22/run     {"run":"slurm:hpc:88123","id":"slurm:hpc:88123_17@n042"}: was, or is being, run
//	/once/nightly/2026-11-22/turn    a lock: who is about to claim the run
const onceDir = "/once/"

func onceVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "once --key KEY --ttl DURATION [-- COMMAND [ARGUMENT...]]",
		Short: "do something at most once in a while",
		Long: `Ends with 0, or runs the command, for the first who asks for KEY, and with 75
for all others until --ttl is over, by the servers' clock. What fails is not
undone. --scope says who is one and the same: call (each call is another), job
(all of a SLURM or PBS job, also requeued) or array (all tasks of an array).`,
		Example: `  docent once --key nightly/$(date +%F) --ttl 20h --scope array || exit 0`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case dash < 0:
				return noArgs(cmd, args)
			default:
				return wrapArgs()(cmd, args)
			}
		},
	}
	w := newWrap(cmd, e)
	key := cmd.Flags().String("key", "", "what is done, as `PATH`")
	ttl := cmd.Flags().Duration("ttl", 0, "for how long it counts as done")
	scope := cmd.Flags().String("scope", scopeCall, "`who` is one: call, job or array")
	completeFlag(cmd, "scope", "call", "job", "array")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *key == "" {
			return usagef("--key is missing: is a variable in it not set?")
		}
		path, err := wrapPath(onceDir + *key)
		if err != nil {
			return err
		}
		if *ttl < time.Millisecond || *ttl > mostTTL {
			return usagef("--ttl %v: want from 1ms to %v", *ttl, mostTTL)
		}
		run, err := runOf(*scope, e.getenv)
		if err != nil {
			return err
		}
		claim := func(ctx context.Context, c *client.Client) (*taken, error) {
			err := claimRun(ctx, c, path, *ttl, doneBy{Run: run, ID: c.Identity()})
			return &taken{event: event{Path: path}}, err
		}
		if len(args) > 0 {
			return w.run(args, claim)
		}
		return w.remote.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			t, err := again(ctx, func() (*taken, error) { return claim(ctx, c) })
			if err == nil {
				w.tell("acquired", t.event)
			}
			return err
		})
	}
	return cmd
}

// Who counts as one, of those who ask.
const (
	scopeCall  = "call"
	scopeJob   = "job"
	scopeArray = "array"
)

// runOf names what is one in a scope.
func runOf(scope string, getenv func(string) string) (string, error) {
	var names []string
	switch scope {
	case scopeCall:
		return rand.Text(), nil
	case scopeJob:
		names = []string{"SLURM_JOB_ID", "PBS_JOBID"}
	case scopeArray: // an array of PBS has a name of its own; its tasks' jobs do not tell of each other
		names = []string{"SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID", "PBS_ARRAY_ID"}
	default:
		return "", usagef("--scope %q: want call, job or array", scope)
	}
	for _, name := range names {
		if id := getenv(name); id != "" {
			return name + "=" + getenv("SLURM_CLUSTER_NAME") + ":" + id, nil
		}
	}
	return "", usagef("--scope %s: none of %v is set", scope, names)
}

// doneBy says who did it.
type doneBy struct {
	Run string `json:"run"`
	ID  string `json:"id"`
}

// claimRun returns nil if the run at path is ours: nobody claimed it within ttl, or we did.
func claimRun(ctx context.Context, c *client.Client, path string, ttl time.Duration, us doneBy) error {
	data, err := json.Marshal(us)
	if err != nil {
		return err
	}
	for {
		if by, _, err := lastRun(ctx, c, path); err != nil || by != nil && by.Run == us.Run {
			return err
		}
		done, err := claimInTurn(ctx, c, path, ttl, us, data)
		if done || err != nil {
			return err
		}
	}
}

// claimInTurn claims under a lock. A version alone would not do: the node that was seen may be deleted when its time is
// over, and made anew by somebody else, and then has the same version again.
func claimInTurn(ctx context.Context, c *client.Client, path string, ttl time.Duration, us doneBy, data []byte) (done bool, err error) {
	turn, err := lock.New(c, path+"/turn").Lock(ctx)
	if err != nil {
		return false, err
	}
	defer turn.Close()
	by, stat, err := lastRun(ctx, c, path)
	switch {
	case err != nil:
		return false, err
	case by != nil && by.Run == us.Run:
		return true, nil
	case by != nil:
		now, err := askTime(ctx, c, path)
		if err != nil {
			return false, err
		}
		if age := now.Sub(time.UnixMilli(stat.Ctime)); age < ttl {
			return false, tooLate("run %v ago, by %s", age.Round(time.Millisecond), by.ID)
		}
	}
	for _, o := range [][]client.CreateOption{{client.TTL(ttl)}, nil} {
		txn := turn.Txn()
		if by != nil {
			txn.Delete(path+"/run", stat.Version)
		}
		_, err = txn.Create(path+"/run", data, o...).Commit(ctx)
		if !errors.Is(err, client.ErrUnimplemented) {
			break
		} // else the server has no nodes with a time to live: a plain one is as good, but stays
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, client.ErrNoNode), errors.Is(err, client.ErrNodeExists), errors.Is(err, client.ErrMaybeApplied):
		return false, nil // its time was over just now, our turn was, or the reply is lost: look again
	}
	return false, err
}

// lastRun reads who claimed the run; nil if nobody did.
func lastRun(ctx context.Context, c *client.Client, path string) (*doneBy, client.Stat, error) {
	n, err := c.Get(ctx, path+"/run", client.Fresh())
	switch {
	case errors.Is(err, client.ErrNoNode):
		return nil, client.Stat{}, nil
	case err != nil:
		return nil, client.Stat{}, err
	}
	by := &doneBy{ID: "somebody"}
	_ = json.Unmarshal(n.Data, by) // a stranger's node counts as well
	return by, n.Stat, nil
}

// askTime asks what time it is by the clock that dates the nodes.
func askTime(ctx context.Context, c *client.Client, path string) (time.Time, error) {
	n, err := c.Create(ctx, path+"/now", nil, client.Ephemeral(), client.Sequential(), client.Protected())
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the servers' time: %w", err)
	}
	if err := c.Delete(ctx, n.Path, -1); err != nil && !errors.Is(err, client.ErrMaybeApplied) && !errors.Is(err, client.ErrNoNode) {
		return time.Time{}, fmt.Errorf("ask for the servers' time: %w", err)
	}
	return time.UnixMilli(n.Stat.Ctime), nil
}
