package testkit

import "testing"

// ChangesAddress skips a test in which raft changes the address of a member that it replicates to, as retiring one and
// taking it back does, when the race detector watches: hashicorp/raft 1.8.0 reads that member's id without its lock
// (updateLastAppended) while startStopReplication writes the same id again. What is read is right either way.
func ChangesAddress(t testing.TB) {
	t.Helper()
	if raceEnabled {
		t.Skip("hashicorp/raft 1.8.0 has a data race of its own where a member's address changes")
	}
}
