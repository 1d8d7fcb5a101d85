package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
)

func svcFindVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "find SERVICE",
		Short: "print where a service is offered",
		Long: `Prints host:port of the instances that are up, with --one of one chosen by --by:
least-loaded, random, or sticky:KEY (the same for a KEY while it is there).
Exit code 75: there is none within --wait.`,
		Example: `  docent svc find appmgr --select 'flavor=slurm,version>=1.6' --one
  eval "$(docent svc find appmgr --one --export AM_)" && curl "$AM_ADDRESS"`,
		Args: exactArgs("SERVICE"),
	}
	r, out, dir := addRemote(cmd, e), addOutput(cmd), addDirectory(cmd, true)
	one := cmd.Flags().Bool("one", false, "only one")
	by := cmd.Flags().String("by", "least-loaded", "`how` to choose it")
	wait := addPatience(cmd, "how long to wait for one (default: not)")
	x := addExport(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		strategy, err := parseStrategy(*by)
		if err = errors.Join(err, out.check(), wait.check(), x.checkWith(cmd, out)); err != nil {
			return err
		}
		if x.prefix != "" && !*one {
			return usagef("--export goes with --one")
		}
		return x.failed(e.stdout, r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			found, err := findInstances(ctx, c, dir, args[0], strategy, *one, wait)
			switch {
			case err != nil:
				return err
			case x.prefix != "":
				return x.print(e.stdout, found[0].exports())
			case *one:
				return out.one(e.stdout, found[0], func(w io.Writer) error { return addresses(w, found) })
			}
			return all(out, e.stdout, found, func(w io.Writer) error { return addresses(w, found) })
		}))
	}
	return cmd
}

func parseStrategy(name string) (groups.Strategy, error) {
	key, sticky := strings.CutPrefix(name, "sticky:")
	switch {
	case name == "least-loaded":
		return groups.LeastLoaded(), nil
	case name == "random":
		return groups.Random(), nil
	case sticky:
		return groups.Sticky(key), nil
	}
	return nil, usagef("--by %q: want least-loaded, random or sticky:KEY", name)
}

func addresses(w io.Writer, list []instance) error {
	for _, in := range list {
		if _, err := fmt.Fprintln(w, printable(in.Address)); err != nil {
			return err
		}
	}
	return nil
}

func (in instance) exports() []field {
	return []field{
		{"service", in.Service}, {"id", in.ID}, {"host", in.Host}, {"port", fmt.Sprint(in.Port)}, {"address", in.Address},
		{"version", in.Version}, {"flavor", in.Flavor}, {"load", fmt.Sprint(in.Load)}, {"epoch", fmt.Sprint(in.Epoch)},
	}
}

// findInstances returns those that are up, or one of them.
func findInstances(ctx context.Context, c *client.Client, dir *directoryFlags, service string, s groups.Strategy, one bool, wait *patience) ([]instance, error) {
	late := "no instance of " + service + " is up"
	if dir.sel != "" {
		late += " with " + dir.sel
	}
	d, err := dir.discover(ctx, c, service)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	pick := d.Pick
	if wait.d > 0 {
		pick = d.PickWait
	}
	within, cancel := wait.bound(ctx, late)
	defer cancel()
	chosen, err := pick(within, s)
	switch {
	case errors.Is(err, groups.ErrNoInstance) && wait.d == 0:
		return nil, tooLate("%s", late)
	case err != nil:
		return nil, err
	case one:
		return []instance{newInstance(chosen.Instance())}, nil
	}
	var up []instance
	for _, in := range d.All() {
		if in.Status == groups.Up {
			up = append(up, newInstance(in))
		}
	}
	if up == nil { // the one that was just there has gone
		return nil, tooLate("%s", late)
	}
	return up, nil
}
