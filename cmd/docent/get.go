package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// znode is a node as the raw verbs print it.
type znode struct {
	Path string      `json:"path"`
	Data []byte      `json:"data"` // base64 in JSON, as all bytes
	Stat client.Stat `json:"stat"`
}

func getVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get PATH",
		Short:   "print the data of a znode",
		Long:    "Prints the data of a znode as they are, without a line feed behind them.",
		Example: "  docent get /config/appmgr/slurm\n  docent get --format '{{.Stat.Version}}' /config/appmgr/slurm",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	fresh := cmd.Flags().Bool("fresh", false, "not what one server has, but what the ensemble has now")
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		c, err := r.dial(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		var o []client.ReadOption
		if *fresh {
			o = append(o, client.Fresh())
		}
		n, err := c.Get(ctx, args[0], o...)
		if err != nil {
			return err
		}
		return out.one(e.stdout, znode{n.Path, n.Data, n.Stat}, func(w io.Writer) error {
			_, err := w.Write(n.Data)
			return err
		})
	}
	return cmd
}
