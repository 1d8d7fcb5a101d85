package server_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/internal/tree"
)

// compared waits until a server's tree has been found equal to the others' at what it has applied now, or later.
func compared(t *testing.T, s *server.Server) {
	t.Helper()
	index := metricOf(t, s, "docent_raft_applied_index")
	testkit.Eventually(t, fmt.Sprintf("server %d is compared at entry %v", s.ID(), index), func() bool {
		return metricOf(t, s, "docent_digest_compared_index") >= index
	})
}

// stopsDifferent waits until a server has stopped because it differs.
func stopsDifferent(t *testing.T, s *server.Server) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("server %d differs, and goes on", s.ID())
	}
	if err := s.Close(); !errors.Is(err, server.ErrDiffers) {
		t.Fatalf("server %d stopped with %v", s.ID(), err)
	}
}

// A server whose tree is changed behind its back is found out, stops and stays stopped. Replaced as docs/operations.md says,
// it is equal again; the others serve all the time.
func TestServerThatDiffers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := newEnsemble(t, 3, func(cfg *server.Config) {
		if cfg.Data == "" {
			cfg.Data = filepath.Join(folder, fmt.Sprint(cfg.ID))
		}
	})
	lead := e.leader()
	bad := e.servers[lead.ID()%3+1]
	good := e.servers[bad.ID()%3+1]
	c := e.dial(nil, lead.ID(), good.ID())
	ctx := within(t, 60*time.Second)
	write := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := c.Create(ctx, fmt.Sprintf("/%d-", i), nil, client.Sequential()); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(10)
	for _, s := range e.all() {
		compared(t, s)
		testkit.Eventually(t, "mntr says that none differs", func() bool {
			return strings.Contains(word(t, s, "mntr"), "zk_digest_mismatches_count\t0\n")
		})
	}
	if r := bad.Sabotage(&tree.Txn{Session: 77, Op: wire.OpCreateSession, Timeout: 30000}); r.Err != wire.OK {
		t.Fatal(r.Err)
	}
	write(10)
	stopsDifferent(t, bad)
	for _, s := range []*server.Server{lead, good} {
		testkit.Eventually(t, fmt.Sprintf("server %d tells of it", s.ID()), func() bool { return metricOf(t, s, "docent_digest_mismatches_total") > 0 })
	}
	write(10)

	old := filepath.Join(folder, fmt.Sprint(bad.ID()))
	_, err := server.Start(server.Config{ID: bad.ID(), Listen: "127.0.0.1:0", Peers: e.peers, Data: old})
	if !errors.Is(err, server.ErrDiffers) || !strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), "at log entry") {
		t.Errorf("started again: %v", err)
	}
	if _, err := server.CheckData(old); !errors.Is(err, server.ErrDiffers) {
		t.Errorf("its folder: %v", err)
	}

	delete(e.servers, bad.ID())
	if _, err := good.RemoveMember(ctx, bad.ID()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", e.peers[bad.ID()])
	if err != nil {
		t.Fatal(err)
	}
	anew := e.start(server.Config{ID: bad.ID(), Peers: map[uint64]string{bad.ID(): e.peers[bad.ID()]}, Join: true, PeerListener: ln,
		Data: filepath.Join(folder, "anew")})
	if _, err := good.AddMember(ctx, server.Member{ID: bad.ID(), Addr: e.peers[bad.ID()]}); err != nil {
		t.Fatal(err)
	}
	write(10)
	ready(t, e.all()...)
	compared(t, anew)
	testkit.Eventually(t, "the digests are equal", func() bool {
		a, b := word(t, anew, "hash"), word(t, good, "hash")
		return a == b && strings.Contains(a, ": ")
	})
}

// What memory holds is not what the transactions made: no snapshot is written, and the server stops. Its folder is whole.
func TestServerWithDamagedMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv, err := server.Start(server.Config{Listen: "127.0.0.1:0", Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 20*time.Second)
	c, err := dial(t, srv.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, "/a", []byte("data")); err != nil {
		t.Fatal(err)
	}
	srv.FlipBit("/a")
	if err := srv.Snapshot(); err == nil {
		t.Error("the snapshot was written")
	}
	stopsDifferent(t, srv)
	if info, err := server.CheckData(dir); err != nil || info.Snapshots != 0 {
		t.Errorf("its folder: %+v, %v", info, err)
	}
	srv = start(t, inFolder(dir))
	if c, err = dial(t, srv.Addr(), nil); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Get(ctx, "/a"); err != nil || string(n.Data) != "data" {
		t.Errorf("after a restart: %q, %v", n.Data, err)
	}
}
