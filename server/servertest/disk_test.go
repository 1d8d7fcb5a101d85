package servertest_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/server/servertest"
)

// What was acknowledged is there after crashes that lose what was not synced, and not if the disk only says it had synced.
func TestFaultyDisk(t *testing.T) {
	survives := func(paths []string, o ...servertest.Option) (all bool) {
		synctest.Test(t, func(t *testing.T) {
			srv := servertest.New(t, append(o, servertest.NoSockets(), servertest.FaultyDisk(4))...)
			for _, path := range paths {
				if _, err := srv.Dial(t).Create(t.Context(), path, nil); err != nil {
					t.Fatal(err)
				}
				srv.Kill()
				srv.Restart()
			}
			_, all, _ = srv.Dial(t).Exists(t.Context(), "/a") // a server that has lost it all may not even know the session
		})
		return all
	}
	if !survives([]string{"/a", "/b", "/c"}) {
		t.Error("an acknowledged node was lost")
	}
	// Once: of what such a disk has left, most makes the next start refuse it, as damaged.
	if survives([]string{"/a"}, servertest.LyingDisk()) {
		t.Error("nothing was synced, and nothing lost")
	}
}

// A server whose disk fails to sync stops, has acknowledged nothing that is not synced, and serves again after a restart.
func TestFailSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.New(t, servertest.NoSockets(), servertest.FaultyDisk(1))
		c := srv.Dial(t)
		if _, err := c.Create(t.Context(), "/kept", nil); err != nil {
			t.Fatal(err)
		}
		srv.FailSync()
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error, 1)
		go func() {
			_, err := c.Create(ctx, "/not-synced", nil)
			answered <- err
		}()
		<-srv.Server().Done()
		cancel()
		if err := <-answered; err == nil {
			t.Error("acknowledged, and not synced")
		}
		srv.Restart()
		if _, ok, err := srv.Dial(t).Exists(t.Context(), "/kept"); err != nil || !ok {
			t.Errorf("what was synced is gone: %v", err)
		}
	})
}
