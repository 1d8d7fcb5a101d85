package oteltracing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/docent-io/docent/client"
)

// Name is the instrumentation scope of the spans.
const Name = "github.com/docent-io/docent/client"

// The attributes of a span. System, Operation and Status are those of OpenTelemetry's conventions for databases.
const (
	System       = attribute.Key("db.system.name")          // always zookeeper: the protocol
	Operation    = attribute.Key("db.operation.name")       // as the protocol calls it: getData, create2, multi ...
	Status       = attribute.Key("db.response.status_code") // what the server answered, if that was an error
	Path         = attribute.Key("docent.path")             // with the chroot; not of transactions
	Session      = attribute.Key("docent.session")          // the number of the session, in hexadecimal
	MaybeApplied = attribute.Key("docent.maybe_applied")    // true if it was sent and no answer came
)

// Hooks returns hooks, for Config.Hooks, which make the spans by a tracer of provider; nil means the global provider of
// the moment. A span lasts from the call to its end, and its status is an error if the operation failed; that exists
// finds no node is no failure. To have other hooks as well, join them by their method With.
func Hooks(provider trace.TracerProvider) client.Hooks {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	tracer := provider.Tracer(Name)
	return client.Hooks{Request: func(r client.RequestInfo) { record(tracer, r, time.Now()) }}
}

func record(tracer trace.Tracer, r client.RequestInfo, end time.Time) {
	ctx := r.Context
	if ctx == nil {
		ctx = context.Background()
	}
	_, span := tracer.Start(ctx, r.Op,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(end.Add(-r.Duration)),
		trace.WithAttributes(System.String("zookeeper"), Operation.String(r.Op), Session.String(fmt.Sprintf("%#x", uint64(r.Session)))))
	if r.Path != "" {
		span.SetAttributes(Path.String(r.Path))
	}
	if r.MaybeApplied {
		span.SetAttributes(MaybeApplied.Bool(true))
	}
	var code client.Code
	if errors.As(r.Err, &code) {
		span.SetAttributes(Status.Int(int(code)))
	}
	if r.Err != nil && !(r.Op == "exists" && code == client.ErrNoNode) {
		span.SetStatus(codes.Error, r.Err.Error())
	}
	span.End(trace.WithTimestamp(end))
}
