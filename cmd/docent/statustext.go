package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

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
