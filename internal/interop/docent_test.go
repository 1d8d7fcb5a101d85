package interop_test

import (
	"fmt"
	"testing"

	"github.com/docent-io/docent/internal/interop/peers"
)

// TestDocent runs the checks against `docent serve`: standalone, and through each member of an ensemble of three, with
// the next member as the other server that sessions move to. With -short, through one follower alone.
func TestDocent(t *testing.T) {
	clients := findClients(t)
	bin := peers.Build(t, "./cmd/docent")
	alone := peers.Standalone(t, bin)
	targets := []target{{"docent 1", "standalone", alone.Addr, alone.Addr}}
	members := peers.Ensemble(t, bin, 3)
	for i, m := range members {
		if testing.Short() && (peers.Leads(m.Addr) || len(targets) > 1) {
			continue
		}
		next := members[(i+1)%len(members)]
		targets = append(targets, target{"docent 3", fmt.Sprint("member", i+1), m.Addr, next.Addr})
	}
	check(t, clients, targets...)
}
