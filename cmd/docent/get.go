package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

func getVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get PATH",
		Short: "print the data of a znode",
		Long: `Prints the data of a znode as they are, without a line feed behind them; on a
terminal, what would command it is escaped.`,
		Example: "  docent get /config/appmgr/slurm\n  docent get --format '{{.Stat.Version}}' /config/appmgr/slurm",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	fresh := addFresh(cmd)
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			n, err := c.Get(ctx, r.path(args[0]), fresh.options()...)
			if err != nil {
				return err
			}
			return out.one(e.stdout, newZnode(n), func(w io.Writer) error { return writeData(e, n.Data) })
		})
	}
	return cmd
}

// writeData prints the data of a node: to a terminal in a form that is harmless, and whole lines.
func writeData(e env, data []byte) error {
	if _, ok := terminal(e.stdout); ok || e.attached != nil {
		_, err := io.WriteString(e.stdout, printableText(string(data))+"\n")
		return err
	}
	_, err := e.stdout.Write(data)
	return err
}

// freshness is whether a verb reads what the ensemble has now, and not what one server has.
type freshness bool

// addFresh gives a verb --fresh.
func addFresh(cmd *cobra.Command) *freshness {
	f := new(freshness)
	cmd.Flags().BoolVar((*bool)(f), "fresh", false, "not what one server has, but what the ensemble has now")
	return f
}

func (f *freshness) options() []client.ReadOption {
	if *f {
		return []client.ReadOption{client.Fresh()}
	}
	return nil
}
