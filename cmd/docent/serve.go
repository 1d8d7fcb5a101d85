package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docent-io/docent/server"
)

// serve starts a server, says so when it can carry out requests, and stops it when ctx ends.
func serve(ctx context.Context, e env) error {
	o, err := parseServe(e)
	if err != nil {
		return err
	}
	cfg := o.cfg
	if o.check {
		if err := cfg.Check(); err != nil {
			return usageError{oneLine(err)}
		}
		return o.print(e.stdout)
	}
	srv, err := server.Start(cfg)
	if err != nil {
		return usageError{oneLine(err)}
	}
	if cfg.Join && len(srv.Members()) == 0 {
		fmt.Fprintf(e.stdout, "docent: waiting to be added as member %d at %s\n", cfg.ID, cfg.Peers[cfg.ID])
	}
	if err := srv.Ready(ctx); err == nil {
		members := ""
		if len(cfg.Peers) > 0 {
			members = fmt.Sprintf(", member %d of %d", cfg.ID, len(srv.Members()))
		}
		fmt.Fprintf(e.stdout, "docent: serving clients on %s%s, data in %s\n", srv.Addr(), members, cfg.Data)
	}
	select {
	case <-ctx.Done():
	case <-srv.Done():
	}
	return srv.Close()
}

// oneLine joins the lines of a joined error.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
