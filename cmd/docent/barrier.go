package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
)

func barrierVerb(e env) *cobra.Command {
	return parent("barrier", "start together with N-1 others, and end with them",
		barrierRunVerb(e), barrierEnterVerb(e), barrierHoldVerb(e), barrierLeaveVerb(e), barrierReportVerb(e))
}

// mostMembers is how many package barrier takes at most.
const mostMembers = 5000

// generation is what became of one use of a barrier.
type generation struct {
	Generation int      `json:"generation"`
	Left       []string `json:"left"`
	Crashed    []string `json:"crashed"`
}

func newGeneration(r barrier.Report) generation {
	return generation{r.Generation, orEmpty(r.Left), orEmpty(r.Crashed)}
}

// orEmpty makes a list that JSON shows as [].
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (g generation) text(w io.Writer) error {
	_, err := fmt.Fprintln(w, g.line())
	return err
}

// line tells how many left and who crashed.
func (g generation) line() string {
	s := fmt.Sprintf("%d left", len(g.Left))
	if len(g.Crashed) > 0 {
		s += fmt.Sprintf(", %d crashed: %s", len(g.Crashed), nameAll(g.Crashed))
	}
	return s
}

func nameAll(who []string) string {
	shown := make([]string, len(who))
	for i, name := range who {
		shown[i] = legible(name)
	}
	return strings.Join(shown, ", ")
}

// barrierStatus is a barrier as the verb report prints it.
type barrierStatus struct {
	Generation int         `json:"generation"`
	Count      int         `json:"count"`
	Running    bool        `json:"running"`
	Here       []string    `json:"here"`           // who waits, or runs and has not left
	GaveUp     []string    `json:"gaveUp"`         // who came lately and went before it started
	Last       *generation `json:"last,omitempty"` // the generation that runs, or else the last that did
}

func newBarrierStatus(st barrier.Status) barrierStatus {
	b := barrierStatus{Generation: st.Generation, Count: st.N, Running: st.Running, Here: orEmpty(st.Here), GaveUp: orEmpty(st.GaveUp)}
	if st.Last.Generation > 0 {
		last := newGeneration(st.Last)
		b.Last = &last
	}
	return b
}

// text is one line for what has been, and more for what is not over.
func (b barrierStatus) text(w io.Writer) error {
	var lines []string
	if b.Last != nil {
		lines = append(lines, b.Last.line())
	}
	switch {
	case b.Running:
		lines = append(lines, fmt.Sprintf("%d of %d still in: %s", len(b.Here), b.Count, nameAll(b.Here)))
	case len(b.Here) > 0:
		lines = append(lines, fmt.Sprintf("%d of %d wait: %s", len(b.Here), b.Count, nameAll(b.Here)))
	case b.Last == nil && len(b.GaveUp) == 0:
		lines = append(lines, fmt.Sprintf("nobody of %d is here", b.Count))
	}
	if len(b.GaveUp) > 0 && !b.Running {
		lines = append(lines, fmt.Sprintf("it did not start: %d of %d came and gave up: %s", len(b.GaveUp), b.Count, nameAll(b.GaveUp)))
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func barrierReportVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report PATH",
		Short: "tell who left, who crashed, and who waits",
		Long: `Tells what became of those who started together last, and of a barrier that has
not started who waits, or came and gave up. Whoever was killed before it started
is not known any more.`,
		Example: "  docent barrier report jobs/7/step1\n  docent barrier report jobs/7/step1 --format '{{len .Last.Crashed}}'",
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
			st, err := barrier.Look(ctx, c, args[0])
			if errors.Is(err, client.ErrNoNode) {
				return fmt.Errorf("%s: nobody has come to such a barrier", args[0])
			}
			if err != nil {
				return err
			}
			b := newBarrierStatus(st)
			return out.one(e.stdout, b, b.text)
		})
	}
	return cmd
}
