// Package wire is ZooKeeper's client protocol as bytes: appending encoders, a [Reader] with a sticky error, and one
// struct for each message, with neither reflection nor an allocation per primitive.
//
// Encoders append to a slice and return it. Decoders read from a [Reader]; what they return may point into its bytes
// (buffers do, strings are copies), so a frame must not be reused while a decoded message lives.
package wire
