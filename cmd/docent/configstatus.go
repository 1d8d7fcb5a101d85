package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
)

func configStatusVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status PATH",
		Short: "tell who has which version of a value, and who refuses it",
		Long: `Tells of everybody who follows a value and announces it which version it has,
and which newer one it refuses and why. docent config exec announces itself; Go
programs do with Value.Announce of package config. Ends with 1 if anybody
refuses a version, else with 0. With --metrics it prints how many there are of
each, for Prometheus, and ends with 0.`,
		Example: "  docent config status config/appmgr/slurm\n  docent config status --metrics config/appmgr/slurm > /var/lib/node/config.prom",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	metrics := cmd.Flags().Bool("metrics", false, "print the numbers, in the text format of Prometheus")
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		if *metrics && (out.json || out.format != "") {
			return usagef("--metrics excludes --json and --format")
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		return r.meet(ctx, func(ctx context.Context, c *client.Client) error {
			readers, err := config.Readers(ctx, c, nodePath(args[0]))
			if err != nil {
				return err
			}
			if *metrics {
				return readerMetrics(e.stdout, nodePath(args[0]), readers)
			}
			if err := all(out, e.stdout, readers, func(w io.Writer) error { return printReaders(w, readers) }); err != nil {
				return err
			}
			for _, r := range readers {
				if r.Refused != nil {
					return &exit{code: exitError}
				}
			}
			return nil
		})
	}
	return cmd
}

func printReaders(w io.Writer, readers []config.Reader) error {
	table := newTable(w, "WHO", "VERSION", "REFUSES", "WHY")
	number := func(n *int32) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	for _, r := range readers {
		table.row(r.ID, number(r.Version), number(r.Refused), r.Error)
	}
	return table.end()
}

// readerMetrics prints how many readers a value has, and how many of them refuse a version of it.
func readerMetrics(w io.Writer, path string, readers []config.Reader) error {
	refusing := 0
	for _, r := range readers {
		if r.Refused != nil {
			refusing++
		}
	}
	_, err := fmt.Fprintf(w, `# HELP docent_config_readers Readers of a configuration value that announce which version they have.
# TYPE docent_config_readers gauge
docent_config_readers{path=%[1]q} %[2]d
# HELP docent_config_refusing Those of them that refuse a newer version, and keep the last good one.
# TYPE docent_config_refusing gauge
docent_config_refusing{path=%[1]q} %[3]d
`, path, len(readers), refusing)
	return err
}
