package servertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/server/servertest"
)

func TestSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := servertest.NewCluster(t, 3, servertest.NoSockets(), servertest.FaultyDisk(1), servertest.Spares(1))
		cl := c.Dial(t)
		if _, err := cl.Create(ctx, "/kept", nil); err != nil {
			t.Fatal(err)
		}
		members, err := c.Servers[0].Server().AddMember(ctx, c.Member(3))
		if err != nil || !slices.Contains(members, c.Member(3)) || len(members) != 4 {
			t.Fatalf("add the spare: %v, %v", members, err)
		}
		if _, err := c.Servers[3].Server().RemoveMember(ctx, 2); err != nil {
			t.Fatalf("remove server 2: %v", err)
		}
		<-c.Servers[1].Server().Done()
		if members, err := c.Servers[1].Server().RemoveMember(ctx, 1); err == nil {
			t.Errorf("one that was removed says that another one is, too: %v", members)
		}
		c.Servers[1].Renew()
		if _, err := c.Servers[0].Server().AddMember(ctx, c.Member(1)); err != nil {
			t.Fatalf("add server 2 again: %v", err)
		}
		if err := c.Servers[1].Server().Ready(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A member that has lost its data is turned away, and the others go on.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := servertest.NewCluster(t, 3, servertest.NoSockets(), servertest.FaultyDisk(1))
		time.Sleep(time.Second) // stores are told apart by the time of their birth
		c.Servers[2].Forget()
		select {
		case <-c.Servers[2].Server().Done():
		case <-ctx.Done():
			t.Error("it goes on")
		}
		if _, err := c.Dial(t).Create(ctx, "/others", nil); err != nil {
			t.Error(err)
		}
		_, err := c.Servers[0].Server().RemoveMember(ctx, 3)
		c.Servers[2].Renew()
		_, err2 := c.Servers[0].Server().AddMember(ctx, c.Member(2))
		if err := errors.Join(err, err2, c.Servers[2].Server().Ready(ctx)); err != nil {
			t.Error(err)
		}
	})
}

func TestFillDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.New(t, servertest.NoSockets(), servertest.FaultyDisk(1))
		c := srv.Dial(t)
		if _, err := c.Create(t.Context(), "/kept", nil); err != nil {
			t.Fatal(err)
		}
		free := srv.FillDisk(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Create(ctx, "/full", make([]byte, 900<<10))
		free()
		if err == nil {
			t.Error("stored on a full disk")
		}
		<-srv.Server().Done()
		srv.Restart()
		if _, ok, err := srv.Dial(t).Exists(t.Context(), "/kept"); err != nil || !ok {
			t.Errorf("what was stored is gone: %v", err)
		}
	})
}
