// Package conformance holds a suite of checks that a server speaks ZooKeeper's protocol as version 3.9 does. They are
// written against the public protocol and talk to the server in raw frames, so they say nothing about how it is made.
//
// The tests run it against docent: standalone, each member of three, and each member of five. The same suite runs
// against Apache ZooKeeper, which proves the checks: DOCENT_REQUIRE_PEERS=1 starts Debian's 3.8, and
// DOCENT_CONFORMANCE=HOST:PORT points it at a server that runs already, with extendedTypesEnabled=true,
// enforceQuota=true, 4lw.commands.whitelist=*, session timeouts from 1 to 60 s, and the super user's password pw
// (super:0bX78nEegDzJM3ju0iLBEJdWzjg=). What 3.8 does otherwise stands in one table, in differences_test.go.
package conformance
