package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
)

// instance is an instance of a service as the verbs print it.
type instance struct {
	Service    string            `json:"service"`
	ID         string            `json:"id"`
	Host       string            `json:"host"`
	Port       int               `json:"port"`
	Address    string            `json:"address"` // host:port
	Version    string            `json:"version"`
	Flavor     string            `json:"flavor"`
	Load       float64           `json:"load"`
	Status     string            `json:"status"`
	Meta       map[string]string `json:"meta"`
	Registered time.Time         `json:"registered"` // by its own clock
	Epoch      uint64            `json:"epoch"`
	Session    string            `json:"session"` // as servers log it
	Contact    *contact          `json:"contact,omitempty"`
}

func newInstance(in groups.Instance) instance {
	if in.Meta == nil {
		in.Meta = map[string]string{} // and not null, in JSON
	}
	return instance{
		Service: in.Service, ID: in.ID, Host: in.Host, Port: in.Port, Address: in.Addr(), Version: in.Version, Flavor: in.Flavor,
		Load: in.Load, Status: string(in.Status), Meta: in.Meta, Registered: in.Registered, Epoch: in.Epoch, Session: fmt.Sprintf("%#x", uint64(in.Session)),
	}
}

func newInstances(list []groups.Instance) []instance {
	instances := make([]instance, len(list))
	for i, in := range list {
		instances[i] = newInstance(in)
	}
	return instances
}

func (in instance) same(other instance) bool {
	a, b := in, other
	a.Meta, b.Meta = nil, nil
	a.Registered, b.Registered = a.Registered.UTC(), b.Registered.UTC()
	return fmt.Sprint(a) == fmt.Sprint(b) && maps.Equal(in.Meta, other.Meta)
}

// line is the instance on one line, for people.
func (in instance) line() string {
	s := fmt.Sprintf("%s %s %s load=%.2f", legible(in.ID), legible(in.Address), legible(in.Status), in.Load)
	if in.Flavor != "" {
		s += " flavor=" + legible(in.Flavor)
	}
	if in.Version != "" {
		s += " version=" + legible(in.Version)
	}
	return s
}

// directoryFlags say which instances a verb looks at.
type directoryFlags struct{ under, sel string }

func addDirectory(cmd *cobra.Command, selects bool) *directoryFlags {
	f := &directoryFlags{}
	cmd.Flags().StringVar(&f.under, "under", "/svc", "`path` that services are below")
	if selects {
		cmd.Flags().StringVar(&f.sel, "select", "", "`terms` that hold, as 'flavor=slurm, version>=1.5, meta.cluster=a'")
	}
	return f
}

func (f *directoryFlags) options() []groups.Option {
	o := []groups.Option{groups.Under(nodePath(f.under))}
	if f.sel != "" {
		o = append(o, groups.Select(f.sel))
	}
	return o
}

// discover begins to follow a service, and returns when all its instances are known. The caller closes the directory.
func (f *directoryFlags) discover(ctx context.Context, c *client.Client, service string, o ...groups.Option) (*groups.Directory, error) {
	if _, _, err := c.Children(ctx, nodePath(f.under+"/"+service)); errors.Is(err, client.ErrNoAuth) {
		return nil, err // a directory would wait for the permission; who asks wants to know
	}
	d := groups.Discover(ctx, c, service, append(f.options(), o...)...)
	if err := d.Synced(ctx); err != nil {
		d.Close()
		var bad *groups.SelectError
		if errors.As(err, &bad) {
			return nil, usagef("--select: %w", bad)
		}
		return nil, err
	}
	return d, nil
}

func svcVerb(e env) *cobra.Command {
	return parent("svc", "offer services, and find who offers one",
		svcListVerb(e), svcFindVerb(e), svcRegisterVerb(e), svcDrainVerb(e), svcWatchVerb(e))
}

func svcDrainVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain SERVICE INSTANCE",
		Short: "have nobody pick an instance any more",
		Long: `Shows an instance as draining: it finishes what it has, and is not picked any
more. It stays so, across its lost sessions, until it ends or --undo. With
--wait the verb ends when the instance has gone, or with 75.`,
		Example: "  docent svc drain appmgr am-1 --wait 30m",
		Args:    exactArgs("SERVICE", "INSTANCE"),
	}
	r, out, dir := addRemote(cmd, e), addOutput(cmd), addDirectory(cmd, false)
	undo := cmd.Flags().Bool("undo", false, "let it be picked again")
	wait := addPatience(cmd, "how long to wait for it to go (default: not)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(out.check(), wait.check()); err != nil {
			return err
		}
		if *undo && wait.set() {
			return usagef("--undo excludes --wait")
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			status := groups.Draining
			if *undo {
				status = groups.Up
			}
			if err := groups.SetStatus(ctx, c, args[0], args[1], status, dir.options()...); err != nil {
				return err
			}
			if wait.d > 0 {
				status = "gone"
				if err := awaitGone(ctx, c, dir, args[0], args[1], wait); err != nil {
					return err
				}
			}
			return out.one(e.stdout, instanceStatus{args[0], args[1], string(status)}, instanceStatus{args[0], args[1], string(status)}.text)
		})
	}
	return cmd
}

// awaitGone waits until a service has no instance of this ID any more.
func awaitGone(ctx context.Context, c *client.Client, dir *directoryFlags, service, id string, wait *patience) error {
	ctx, cancel := wait.bound(ctx, id+" did not go")
	defer cancel()
	d, err := dir.discover(ctx, c, service, groups.WithGuard(0))
	if err != nil {
		return err
	}
	defer d.Close()
	for list, err := range d.Changes(ctx) {
		if err != nil {
			return err
		}
		if !hasInstance(list, id) {
			return nil
		}
	}
	return nil // not reached: Changes ends with an error
}
