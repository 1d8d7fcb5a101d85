// Package interop checks docent's server with clients other people wrote: kazoo (Python), ZooKeeper's own zkCli (Java)
// and go-zookeeper/zk (Go, in a module of its own below). Its tests run the same checks against Apache ZooKeeper, which
// proves the checks, and against `docent serve`, standalone and through each member of an ensemble of three.
//
// The suites by which kazoo and go-zookeeper are tested by their own authors run against docent's ensembles, too.
//
// They take minutes and need the peers, so they run with `make interop` only: DOCENT_REQUIRE_PEERS=1 in the environment.
package interop
