package main

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/spf13/cobra"
)

func statusVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "tell how the servers are: who leads, how far behind, how busy",
		Long: `Asks every server of the DSN, on the port of clients, by the four-letter words
srvr (which servers allow) and mntr (which they may not: then "-"), and the
addresses in --admin, which tell all. LAG is in transactions behind the newest
server; the servers are asked one moment after the other. Needs no session, so
it works without a leader, too.

Exit codes: 0 all serve; 1 some do not; 69 none can be reached.`,
		Example: "  docent status --admin c1:8080,c2:8080,c3:8080",
		Args:    noArgs,
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	admins := addAdmins(cmd, e)
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
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
		list := ask.status(ctx)
		if err := all(out, e.stdout, list, func(w io.Writer) error { return writeStatus(w, list) }); err != nil {
			return err
		}
		return verdict(list)
	}
	return cmd
}

// health is what is known of one server. A figure that it did not tell is nil.
type health struct {
	Server      string       `json:"server"`
	State       string       `json:"state"` // leader, follower, observer, standalone, read-only; down: not reached; idle: it serves nobody
	Error       string       `json:"error,omitempty"`
	Version     string       `json:"version,omitempty"`
	Zxid        *int64       `json:"zxid,omitempty"`
	Lag         *int64       `json:"lag,omitempty"`
	Connections *int64       `json:"connections,omitempty"`
	Sessions    *int64       `json:"sessions,omitempty"`
	Watches     *int64       `json:"watches,omitempty"`
	Nodes       *int64       `json:"nodes,omitempty"`
	Ephemerals  *int64       `json:"ephemerals,omitempty"`
	Bytes       *int64       `json:"bytes,omitempty"`
	Outstanding *int64       `json:"outstanding,omitempty"`
	LatencyAvg  *float64     `json:"latencyAvgMs,omitempty"`
	LatencyMax  *float64     `json:"latencyMaxMs,omitempty"`
	UptimeMS    *int64       `json:"uptimeMs,omitempty"`
	Members     []memberLine `json:"members,omitempty"` // where --admin tells
}

const (
	stateDown = "down"
	stateIdle = "idle"
)

func (h *health) serves() bool { return h.State != stateDown && h.State != stateIdle }

// status asks all servers at once.
func (a *asker) status(ctx context.Context) []*health {
	list := make([]*health, len(a.servers)+len(a.admins))
	var wg sync.WaitGroup
	for i, server := range a.servers {
		wg.Go(func() { list[i] = a.byWords(ctx, server) })
	}
	for i, o := range a.admins {
		wg.Go(func() { list[len(a.servers)+i] = a.byHTTP(ctx, o) })
	}
	wg.Wait()
	list = merge(list[:len(a.servers)], list[len(a.servers):])
	newest := int64(0)
	for _, h := range list {
		if h.Zxid != nil {
			newest = max(newest, *h.Zxid)
		}
	}
	for _, h := range list {
		if h.Zxid != nil {
			lag := newest - *h.Zxid
			h.Lag = &lag
		}
	}
	return list
}

// verdict is the error for the exit code: whether all serve.
func verdict(list []*health) error {
	reached, serve := 0, 0
	for _, h := range list {
		if h.State != stateDown {
			reached++
		}
		if h.serves() {
			serve++
		}
	}
	switch {
	case reached == 0:
		return &exit{code: exitUnreachable, err: errors.New("no server can be reached")}
	case serve < len(list):
		return &exit{code: exitError}
	}
	return nil
}
