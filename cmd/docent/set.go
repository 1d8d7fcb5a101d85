package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

func setVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set PATH DATA",
		Short: "replace the data of a znode",
		Long: `Replaces the data of a znode by DATA, by the content of a file if DATA is @FILE,
or by stdin if it is -. DATA that begin with a dash come behind --. Exits with
75 if --version is not that of the node.`,
		Example: "  docent set /config/appmgr/slurm @slurm.json --version 12\n  date | docent set /last-run -",
		Args:    exactArgs("PATH", "DATA"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	version := addVersion(cmd, "the data")
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		data, err := e.data(cmd.Context(), args[1])
		if err != nil {
			return err
		}
		path := r.path(args[0])
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			stat, err := c.Set(ctx, path, data, *version)
			if err != nil {
				return err
			}
			return out.one(e.stdout, znode{path, data, nodeStat(stat)}, func(w io.Writer) error {
				if e.attached == nil {
					return nil // as good commands do
				}
				_, err := fmt.Fprintf(w, "version %d\n", stat.Version)
				return err
			})
		})
	}
	return cmd
}
