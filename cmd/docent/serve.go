package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/server"
)

func serveVerb(e env) *cobra.Command {
	cmd := &cobra.Command{Use: "serve [FLAGS]", Short: "run a server", Long: serveHelp, Example: serveExample}
	cmd.Flags().SortFlags = false
	o := newServeOptions(cmd.Flags())
	cannotBegin := func(err error) error { return &exit{code: exitStart, err: err} }
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cannotBegin(err) })
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := noArgs(cmd, args); err != nil {
			return cannotBegin(err)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		err := o.complete(e)
		if err == nil && o.check {
			err = o.cfg.Check()
		}
		if err != nil {
			return cannotBegin(err)
		}
		if o.check {
			return o.print(e.stdout)
		}
		srv, err := server.Start(o.cfg)
		if err != nil {
			return cannotBegin(err)
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		var heap sync.WaitGroup
		heap.Go(func() { keepRoom(ctx) })
		defer heap.Wait()
		defer cancel()
		return serve(ctx, srv, o.cfg, e.stdout)
	}
	return cmd
}

// serve says when a server can carry out requests, and stops it when ctx ends.
func serve(ctx context.Context, srv *server.Server, cfg server.Config, w io.Writer) error {
	if cfg.Join && len(srv.Members()) == 0 {
		fmt.Fprintf(w, "docent: waiting to be added as member %d at %s\n", cfg.ID, cfg.Peers[cfg.ID])
	}
	if err := srv.Ready(ctx); err == nil {
		members := ""
		if n := len(srv.Members()); len(cfg.Peers) > 0 || n > 1 {
			members = fmt.Sprintf(", member %d of %d", cfg.ID, n)
		}
		fmt.Fprintf(w, "docent: serving clients on %s%s, data in %s\n", srv.Addr(), members, cfg.Data)
	}
	select {
	case <-ctx.Done():
	case <-srv.Done():
	}
	return srv.Close()
}
