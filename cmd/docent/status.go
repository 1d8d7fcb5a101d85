package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

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
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		list := admins(r, cfg).status(ctx)
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

// byWords asks a server on its port for clients.
func (a *asker) byWords(ctx context.Context, server string) *health {
	h := &health{Server: server, State: stateDown}
	text, err := a.word(ctx, server, "srvr")
	switch {
	case errors.Is(err, errNotAllowed):
		h.State, h.Error = "unknown", err.Error()
	case err != nil:
		h.Error = err.Error()
		return h
	case strings.Contains(text, "not currently serving"):
		h.State, h.Error = stateIdle, "it serves no requests: no leader is known"
		return h
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Zookeeper version":
			h.Version, _, _ = strings.Cut(value, ",")
		case "Latency min/avg/max":
			if parts := strings.Split(value, "/"); len(parts) == 3 {
				h.LatencyAvg, h.LatencyMax = decimalOf(parts[1]), decimalOf(parts[2])
			}
		case "Connections":
			h.Connections = wholeOf(value)
		case "Outstanding":
			h.Outstanding = wholeOf(value)
		case "Zxid":
			h.Zxid = wholeOf(value)
		case "Mode":
			h.State = value
		case "Node count":
			h.Nodes = wholeOf(value)
		}
	}
	if text, err = a.word(ctx, server, "mntr"); err == nil {
		figures := make(map[string]string)
		for line := range strings.Lines(text) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
				figures[strings.TrimPrefix(key, "zk_")] = value
			}
		}
		h.monitor(figures)
	}
	return h
}

// monitor takes over what mntr and the operators' monitor tell.
func (h *health) monitor(figures map[string]string) {
	for _, f := range []struct {
		field **int64
		key   string
	}{
		{&h.Connections, "num_alive_connections"}, {&h.Sessions, "global_sessions"}, {&h.Watches, "watch_count"}, {&h.Nodes, "znode_count"},
		{&h.Ephemerals, "ephemerals_count"}, {&h.Bytes, "approximate_data_size"}, {&h.Outstanding, "outstanding_requests"}, {&h.UptimeMS, "uptime"},
	} {
		if n := wholeOf(figures[f.key]); n != nil {
			*f.field = n
		}
	}
	for _, f := range []struct {
		field **float64
		key   string
	}{{&h.LatencyAvg, "avg_latency"}, {&h.LatencyMax, "max_latency"}} {
		if n := decimalOf(figures[f.key]); n != nil {
			*f.field = n
		}
	}
	if s := figures["server_state"]; s != "" {
		h.State = s
	}
	if v, _, _ := strings.Cut(figures["version"], ","); v != "" {
		h.Version = v
	}
}

// byHTTP asks a server on its address for operators.
func (a *asker) byHTTP(ctx context.Context, o *operator) *health {
	h := &health{Server: o.admin, State: stateDown}
	var monitor map[string]any
	if err := a.command(ctx, o, "monitor", &monitor); err != nil {
		h.Error = err.Error()
		if strings.Contains(h.Error, "not currently serving") {
			h.State = stateIdle
		}
		return h
	}
	figures := make(map[string]string)
	for key, value := range monitor {
		if n, ok := value.(float64); ok {
			value = strconv.FormatFloat(n, 'f', -1, 64)
		}
		figures[key] = fmt.Sprint(value)
	}
	h.monitor(figures)
	var stats struct {
		Stats struct {
			Zxid *int64 `json:"last_processed_zxid"`
		} `json:"server_stats"`
	}
	if a.command(ctx, o, "server_stats", &stats) == nil {
		h.Zxid = stats.Stats.Zxid
	}
	var conf struct {
		Port int `json:"client_port"`
	}
	if host, _, err := net.SplitHostPort(o.admin); err == nil && a.command(ctx, o, "configuration", &conf) == nil && conf.Port > 0 {
		h.Server = net.JoinHostPort(host, strconv.Itoa(conf.Port))
	}
	h.Members = a.members(ctx, o)
	return h
}

// members lists the members as docent's servers tell it, or the voters as ZooKeeper's do.
func (a *asker) members(ctx context.Context, o *operator) (list []memberLine) {
	var answer memberList
	if a.command(ctx, o, "member", &answer) == nil {
		return memberLines(answer)
	}
	var view struct {
		Config map[string]struct {
			Servers []string `json:"server_addresses"`
		} `json:"current_config"`
	}
	if a.command(ctx, o, "voting_view", &view) == nil {
		for _, id := range slices.Sorted(maps.Keys(view.Config)) {
			if n, err := strconv.ParseUint(id, 10, 64); err == nil {
				list = append(list, memberLine{n, strings.Join(view.Config[id].Servers, ","), "voter"})
			}
		}
	}
	return list
}

// merge puts together what the two ports of a server told.
func merge(words, admins []*health) []*health {
	list := slices.Clone(words)
	for _, a := range admins {
		i := slices.IndexFunc(words, func(h *health) bool { return h.Server == a.Server })
		switch {
		case i < 0:
			list = append(list, a)
		case a.serves() || !words[i].serves():
			if a.Zxid == nil {
				a.Zxid = words[i].Zxid
			}
			list[i] = a
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

// wholeOf reads a number, decimal or 0x…; nil if it is none.
func wholeOf(s string) *int64 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return nil
	}
	return &n
}

func decimalOf(s string) *float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return &n
}

func writeStatus(w io.Writer, list []*health) error {
	t := newTable(w, "SERVER", "STATE", "ZXID", "LAG", "SESSIONS", "CLIENTS", "WATCHES", "NODES", "EPHEMERAL", "AVG/MAX MS", "UP", "VERSION")
	for _, h := range list {
		zxid, up := "-", "-"
		if h.Zxid != nil {
			zxid = fmt.Sprintf("0x%x", *h.Zxid)
		}
		if h.UptimeMS != nil {
			up = ago(time.Duration(*h.UptimeMS) * time.Millisecond)
		}
		t.row(h.Server, h.State, zxid, whole(h.Lag), whole(h.Sessions), whole(h.Connections), whole(h.Watches), whole(h.Nodes), whole(h.Ephemerals),
			decimals(h.LatencyAvg)+"/"+decimals(h.LatencyMax), up, dash(h.Version))
	}
	if err := t.end(); err != nil {
		return err
	}
	for _, h := range list {
		if h.Error != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", printable(h.Server), printable(h.Error)); err != nil {
				return err
			}
		}
	}
	for _, h := range list {
		if len(h.Members) > 0 {
			var words []string
			for _, m := range h.Members {
				words = append(words, strings.Join(strings.Fields(fmt.Sprint(m.ID, " ", m.Addr, " ", m.Role)), " "))
			}
			_, err := fmt.Fprintf(w, "members: %s\n", printable(strings.Join(words, ", ")))
			return err
		}
	}
	return nil
}

func whole(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func decimals(n *float64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatFloat(*n, 'f', 1, 64)
}
