// Package interop checks docent's server with clients other people wrote: ZooKeeper's own Java client, zkCli and C client,
// Curator (Java), kazoo (Python) and go-zookeeper/zk (Go, in a module of its own below); and docent's client with Apache
// ZooKeeper. The same checks run against Apache ZooKeeper, which proves the checks, and against `docent serve`, standalone
// and through each member of an ensemble of three. Processes of two libraries take part in one recipe on one path.
//
// What passes is recorded, and docs/interop.md is made of the records: see package matrix.
//
// The suites by which kazoo and go-zookeeper are tested by their own authors run against docent's ensembles, too.
//
// They take minutes and need the peers, so they run with `make interop` only: DOCENT_REQUIRE_PEERS=1 in the environment.
package interop
