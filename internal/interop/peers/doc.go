// Package peers runs the programs docent must get along with, for tests: Apache ZooKeeper's server, its command-line
// client, and docent's own binary as a process.
//
// Tests that use it are skipped where a peer is not installed, so that `go test ./...` needs nothing but Go. With
// DOCENT_REQUIRE_PEERS=1 in the environment, as in CI, a missing peer fails the test instead.
package peers
