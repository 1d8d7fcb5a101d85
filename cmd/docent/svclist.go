package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
)

// instanceStatus is what became of an instance.
type instanceStatus struct {
	Service string `json:"service"`
	ID      string `json:"id"`
	Status  string `json:"status"` // up, draining, gone
}

func (s instanceStatus) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s %s\n", legible(s.ID), s.Status)
	return err
}

func hasInstance(list []groups.Instance, id string) bool {
	return slices.ContainsFunc(list, func(in groups.Instance) bool { return in.ID == id })
}

// serviceLine is a service as the verb ls lists it.
type serviceLine struct {
	Service   string `json:"service"`
	Instances int    `json:"instances"`
}

func svcListVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [SERVICE]",
		Short: "print the instances of a service, or all services",
		Long: `Prints the instances of a service: what they are, whether they are up or
draining, their load, how long ago they registered (by their own clocks), the
session that keeps them there and when that was last heard, as far as docent
lock ls knows it, and their ID. Without SERVICE it prints which services there
are.`,
		Example: "  docent svc ls appmgr --select 'flavor=slurm'",
		Args:    optionalArgs(nil, "SERVICE"),
	}
	r, out, dir := addRemote(cmd, e), addOutput(cmd), addDirectory(cmd, true)
	admins, timeout := addAdmins(cmd, e), addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		cfg, err := r.config()
		if err != nil {
			return err
		}
		ask, err := admins(r, cfg)
		if err != nil {
			return err
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		return r.meet(ctx, func(ctx context.Context, c *client.Client) error {
			if len(args) == 0 {
				return listServices(ctx, c, nodePath(dir.under), e.stdout, out)
			}
			d, err := dir.discover(ctx, c, args[0])
			if err != nil {
				return err
			}
			defer d.Close()
			found, bad := d.All(), d.Health().Unreadable
			list := newInstances(found)
			for _, name := range sortedKeys(bad) {
				fmt.Fprintf(e.stderr, "%s: %s is no instance: %s\n", cmd.CommandPath(), legible(name), printable(bad[name].Error()))
			}
			contacts := ask.contacts(ctx, ownSession(ctx, c), time.Now())
			for i, in := range found {
				if known, ok := contacts[sessionID(in.Session)]; ok {
					list[i].Contact = &known
				}
			}
			return all(out, e.stdout, list, func(w io.Writer) error { return instanceTable(w, list, time.Now()) })
		})
	}
	return cmd
}

func listServices(ctx context.Context, c *client.Client, base string, w io.Writer, out *output) error {
	names, _, err := c.Children(ctx, base, client.Fresh())
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return err
	}
	slices.Sort(names)
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = strings.TrimSuffix(base, "/") + "/" + name
	}
	found, err := c.GetAll(ctx, paths...)
	if err != nil {
		return err
	}
	var services []serviceLine
	for i, f := range found {
		if f.Err == nil { // else it has gone in between, or is none of ours to see
			services = append(services, serviceLine{names[i], int(f.Node.Stat.NumChildren)})
		}
	}
	return all(out, w, services, func(w io.Writer) error {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "SERVICE\tINSTANCES")
		for _, s := range services {
			fmt.Fprintf(table, "%s\t%d\n", legible(s.Service), s.Instances)
		}
		return table.Flush()
	})
}

// instanceTable prints instances by flavor, and within one the newest version first.
func instanceTable(w io.Writer, list []instance, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FLAVOR\tVERSION\tADDRESS\tSTATUS\tLOAD\tUP\tSESSION\tID")
	for _, in := range list {
		session := in.Session
		if _, heard := in.Contact.cells(now); heard != "-" {
			session += " (" + heard + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s\n", orDash(in.Flavor), orDash(in.Version), legible(in.Address),
			legible(in.Status), in.Load, age(now.Sub(in.Registered)), session, legible(in.ID))
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return legible(s)
}

// age is how long something has been there, to two units: 9d11h, 5h02m, 41m10s, 3s.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s >= 86400:
		return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

func svcWatchVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch SERVICE",
		Short: "print the instances of a service, and what changes",
		Long: `Prints + and a line for each instance, = when all are known, and then who
comes (+), changes (~) and goes (-), until INT or TERM. It goes on across lost
sessions and servers. Lines with ! tell when it cannot see and can again, and
when most instances vanished at once: these are shown for a while, for the
network is more likely to be ill than everybody.`,
		Example: "  docent svc watch appmgr --json --settle 3s",
		Args:    exactArgs("SERVICE"),
	}
	r, out, dir := addRemote(cmd, e), addOutput(cmd), addDirectory(cmd, true)
	settle := cmd.Flags().Duration("settle", 0, "wait so long for further changes, to tell them together")
	guard := cmd.Flags().Duration("guard", 10*time.Second, "how long to show those who vanished at once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(out.check(), checkSettle(*settle)); err != nil {
			return err
		}
		if *guard < 0 {
			return usagef("--guard %v: want a time", *guard)
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			d, err := dir.discover(ctx, c, args[0], groups.WithSettle(*settle), groups.WithGuard(*guard))
			if err != nil {
				return told(ctx, err)
			}
			defer d.Close()
			stream := &changes[instance]{
				w: e.stdout, out: out, same: instance.same, line: instance.line,
				id: func(in instance) string { return in.ID },
			}
			return told(ctx, watchInstances(ctx, d, stream))
		})
	}
	return cmd
}

// healthEvery is how often the health of a directory is looked at: nothing tells of it.
const healthEvery = 200 * time.Millisecond

// watchInstances prints what changes in a directory, and in how far it can be trusted.
func watchInstances(ctx context.Context, d *groups.Directory, stream *changes[instance]) error {
	ctx, cancel := context.WithCancel(ctx)
	lists, ended := make(chan []groups.Instance), make(chan error, 1)
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	go func() {
		defer close(done)
		for list, err := range d.Changes(ctx) {
			if err != nil {
				ended <- err
				return
			}
			select {
			case lists <- list:
			case <-ctx.Done():
			}
		}
	}()
	ticks := time.NewTicker(healthEvery)
	defer ticks.Stop()
	for {
		var err error
		select {
		case list := <-lists:
			err = stream.show(newInstances(list))
		case <-ticks.C:
			h := d.Health()
			err = stream.health(h.Stale, h.Held)
		case err = <-ended:
		}
		if err != nil {
			return err
		}
	}
}
