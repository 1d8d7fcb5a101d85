package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
)

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
	h.summary(text)
	if text, err = a.word(ctx, server, "mntr"); err == nil {
		h.monitor(wordFigures(text))
	}
	return h
}

// summary takes over what srvr tells.
func (h *health) summary(text string) {
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
}

// wordFigures are the lines of mntr.
func wordFigures(text string) map[string]string {
	figures := make(map[string]string)
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			figures[strings.TrimPrefix(key, "zk_")] = value
		}
	}
	return figures
}

// plainFigures are those of the operators' monitor, written as mntr does.
func plainFigures(monitor map[string]any) map[string]string {
	figures := make(map[string]string, len(monitor))
	for key, value := range monitor {
		if n, ok := value.(float64); ok {
			value = strconv.FormatFloat(n, 'f', -1, 64)
		}
		figures[key] = fmt.Sprint(value)
	}
	return figures
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
	h.monitor(plainFigures(monitor))
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

// wholeOf reads a number, decimal or 0x…; nil if it is none.
func wholeOf(s string) *int64 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return nil
	}
	return &n
}

// decimalOf reads a number; nil if it is none. NaN and the infinities are none, and could not be shown as JSON.
func decimalOf(s string) *float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil
	}
	return &n
}
