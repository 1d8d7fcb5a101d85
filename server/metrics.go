package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// A metric is a row of the table of what /metrics tells.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*facts) float64
}

// metrics are read from one look at the server, so a scrape is consistent and costs nothing in between.
var metrics = []metric{
	gauge("connections", "Open client connections.", func(f *facts) float64 { return float64(f.connections) }),
	gauge("outstanding_requests", "Requests taken and not answered yet.", func(f *facts) float64 { return float64(f.outstanding) }),
	gauge("sessions", "Sessions of the whole ensemble.", func(f *facts) float64 { return float64(f.tree.Sessions) }),
	gauge("znodes", "Nodes in the tree.", func(f *facts) float64 { return float64(f.tree.Nodes) }),
	gauge("ephemerals", "Ephemeral nodes in the tree.", func(f *facts) float64 { return float64(f.tree.Ephemerals) }),
	gauge("data_bytes", "Bytes of data and paths in the tree, as ZooKeeper counts them.", func(f *facts) float64 { return float64(f.tree.DataSize) }),
	gauge("watches", "Watches set by the connections of this server.", func(f *facts) float64 { return float64(f.watches) }),
	gauge("zxid", "Number of the last transaction applied here.", func(f *facts) float64 { return float64(f.zxid) }),
	gauge("leader", "1 if this server leads, else 0.", func(f *facts) float64 { return flag(f.leads) }),
	gauge("leader_known", "1 if this server knows who leads, else 0.", func(f *facts) float64 { return flag(f.leaderKnown) }),
	gauge("raft_term", "Present term.", func(f *facts) float64 { return float64(f.replica.Term) }),
	gauge("raft_applied_index", "Last log entry applied here.", func(f *facts) float64 { return float64(f.replica.AppliedIndex) }),
	gauge("raft_commit_index", "Last log entry known to be committed.", func(f *facts) float64 { return float64(f.replica.CommitIndex) }),
	gauge("raft_log_bytes", "Size of the log.", func(f *facts) float64 { return float64(f.replica.LogBytes) }),
	gauge("raft_pending_bytes", "Bytes proposed here and not applied here yet.", func(f *facts) float64 { return float64(f.replica.PendingBytes) }),
	counter("raft_elections_total", "Times this server became leader.", func(f *facts) float64 { return float64(f.replica.Elections) }),
	counter("raft_resends_total", "Times batches were sent to the leader again.", func(f *facts) float64 { return float64(f.replica.Resends) }),
	counter("raft_refused_total", "Batches that were repeated or out of order, and not applied.", func(f *facts) float64 { return float64(f.replica.Refused) }),
	counter("raft_snapshots_total", "Snapshots taken.", func(f *facts) float64 { return float64(f.replica.Snapshots) }),
	counter("raft_restores_total", "Snapshots installed from a leader.", func(f *facts) float64 { return float64(f.replica.Restores) }),
	counter("digest_comparisons_total", "Times the tree was compared with those of the other members.", func(f *facts) float64 { return float64(f.replica.Comparisons) }),
	counter("digest_mismatches_total", "Times the tree of this server, or of another, was found to differ.", func(f *facts) float64 { return float64(f.replica.Mismatches) }),
	gauge("digest_compared_index", "Log entry at which the trees were last found equal.", func(f *facts) float64 { return float64(f.replica.ComparedIndex) }),
	counter("requests_total", "Requests answered.", func(f *facts) float64 { return float64(f.allRequests) }),
	counter("request_seconds_total", "Time from request to answer, summed over all requests.", func(f *facts) float64 { return f.requestSeconds }),
	counter("events_total", "Watch events sent.", func(f *facts) float64 { return float64(f.allEvents) }),
	counter("connections_rejected_total", "Connections refused because there were too many, in all or from their address.", func(f *facts) float64 { return float64(f.rejected) }),
	counter("connections_cut_total", "Connections closed because their client did not read what it was sent.", func(f *facts) float64 { return float64(f.cut) }),
	counter("frames_refused_total", "Connections closed because of a request that was too long.", func(f *facts) float64 { return float64(f.frames) }),
	counter("handshakes_late_total", "Connections closed because no first request came in time.", func(f *facts) float64 { return float64(f.late) }),
	counter("connections_held_total", "Times a connection was not read for a while, having too many requests in work or answers not taken.", func(f *facts) float64 { return float64(f.held) }),
	counter("watches_refused_total", "Requests refused because their connection had too many watches.", func(f *facts) float64 { return float64(f.watchesRefused) }),
	counter("sessions_expired_total", "Sessions that this server, as leader, found overdue.", func(f *facts) float64 { return float64(f.expired) }),
	gauge("uptime_seconds", "Time since the server was started.", func(f *facts) float64 { return f.uptime.Seconds() }),
}

func gauge(name, help string, value func(*facts) float64) metric {
	return metric{name, help, prometheus.GaugeValue, value}
}

func counter(name, help string, value func(*facts) float64) metric {
	return metric{name, help, prometheus.CounterValue, value}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collector gives the table of metrics to Prometheus.
type collector struct {
	srv   *Server
	descs []*prometheus.Desc
}

// newRegistry returns a registry of the server's own metrics and those of its process.
func newRegistry(s *Server) (*prometheus.Registry, error) {
	c := &collector{srv: s}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc("docent_"+m.name, m.help, nil, nil))
	}
	reg := prometheus.NewRegistry()
	for _, col := range []prometheus.Collector{c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := reg.Register(col); err != nil {
			return nil, err
		}
	}
	return reg, nil
}

// Describe is prometheus.Collector's.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	f := c.srv.facts()
	for i, m := range metrics {
		ch <- prometheus.MustNewConstMetric(c.descs[i], m.kind, m.value(&f))
	}
}
