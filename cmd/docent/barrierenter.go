package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"
)

// A place at a barrier lives with a session, and a session with a process that keeps it alive. So what enters cannot end
// before it leaves. Handing the session's ticket from enter to leave does not help: between the two nobody would answer
// for it, and a session timeout as long as the work is one after which a crash is noticed. So enter leaves a process
// behind, the holder, which keeps the place for as long as the process lives that called enter, and leave tells it.

// holding says which place a holder holds.
type holding struct {
	path  string
	owner int // the process it is held for
}

func addOwner(cmd *cobra.Command) *int {
	return cmd.Flags().Int("owner", 0, "process ID for whom the place is held (default: the caller's)")
}

func newHolding(path string, owner int) (holding, error) {
	if owner < 0 {
		return holding{}, usagef("--owner %d: want the ID of a process", owner)
	}
	if owner == 0 {
		owner = os.Getppid()
	}
	return holding{nodePath(path), owner}, nil
}

func barrierEnterVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enter --count N PATH",
		Short: "wait for N-1 others, and hold a place until leave",
		Long: `Waits at the barrier PATH until N have come, and ends. A process in the
background holds the place until docent barrier leave; if the caller ends
before, it counts as crashed. Exit code 75: less than N came within --wait, or
the barrier is full or running.`,
		Example: "  docent barrier enter --count 64 --wait 10m jobs/7/step1 || exit\n  ./worker\n  docent barrier leave jobs/7/step1",
		Args:    exactArgs("PATH"),
	}
	r, out, owner := addRemote(cmd, e), addOutput(cmd), addOwner(cmd)
	count := cmd.Flags().Int("count", 0, "how many start together")
	next := cmd.Flags().Bool("next", false, "come late: wait for the next use of the barrier, not 75")
	wait := addPatience(cmd, "how long to wait for the others (default: for ever)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		h, err := newHolding(args[0], *owner)
		if err = errors.Join(err, out.check(), wait.check()); err != nil {
			return err
		}
		if *count < 1 || *count > mostMembers {
			return usagef("--count %d: want 1 to %d", *count, mostMembers)
		}
		if wait.tries() {
			return usagef("--wait 0: the others will not be there at once; want a time")
		}
		vars, err := r.variables()
		if err != nil {
			return err
		}
		hold := []string{"barrier", "hold", "--count", strconv.Itoa(*count), "--owner", strconv.Itoa(h.owner), "--connect", r.connect.String(), "--session", r.session.String()}
		if *next {
			hold = append(hold, "--next")
		}
		if wait.set() {
			hold = append(hold, "--wait", wait.d.String())
		}
		answer, err := startHolder(cmd.Context(), append(hold, "--", h.path), vars)
		if err != nil {
			return err
		}
		if err := answer.err(); err != nil {
			return err
		}
		return out.one(e.stdout, answer.Generation, func(io.Writer) error { return nil })
	}
	return cmd
}

// variables are the environment for another docent that shall reach what this one would. Secrets are not for arguments,
// which everybody can read.
func (r *remote) variables() ([]string, error) {
	if _, err := r.config(); err != nil {
		return nil, err
	}
	vars := os.Environ()
	for _, v := range [][2]string{{"DSN", r.dsn}, {"IDENTITY", r.id}, {"AUTH", r.auth}, {"CA", r.ca}, {"CERT", r.cert}, {"KEY", r.key}} {
		if v[1] != "" {
			vars = append(vars, "DOCENT_"+v[0]+"="+v[1])
		}
	}
	return vars, nil
}

// holderAnswer is what a holder says when it is in, or has left, or cannot.
type holderAnswer struct {
	Code       int
	Error      string
	Generation generation
}

func (a holderAnswer) err() error {
	if a.Code == 0 {
		return nil
	}
	return &exit{code: a.Code, err: errors.New(a.Error)}
}

// startHolder starts a holder and returns when it is in, or cannot be. Until then it ends with us: it reads from a pipe
// that says so.
func startHolder(ctx context.Context, args, vars []string) (answer holderAnswer, err error) {
	self, err := os.Executable()
	if err != nil {
		return answer, err
	}
	said, says, err := os.Pipe()
	if err != nil {
		return answer, err
	}
	defer said.Close()
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.ExtraFiles = vars, []*os.File{says}
	ours, err := cmd.StdinPipe()
	if err != nil {
		return answer, errors.Join(err, says.Close())
	}
	err = cmd.Start()
	says.Close()
	if err != nil {
		return answer, err
	}
	defer context.AfterFunc(ctx, func() { ours.Close() })() // tells it to withdraw
	line, err := bufio.NewReader(said).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &answer)
	}
	if err != nil {
		ours.Close()
		return answer, fmt.Errorf("the process that holds the place ended: %w", errors.Join(cmd.Wait(), ctx.Err()))
	}
	if _, err := io.WriteString(ours, holdOn); err != nil && answer.Code == 0 {
		return answer, fmt.Errorf("the process that holds the place ended: %w", err)
	}
	return answer, nil // it is not waited for: it outlives us
}

// holdOn is what a holder is told that shall go on without us.
const holdOn = "hold on\n"
