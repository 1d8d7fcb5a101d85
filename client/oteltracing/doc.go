// Package oteltracing tells OpenTelemetry of a client's operations: one span each, below the span that the operation's
// context carries.
//
// It is a package of its own so that the client does not import OpenTelemetry.
package oteltracing
