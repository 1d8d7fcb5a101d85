package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// lsBatch is how many nodes are looked at in one go.
const lsBatch = 1000

// entry is a node as ls prints it.
type entry struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Stat nodeStat `json:"stat"`
}

func lsVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [PATH]",
		Short: "list the children of a znode",
		Long: `Lists the names of the children of a znode, sorted. With --long: the version and
the bytes of the data, how many children there are, when the data were set, and
the session if it is an ephemeral.`,
		Example: "  docent ls --long /services\n  docent ls --format '{{.Path}} {{.Stat.DataLength}}' /config",
		Args:    optionalArgs(nil, "PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	long := cmd.Flags().Bool("long", false, "with what is known of each")
	fresh := addFresh(cmd)
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			path := r.path(optional(args, 0))
			names, _, err := c.Children(ctx, path, fresh.options()...)
			if err != nil {
				return err
			}
			slices.Sort(names)
			if !*long && !out.json && out.tmpl == nil {
				return writeNames(e.stdout, names)
			}
			children, err := look(ctx, c, path, names)
			if err != nil {
				return err
			}
			return all(out, e.stdout, children, func(w io.Writer) error { return writeChildren(w, children) })
		})
	}
	return cmd
}

// look finds out what is known of children. Those that have gone meanwhile are left out.
func look(ctx context.Context, c *client.Client, path string, names []string) ([]entry, error) {
	children := make([]entry, 0, len(names))
	for chunk := range slices.Chunk(names, lsBatch) {
		s, err := c.Session(ctx)
		if err != nil {
			return nil, err
		}
		b := s.Batch()
		found := make([]*client.Future[client.Existence], len(chunk))
		for i, name := range chunk {
			found[i] = b.Exists(rooted(path, name))
		}
		if err := b.Do(ctx); err != nil {
			return nil, err
		}
		for i, name := range chunk {
			is, err := found[i].Get()
			if errors.Is(err, client.ErrNoAuth) {
				children = append(children, entry{Name: name, Path: rooted(path, name)}) // it is there, and that is all we may know
			} else if err != nil {
				return nil, err
			} else if is.OK {
				children = append(children, entry{name, rooted(path, name), nodeStat(is.Stat)})
			}
		}
	}
	return children, nil
}

// writeNames prints names one a line. Those of nodes can hold no line feed.
func writeNames(w io.Writer, names []string) error {
	for _, name := range names {
		if _, err := fmt.Fprintln(w, printable(name)); err != nil {
			return err
		}
	}
	return nil
}

func writeChildren(w io.Writer, children []entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VERSION\tBYTES\tCHILDREN\tDATA SET\tSESSION\tNAME")
	for _, n := range children {
		owner := "-"
		if n.Stat.EphemeralOwner != 0 {
			owner = fmt.Sprintf("%#x", uint64(n.Stat.EphemeralOwner))
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%s\t%s\t%s\n", n.Stat.Version, n.Stat.DataLength, n.Stat.NumChildren, serverTime(n.Stat.Mtime), owner, printable(n.Name))
	}
	return t.Flush()
}
