package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
)

func svcRegisterVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register SERVICE -- COMMAND [ARGUMENT...]",
		Short: "keep a command in the directory of a service while it runs",
		Long: `Runs a command, and shows it as an instance of SERVICE while it runs. INT, TERM,
HUP and QUIT first show it as draining, for --drain, and go to the command then.
A lost session does not stop it: it is shown again as soon as that is possible.`,
		Example: `  docent svc register appmgr --flavor pbs --version 0.9 --port 9940 -- ./appmgr`,
		Args:    wrapArgs("SERVICE"),
	}
	w := newWrap(cmd, e)
	in := groups.Instance{}
	fs := cmd.Flags()
	fs.StringVar(&in.ID, "instance", "", "`name` of the instance (default: from our identity)")
	fs.StringVar(&in.Host, "host", "", "where to connect to (default: the host's name)")
	fs.IntVar(&in.Port, "port", 0, "and the port")
	fs.StringVar(&in.Version, "version", "", "semantic `version`, as 1.6.2")
	fs.StringVar(&in.Flavor, "flavor", "", "`what` sets it apart from others")
	meta := fs.StringArray("meta", nil, "`KEY=TEXT`: more to select it by; repeatable")
	under := fs.String("under", "", "`path` that services are below (default /svc)")
	drain := fs.Duration("drain", time.Second, "how long to show it as draining first")
	w.addWait("for another of its name to go; then 75 (default: ever)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.Service = args[0]
		if err := completeInstance(&in, *meta); err != nil {
			return err
		}
		if err := in.Check(); err != nil {
			return usagef("--version: %w", err) // all else is checked by now
		}
		if *drain < 0 {
			return usagef("--drain %v: want a time", *drain)
		}
		var o []groups.Option
		if *under != "" {
			o = append(o, groups.Under(*under))
		}
		return w.run(args[1:], func(ctx context.Context, c *client.Client) (*taken, error) {
			reg, err := groups.Register(ctx, c, in, o...)
			if err != nil {
				return nil, err
			}
			return &taken{
				event:   event{Path: in.Service + "/" + reg.Instance().ID},
				ending:  func(ended <-chan struct{}) { drainFor(reg, *drain, ended) },
				release: func(context.Context, int) error { return reg.Close() },
			}, nil
		})
	}
	return cmd
}

// completeInstance fills in the host, and what is selected by.
func completeInstance(in *groups.Instance, meta []string) (err error) {
	if in.Host == "" {
		if in.Host, err = os.Hostname(); err != nil {
			return usageError(fmt.Errorf("--host is missing: %w", err))
		}
	}
	if in.Port < 0 || in.Port > 65535 {
		return usagef("--port %d: want 0 to 65535", in.Port)
	}
	if len(meta) > 0 {
		in.Meta = make(map[string]string, len(meta))
	}
	for _, word := range meta {
		key, text, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return usagef("--meta %q: want KEY=TEXT", word)
		}
		in.Meta[key] = text
	}
	return nil
}

// drainFor shows an instance as draining for a while, or until its process has ended.
func drainFor(reg *groups.Registration, d time.Duration, ended <-chan struct{}) {
	if d == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_ = reg.Drain(ctx) // its end cannot wait for servers that are away
	select {
	case <-ctx.Done():
	case <-ended:
	}
}
