package prommetrics

import (
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docent-io/docent/client"
)

// Metrics are the figures of one or several clients. It is a prometheus.Collector: register it once.
type Metrics struct {
	requests *prometheus.HistogramVec
	connects *prometheus.CounterVec
	states   *prometheus.GaugeVec

	sessions, watches, inFlight, deletes *prometheus.Desc

	mu      sync.Mutex // guards the rest
	clients []*client.Client
	begun   int64 // sessions of the clients that were closed
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns metrics with these labels on all of them; nil for none.
func New(labels prometheus.Labels) *Metrics {
	const space, sub = "docent", "client"
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(space, sub, name), help, nil, labels)
	}
	return &Metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: space, Subsystem: sub, Name: "request_duration_seconds", ConstLabels: labels,
			Help:    "Time from the call of an operation to its end.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14), // 0.1 ms to 15 s
		}, []string{"op", "outcome"}),
		connects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: space, Subsystem: sub, Name: "connects_total", ConstLabels: labels, Help: "Attempts at the address of a server.",
		}, []string{"outcome"}),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: space, Subsystem: sub, Name: "connections", ConstLabels: labels, Help: "Clients in each state of their connection.",
		}, []string{"state"}),
		sessions: desc("sessions_total", "Sessions begun."),
		watches:  desc("watches_open", "Watches and streams that have not ended."),
		inFlight: desc("requests_in_flight", "Requests sent and not answered."),
		deletes:  desc("pending_deletes", "Guaranteed deletions not confirmed yet."),
	}
}

// Hooks returns the hooks of one client, for its Config.Hooks; ask again for the next client. To have other hooks as
// well, join them by their method With.
func (m *Metrics) Hooks() client.Hooks {
	last := prometheus.Gauge(nil) // changes are told one after the other
	return client.Hooks{
		State: func(s client.State) {
			if last != nil {
				last.Dec()
				last = nil
			}
			if s != client.Closed {
				last = m.states.WithLabelValues(s.String())
				last.Inc()
			}
		},
		Connect: func(_ string, err error) {
			if err != nil {
				m.connects.WithLabelValues("failed").Inc()
			} else {
				m.connects.WithLabelValues("attached").Inc()
			}
		},
		Request: func(r client.RequestInfo) {
			m.requests.WithLabelValues(r.Op, outcome(r)).Observe(r.Duration.Seconds())
		},
	}
}

func outcome(r client.RequestInfo) string {
	var code client.Code
	switch {
	case r.Err == nil, r.Op == "exists" && errors.Is(r.Err, client.ErrNoNode):
		return "ok"
	case r.MaybeApplied:
		return "maybe_applied"
	case errors.As(r.Err, &code) && code != client.ErrSessionExpired:
		return "refused"
	}
	return "failed"
}

// Follow adds the client's sessions, watches, requests and deletions to the figures, until it is closed.
func (m *Metrics) Follow(c *client.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients = append(m.clients, c)
}

// Describe tells Prometheus what there is.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	m.connects.Describe(ch)
	m.states.Describe(ch)
	for _, d := range []*prometheus.Desc{m.sessions, m.watches, m.inFlight, m.deletes} {
		ch <- d
	}
}

// Collect tells Prometheus the figures.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.requests.Collect(ch)
	m.connects.Collect(ch)
	m.states.Collect(ch)
	sum := m.sum()
	ch <- prometheus.MustNewConstMetric(m.sessions, prometheus.CounterValue, float64(sum.Sessions))
	ch <- prometheus.MustNewConstMetric(m.watches, prometheus.GaugeValue, float64(sum.WatchesOpen))
	ch <- prometheus.MustNewConstMetric(m.inFlight, prometheus.GaugeValue, float64(sum.InFlight))
	ch <- prometheus.MustNewConstMetric(m.deletes, prometheus.GaugeValue, float64(sum.PendingDeletes))
}

// sum adds up the clients, and lets go of those that are closed.
func (m *Metrics) sum() (sum client.Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients = slices.DeleteFunc(m.clients, func(c *client.Client) bool {
		closed := c.State() == client.Closed
		st := c.Stats()
		if closed {
			m.begun += st.Sessions
			return true
		}
		sum.Sessions += st.Sessions
		sum.WatchesOpen += st.WatchesOpen
		sum.InFlight += st.InFlight
		sum.PendingDeletes += st.PendingDeletes
		return false
	})
	sum.Sessions += m.begun
	return sum
}
