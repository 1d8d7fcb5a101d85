package prommetrics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/client/prommetrics"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

func Example() {
	srv := servertest.MustStart()
	defer srv.Close()

	metrics := prommetrics.New(nil)
	registry := prometheus.NewRegistry() // in a program: the one your HTTP handler serves
	registry.MustRegister(metrics)

	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}, Hooks: metrics.Hooks()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	metrics.Follow(c)

	c.Get(ctx, "/no/such/node")
	families, err := registry.Gather()
	for _, f := range families {
		fmt.Println(f.GetName(), len(f.GetMetric()))
	}
	fmt.Println(err)
	// Output:
	// docent_client_connections 1
	// docent_client_connects_total 1
	// docent_client_pending_deletes 1
	// docent_client_request_duration_seconds 1
	// docent_client_requests_in_flight 1
	// docent_client_sessions_total 1
	// docent_client_watches_open 1
	// <nil>
}

// values returns every figure by its name and labels; of a histogram, the count.
func values(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "docent_client_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			all[name] = value(m)
		}
	}
	return all
}

func value(m *dto.Metric) float64 {
	if h := m.GetHistogram(); h != nil {
		return float64(h.GetSampleCount())
	}
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

func TestMetrics(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	metrics := prommetrics.New(prometheus.Labels{"app": "a"})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics)
	clients := make([]*client.Client, 2)
	for i := range clients {
		clients[i] = srv.Dial(t, func(cfg *client.Config) { cfg.Hooks = metrics.Hooks() })
		metrics.Follow(clients[i])
	}
	c, ctx := clients[0], t.Context()
	s, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, "x", nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.GetW(ctx, "x"); err != nil { // the lost write fires it
		t.Fatal(err)
	}
	if _, _, _, err := s.ExistsW(ctx, "y"); err != nil {
		t.Fatal(err)
	}
	srv.Inject(servertest.DropReply("setData", 1))
	c.Set(ctx, "x", nil, -1)
	if err := c.Delete(ctx, "y", -1); !errors.Is(err, client.ErrNoNode) {
		t.Fatal(err)
	}
	want := func(when string, figures map[string]float64) {
		t.Helper()
		got := values(t, registry)
		for name, n := range figures {
			if got[name] != n {
				t.Errorf("%s: %s = %v, want %v; all: %v", when, name, got[name], n, got)
			}
		}
	}
	want("two clients", map[string]float64{
		"request_duration_seconds app=a op=create2 outcome=ok": 1, "request_duration_seconds app=a op=getData outcome=ok": 1,
		"request_duration_seconds app=a op=exists outcome=ok": 1, "request_duration_seconds app=a op=delete outcome=refused": 1, "request_duration_seconds app=a op=setData outcome=maybe_applied": 1,
		"connections app=a state=connected": 2, "connects_total app=a outcome=attached": 3, "sessions_total app=a": 2,
		"watches_open app=a": 1, "requests_in_flight app=a": 0, "pending_deletes app=a": 0,
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	want("one of them closed", map[string]float64{"connections app=a state=connected": 1, "sessions_total app=a": 2, "watches_open app=a": 0})
}
