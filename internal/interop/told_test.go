package interop_test

import (
	"fmt"
	"testing"
)

// A kazoo that is told of the names of others heeds them, and keeps its own. docent and go-zookeeper heed those; Curator does
// not, so it is not here.
func TestLock_ToldKazooTakesTurns(t *testing.T) {
	needContenders(t)
	all := []*contender{docentContender(t), gozkContender(t), kazooContender(t, "--told")}
	kazoo := all[len(all)-1]
	for name, addr := range contendedServers(t) {
		t.Run(name, func(t *testing.T) {
			for i, other := range []string{"docent", "go-zookeeper"} {
				takeTurns(t, addr, fmt.Sprint("/locks/told-", i), some(pairTurns), all[i], kazoo)
				met(t, name, "lock", other, "kazoo, told of others")
			}
			takeTurns(t, addr, "/locks/told", some(pairTurns), all...)
		})
	}
}
