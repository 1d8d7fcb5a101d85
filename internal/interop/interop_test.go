package interop_test

import (
	"fmt"
	"testing"

	"github.com/docent-io/docent/internal/interop/peers"
)

// TestReference runs the checks against Apache ZooKeeper: what they demand is what ZooKeeper does.
func TestReference(t *testing.T) {
	clients := findClients(t)
	for _, d := range peers.Distributions() {
		addr := d.Server(t)
		version := peers.Version(t, addr)
		check(t, clients, target{zookeeperColumn(version), fmt.Sprint("zookeeper-", version), addr, addr})
	}
}

func zookeeperColumn(version string) string { return "Apache ZooKeeper " + version }
