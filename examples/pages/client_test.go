package pages_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/client/oteltracing"
	"github.com/docent-io/docent/client/prommetrics"
	"github.com/docent-io/docent/server/servertest"
)

// docs/client.md: metrics and tracing.
func TestClient_Hooks(t *testing.T) {
	ctx, servers, registry := t.Context(), []string{servertest.New(t).Addr()}, prometheus.NewRegistry()

	metrics := prommetrics.New(nil)
	registry.MustRegister(metrics)
	c, err := client.Dial(ctx, client.Config{
		Servers: servers,
		Hooks:   metrics.Hooks().With(oteltracing.Hooks(nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	metrics.Follow(c)

	if _, err := c.Create(ctx, "/a", nil); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) == 0 {
		t.Errorf("no metrics of the request: %v", err)
	}
}
