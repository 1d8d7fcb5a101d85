// Package bench loads a server of the ZooKeeper protocol, docent's or another, and tells what it did: requests per
// second, latencies, CPU and memory of the servers, and when nothing was acknowledged.
//
// It speaks the protocol by itself, in batches, so that it costs little of the machine it may share with the servers:
// one read and one write system call for all requests that are due. Every reply is checked: its place in the order of
// requests, its error code, length and content of the data, and that versions never go backwards within a session.
//
// There are two kinds of load. Closed ([Config].Rate 0): each connection keeps InFlight requests under way, and latency is
// from sending to reply. Open: requests are due at fixed times, whatever the server does, and latency is from when a
// request was due; a server that stands still for a second makes all those late that were due meanwhile, and they count
// (no coordinated omission).
package bench
