package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/internal/zpath"
)

func doctorVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [PATH]",
		Short: "look for what will make trouble, in a tree and its locks",
		Long: `Looks through the tree below PATH, and writes nothing. Exit code 1: it found
  cycle     sessions that wait for each other's locks (a program that holds in
            one goroutine and waits in another may show up without harm)
  orphan, tie, mixed, stranger: places in line that no session removes, have one
            number, or that other libraries do not see; what is no place
  parent    stays although it is empty, or is no container (with --admin)
  oversize, crowd, counter: too much data, too many children, numbers run out
  shadow, churn: state of jobs, and queues of them: docs/where-state-belongs.md
  unreadable: nothing is known of what is below, for an ACL forbids it`,
		Example: "  docent doctor --admin c1:8080 /proj",
		Args:    optionalPath,
	}
	lim := limits{}
	cmd.Flags().Int32Var(&lim.value, "max-value", 64<<10, "`bytes` of data that are oversize")
	examine := looker(cmd, e, func(ctx context.Context, l *looking, args []string) error {
		path := zpath.Join("/", strings.Join(args, ""))
		containers, err := l.containers(ctx)
		if err != nil {
			return err
		}
		p := newProgress(e, "nodes")
		d := l.doctor(lim, containers)
		err = d.examine(ctx, l.f, path, p)
		p.done()
		if err != nil {
			return err
		}
		r := d.report()
		if err := l.printReport(r); err != nil {
			return err
		}
		if len(r.Findings) > 0 {
			return &exit{code: exitError}
		}
		return nil
	})
	run := examine.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if lim.value < 1 {
			return usagef("--max-value %d: want at least 1", lim.value)
		}
		return run(cmd, args)
	}
	noTimeLimit(cmd)
	return cmd
}

// doctor returns one for the tree that is looked at.
func (l *looking) doctor(lim limits, containers map[string]bool) *doctor {
	d := newDoctor(lim, containers)
	if l.chroot == "" {
		d.system = "zookeeper"
	}
	return d
}

// optionalPath accepts one argument at most.
func optionalPath(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exactArgs("PATH")(cmd, args)
}

// noTimeLimit makes a verb take as long as there is to do, unless --timeout says otherwise.
func noTimeLimit(cmd *cobra.Command) {
	f := cmd.Flags().Lookup("timeout")
	f.DefValue = "0s"
	_ = f.Value.Set(f.DefValue) // it is a duration
}

// examination is what a doctor reports.
type examination struct {
	Nodes    int            `json:"nodes"`
	Findings []finding      `json:"findings"`
	More     map[string]int `json:"more,omitempty"` // by kind: how many are not told
}

// printReport prints findings as text, one a line, or all as one JSON; a template gets them one by one.
func (l *looking) printReport(r examination) error {
	w := l.e.stdout
	if l.out.tmpl != nil {
		return all(l.out, w, r.Findings, nil)
	}
	return l.out.one(w, r, func(w io.Writer) error {
		for _, f := range r.Findings {
			if _, err := fmt.Fprintf(w, "%-10s  %s: %s\n", f.Kind, printable(f.Path), printable(f.What)); err != nil {
				return err
			}
		}
		for _, kind := range findings() {
			if n := r.More[kind]; n > 0 {
				if _, err := fmt.Fprintf(w, "%-10s  and %s more\n", kind, thousands(int64(n))); err != nil {
					return err
				}
			}
		}
		_, err := fmt.Fprintf(w, "%s nodes, %d findings\n", thousands(int64(r.Nodes)), len(r.Findings))
		return err
	})
}

// containers asks an address for operators which nodes servers remove when they run empty, since the protocol does not tell
// them apart. Without such an address the answer is nil. Only docent's servers know this command.
func (l *looking) containers(ctx context.Context) (map[string]bool, error) {
	var failure error
	for _, o := range l.ask.admins {
		var answer struct {
			Containers []string `json:"containers"`
			TTL        []string `json:"ttl_nodes"`
		}
		if failure = l.ask.command(ctx, o, "containers", &answer); failure != nil {
			continue
		}
		set := make(map[string]bool, len(answer.Containers)+len(answer.TTL))
		for _, list := range [][]string{answer.Containers, answer.TTL} {
			for _, path := range list {
				if rest, ok := strings.CutPrefix(path, l.chroot); ok && strings.HasPrefix(rest, "/") {
					set[rest] = true
				}
			}
		}
		return set, nil
	}
	return nil, failure
}

// limits are what a doctor calls too much. Zero means the default.
type limits struct {
	value    int32         // bytes of data
	children int           // bytes of a list of children
	number   int32         // of sequential nodes
	idle     time.Duration // since a directory ran empty
	churn    int64         // children that have come and gone, if they did so more than once a minute
	each     int           // findings of a kind that are told
}

func (l limits) withDefaults() limits {
	def := limits{value: 64 << 10, children: 512 << 10, number: 1<<31 - 1<<27, idle: 10 * time.Minute, churn: 10_000, each: 100}
	if l.value == 0 {
		l.value = def.value
	}
	if l.children == 0 {
		l.children = def.children
	}
	if l.number == 0 {
		l.number = def.number
	}
	if l.idle == 0 {
		l.idle = def.idle
	}
	if l.churn == 0 {
		l.churn = def.churn
	}
	if l.each == 0 {
		l.each = def.each
	}
	return l
}
