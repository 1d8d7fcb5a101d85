package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// branch is a node as tree prints it.
type branch struct {
	Path  string   `json:"path"`
	Depth int      `json:"depth"`
	Stat  nodeStat `json:"stat"`
}

func treeVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tree [PATH]",
		Short: "print a subtree",
		Long: `Prints a znode and what is below it, as far as --depth goes; + and a number tell
of children that are not shown, and an asterisk marks ephemerals. JSON comes one
object a line. --timeout is for each answer.`,
		Example: "  docent tree --depth 2 /services",
		Args:    optionalArgs(nil, "PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	depth := cmd.Flags().Int("depth", 0, "how many levels below it, 0: all")
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *depth < 0 {
			return usagef("--depth %d: want 0 or more", *depth)
		}
		if err := out.check(); err != nil {
			return err
		}
		ctx, life, cancel := timeout.lifeSigns(cmd.Context())
		defer cancel()
		return r.use(ctx, func(c *client.Client) error {
			buffered := bufio.NewWriter(e.stdout)
			d := drawing{c: c, out: out, w: buffered, alive: life.alive, most: *depth}
			if d.most == 0 {
				d.most = math.MaxInt
			}
			return errors.Join(d.root(ctx, r.path(optional(args, 0))), buffered.Flush())
		})
	}
	return cmd
}

// drawing prints a subtree while it reads it.
type drawing struct {
	c     *client.Client
	out   *output
	w     io.Writer
	alive func()
	most  int // levels
}

func (d *drawing) root(ctx context.Context, path string) error {
	stat, ok, err := d.c.Exists(ctx, path)
	if err == nil && !ok {
		err = &client.OpError{Op: "exists", Path: path, Err: client.ErrNoNode}
	}
	if err != nil {
		return err
	}
	if err := d.print(branch{path, 0, nodeStat(stat)}, "", path); err != nil {
		return err
	}
	return d.below(ctx, path, "", 1)
}

// print prints one node: indent is what stands before it, label how it is called there.
func (d *drawing) print(b branch, indent, label string) error {
	return d.out.one(d.w, b, func(w io.Writer) error {
		if b.Stat.EphemeralOwner != 0 {
			label += "*"
		}
		if b.Depth == d.most && b.Stat.NumChildren > 0 {
			label += fmt.Sprintf(" +%d", b.Stat.NumChildren)
		}
		_, err := fmt.Fprintln(w, indent+printable(label))
		return err
	})
}

// below prints what is below a node that may have gone meanwhile.
func (d *drawing) below(ctx context.Context, path, indent string, depth int) error {
	if depth > d.most {
		return nil
	}
	names, _, err := d.c.Children(ctx, path)
	if errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrNoAuth) && depth > 1 {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	for len(names) > 0 {
		chunk := names[:min(lsBatch, len(names))]
		names = names[len(chunk):]
		children, err := look(ctx, d.c, path, chunk)
		if err != nil {
			return err
		}
		d.alive()
		for i, n := range children {
			first, next := "├── ", "│   "
			if i == len(children)-1 && len(names) == 0 {
				first, next = "└── ", "    "
			}
			if err := d.print(branch{n.Path, depth, nodeStat(n.Stat)}, indent+first, n.Name); err != nil {
				return err
			}
			if n.Stat.NumChildren == 0 {
				continue
			}
			if err := d.below(ctx, n.Path, indent+next, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
