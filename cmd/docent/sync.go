package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

func syncVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync [PATH]",
		Short: "let the server catch up with its leader",
		Long: `Lets the server catch up with its leader. In a shell, what is read behind it
shows all that was written before. Alone it tells whether the ensemble can
write: it needs a majority. (To read what is newest, see docent get --fresh.)`,
		Example: "  docent sync --timeout 5s && echo the ensemble works",
		Args:    optionalArgs(nil, "PATH"),
	}
	r := addRemote(cmd, e)
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			return c.Sync(ctx, r.path(optional(args, 0)))
		})
	}
	return cmd
}

// optional returns an argument, or "" if there are not so many: in a path, the root or where the shell stands.
func optional(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}
