package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// status is what a server keeps of a node beside its data.
type status struct {
	Path string   `json:"path"`
	Stat nodeStat `json:"stat"`
}

// nodeStat is a client.Stat that looks in JSON as all else does there: times and sessions as everywhere.
type nodeStat client.Stat

// MarshalJSON writes it.
func (s nodeStat) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Created     time.Time `json:"created"` // by the servers' clock
		Modified    time.Time `json:"modified"`
		Czxid       int64     `json:"czxid"` // the transactions that created it, set its data, and changed its children
		Mzxid       int64     `json:"mzxid"`
		Pzxid       int64     `json:"pzxid"`
		Version     int32     `json:"version"` // of its data, its children and its ACL
		Cversion    int32     `json:"cversion"`
		Aversion    int32     `json:"aversion"`
		Session     sessionID `json:"session"` // that an ephemeral belongs to; else ""
		DataLength  int32     `json:"dataLength"`
		NumChildren int32     `json:"numChildren"`
	}{
		nodeTime(s.Ctime), nodeTime(s.Mtime), s.Czxid, s.Mzxid, s.Pzxid, s.Version, s.Cversion, s.Aversion,
		sessionID(s.EphemeralOwner), s.DataLength, s.NumChildren,
	})
}

func statVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stat PATH",
		Short:   "print what is known of a znode beside its data",
		Long:    "Prints versions, times, transactions, sizes and the owner of a znode.",
		Example: "  docent stat /services/appmgr\n  docent stat --format '{{.Stat.NumChildren}}' /services/appmgr",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	fresh := addFresh(cmd)
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		path := r.path(args[0])
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			stat, ok, err := c.Exists(ctx, path, fresh.options()...)
			if err == nil && !ok {
				err = &client.OpError{Op: "exists", Path: path, Err: client.ErrNoNode}
			}
			if err != nil {
				return err
			}
			return out.one(e.stdout, status{path, nodeStat(stat)}, func(w io.Writer) error { return writeStat(w, stat) })
		})
	}
	return cmd
}

func writeStat(w io.Writer, s client.Stat) error {
	owner := "none"
	if s.EphemeralOwner != 0 {
		owner = fmt.Sprintf("session %#x", uint64(s.EphemeralOwner))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "created\t%s\tzxid %#x\n", serverTime(s.Ctime), uint64(s.Czxid))
	fmt.Fprintf(t, "data set\t%s\tzxid %#x\tversion %d\t%d bytes\n", serverTime(s.Mtime), uint64(s.Mzxid), s.Version, s.DataLength)
	fmt.Fprintf(t, "children\t%d\tzxid %#x\tversion %d\n", s.NumChildren, uint64(s.Pzxid), s.Cversion)
	fmt.Fprintf(t, "acl\t\t\tversion %d\n", s.Aversion)
	fmt.Fprintf(t, "ephemeral of\t%s\n", owner)
	return t.Flush()
}

// serverTime prints a time of a server, in milliseconds since 1970.
func serverTime(ms int64) string { return time.UnixMilli(ms).Format(time.RFC3339) }
