package oteltracing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/client/oteltracing"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// record returns what a provider has been told, and the provider.
func record() (*tracetest.SpanRecorder, *sdktrace.TracerProvider) {
	spans := tracetest.NewSpanRecorder()
	return spans, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
}

func Example() {
	srv := servertest.MustStart()
	defer srv.Close()
	spans, provider := record() // in a program: the provider that exports to your collector

	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}, Hooks: oteltracing.Hooks(provider)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	ctx, request := provider.Tracer("shop").Start(ctx, "checkout")
	c.Get(ctx, "/rate/eur")
	request.End()

	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), s.Status().Code, s.Parent().SpanID() == request.SpanContext().SpanID())
	}
	// Output:
	// getData Error true
	// checkout Unset false
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]attribute.Value {
	m := make(map[attribute.Key]attribute.Value)
	for _, kv := range s.Attributes() {
		m[kv.Key] = kv.Value
	}
	return m
}

func TestHooks_EachOperationIsASpan(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	spans, provider := record()
	told := 0
	c := srv.Dial(t, func(cfg *client.Config) {
		cfg.Chroot = "/app"
		cfg.Hooks = oteltracing.Hooks(provider).With(client.Hooks{Request: func(client.RequestInfo) { told++ }})
	})
	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	ended := func() sdktrace.ReadOnlySpan {
		t.Helper()
		all := spans.Ended()
		if len(all) == 0 {
			t.Fatal("no span has ended")
		}
		return all[len(all)-1]
	}

	if _, err := c.Create(ctx, "x", nil, client.Parents()); err != nil {
		t.Fatal(err)
	}
	s, a := ended(), attributes(ended())
	if s.Name() != "create2" || s.Parent().SpanID() != parent.SpanContext().SpanID() || s.Status().Code != codes.Unset || s.EndTime().Before(s.StartTime()) {
		t.Errorf("span = %s below %v, status %v, %v to %v", s.Name(), s.Parent().SpanID(), s.Status(), s.StartTime(), s.EndTime())
	}
	if a[oteltracing.Path].AsString() != "/app/x" || a[oteltracing.System].AsString() != "zookeeper" || a[oteltracing.Operation].AsString() != "create2" {
		t.Errorf("attributes = %v", s.Attributes())
	}

	if _, ok, err := c.Exists(ctx, "y"); ok || err != nil {
		t.Fatal(ok, err)
	}
	if s := ended(); s.Name() != "exists" || s.Status().Code != codes.Unset {
		t.Errorf("a node that is absent: span %s, status %v", s.Name(), s.Status())
	}

	srv.Inject(servertest.DropReply("setData", 1))
	if _, err := c.Set(ctx, "x", nil, -1); !errors.Is(err, client.ErrMaybeApplied) {
		t.Fatal(err)
	}
	s, a = ended(), attributes(ended())
	if s.Name() != "setData" || s.Status().Code != codes.Error || !a[oteltracing.MaybeApplied].AsBool() {
		t.Errorf("a lost reply: span %s, status %v, attributes %v", s.Name(), s.Status(), s.Attributes())
	}
	if told != len(spans.Ended()) {
		t.Errorf("the other hook was told of %d operations, this one of %d", told, len(spans.Ended()))
	}
}
