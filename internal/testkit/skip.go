package testkit

import "testing"

// Unraced skips a test under the race detector, and says why.
func Unraced(t testing.TB, why string) {
	t.Helper()
	if raceEnabled {
		t.Skip("under the race detector: " + why)
	}
}

// ChangesAddress skips a test in which raft changes the address of a member that it replicates to, as retiring one and
// taking it back does, when the race detector watches: hashicorp/raft 1.8.0 reads that member's id without its lock
// (updateLastAppended) while startStopReplication writes the same id again. What is read is right either way.
func ChangesAddress(t testing.TB) {
	t.Helper()
	Unraced(t, "hashicorp/raft 1.8.0 has a race of its own where a member's address changes")
}
