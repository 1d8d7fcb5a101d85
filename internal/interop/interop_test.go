package interop_test

import (
	"testing"

	"github.com/docent-io/docent/internal/interop/peers"
)

// TestReference runs the checks against Apache ZooKeeper: what they demand is what ZooKeeper does.
func TestReference(t *testing.T) {
	c := findClients(t)
	addr := peers.Zookeeper(t)
	c.check(t, target{"zookeeper", addr, addr})
}
