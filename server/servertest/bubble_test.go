package servertest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

func TestBubbleServer(t *testing.T) {
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.New(t, servertest.NoSockets())
		c := srv.Dial(t)
		s := session(t, c)
		if _, err := s.Create(ctx(t), "/e", nil, client.Ephemeral()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		srv.Freeze()
		<-s.Context().Done()
		t.Logf("the session ended after %v", time.Since(start))
		srv.Thaw()
		session(t, c)
	})
	t.Log(time.Since(real))
}

func TestBubbleCluster(t *testing.T) {
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cl := servertest.NewCluster(t, 3, servertest.NoSockets())
		c := cl.Dial(t)
		s := session(t, c)
		if _, err := s.Create(ctx(t), "/e", nil, client.Ephemeral()); err != nil {
			t.Fatal(err)
		}
		t.Logf("first write after %v", time.Since(start))
		cl.KillLeader()
		if _, err := c.Set(ctx(t), "/e", []byte("x"), -1); err != nil {
			t.Fatal(err)
		}
		t.Logf("write after %v", time.Since(start))
	})
	t.Log(time.Since(real))
}
