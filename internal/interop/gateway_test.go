package interop_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
)

// TestGatewayOnZookeeper tells the story of examples/gateway on Apache ZooKeeper: docent's client and recipes need no
// server of ours. The story checks what it claims and exits with 1 when something did not hold.
func TestGatewayOnZookeeper(t *testing.T) {
	if !peers.Required() {
		t.Skip("needs Apache ZooKeeper: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
	addr := peers.Zookeeper(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, peers.Build(t, "./examples/gateway"), "--connect", "zk://"+addr).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("the story on Apache ZooKeeper: %v", err)
	}
}
