package conformance

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/server"
)

// switches are the settings of the suite's servers, or of one with everything off.
func switches(on bool) server.Config {
	return server.Config{
		Listen: "127.0.0.1:0", FourLetterWords: []string{"*"},
		MinSessionTimeout: minTimeout * time.Millisecond, MaxSessionTimeout: maxTimeout * time.Millisecond,
		ContainerInterval: 100 * time.Millisecond, ContainerNeverUsed: time.Hour,
		ExtendedTypes: on, EnforceQuota: on, SuperDigest: map[bool]string{true: superDigest}[on],
	}
}

func start(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	srv, err := server.Start(cfg)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { srv.Close() }) // of an ensemble the last ones have no majority to hand anything to
	return srv
}

func ready(t *testing.T, servers ...*server.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, s := range servers {
		if err := s.Ready(ctx); err != nil {
			t.Fatalf("Ready: %v", err)
		}
	}
}

// ensemble starts n servers; change, if any, is made to the configuration of each.
func ensemble(t *testing.T, n int, change ...func(*server.Config)) []*server.Server {
	t.Helper()
	peers := make(map[uint64]string)
	var listeners []net.Listener
	for i := range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		peers[uint64(i+1)] = ln.Addr().String()
	}
	var servers []*server.Server
	for i, ln := range listeners {
		cfg := switches(true)
		cfg.ID, cfg.Peers, cfg.PeerListener = uint64(i+1), peers, ln
		for _, f := range change {
			f(&cfg)
		}
		servers = append(servers, start(t, cfg))
	}
	ready(t, servers...)
	return servers
}

func TestStandalone(t *testing.T) {
	on, off := start(t, switches(true)), start(t, switches(false))
	ready(t, on, off)
	perform(t, target{name: "standalone", addr: on.Addr(), other: on.Addr(), off: off.Addr(), fresh: true})
}

func TestMembersOf3(t *testing.T) { members(t, 3) }

func TestMembersOf5(t *testing.T) { members(t, 5) }

// members performs the suite on each member of an ensemble, with the next one as the other server.
func members(t *testing.T, n int) {
	servers := ensemble(t, n)
	off := start(t, switches(false))
	ready(t, off)
	for i, srv := range servers {
		perform(t, target{name: fmt.Sprintf("member %d of %d", i+1, n), addr: srv.Addr(), other: servers[(i+1)%n].Addr(),
			off: off.Addr(), fresh: i == 0})
	}
}

// TestZookeeper proves the checks: Apache ZooKeeper passes them.
func TestZookeeper(t *testing.T) {
	if addr := os.Getenv("DOCENT_CONFORMANCE"); addr != "" {
		perform(t, target{name: "DOCENT_CONFORMANCE", addr: addr, other: addr, zk38: os.Getenv("DOCENT_CONFORMANCE_VERSION") != "3.9"})
		return
	}
	if !peers.Required() {
		t.Skip("needs Apache ZooKeeper: run `make interop` (DOCENT_REQUIRE_PEERS=1), or name one in DOCENT_CONFORMANCE")
	}
	on := peers.Zookeeper(t, "extendedTypesEnabled=true", "enforceQuota=true", "DigestAuthenticationProvider.superDigest="+superDigest,
		"-Dznode.container.checkIntervalMs=200")
	perform(t, target{name: "Apache ZooKeeper 3.8", addr: on, other: on, off: peers.Zookeeper(t), zk38: true, fresh: true})
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
