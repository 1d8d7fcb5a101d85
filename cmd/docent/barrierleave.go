package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

func barrierLeaveVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leave PATH",
		Short: "be done, wait for the others, and tell who crashed",
		Long: `Leaves a barrier that this process has entered, and waits until all others have
left or crashed. Exit code 75: not all have within --wait; this one has left all
the same. 76: the place was lost meanwhile, and counts as crashed.`,
		Example: "  docent barrier leave --wait 5m jobs/7/step1",
		Args:    exactArgs("PATH"),
	}
	out, owner := addOutput(cmd), addOwner(cmd)
	wait := addPatience(cmd, "how long to wait for the others; 0: not (default: for ever)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		h, err := newHolding(args[0], *owner)
		if err = errors.Join(err, out.check(), wait.check()); err != nil {
			return err
		}
		answer, err := h.leave(cmd.Context(), leaveRequest{Wait: wait.d, Limited: wait.set()})
		if err == nil {
			err = answer.err()
		}
		if err != nil {
			return err
		}
		return out.one(e.stdout, answer.Generation, answer.Generation.text)
	}
	return cmd
}

// leave asks the holder to leave.
func (h holding) leave(ctx context.Context, ask leaveRequest) (answer holderAnswer, err error) {
	dir, err := runtimeDir()
	if err != nil {
		return answer, err
	}
	conn, err := net.Dial("unix", h.socket(dir))
	if err != nil {
		return answer, &exit{code: exitLost, err: fmt.Errorf("nobody holds a place at %s for process %d: it did not enter, or lost it", h.path, h.owner)}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(ask); err != nil {
		return answer, err
	}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return answer, &exit{code: exitLost, err: fmt.Errorf("the process that held the place ended: %w", err)}
	}
	return answer, nil
}
