package rendezvous_test

import (
	"context"
	"errors"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

func TestPeek(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	master, worker := srv.Dial(t, named("m")), srv.Dial(t)
	if got, err := at(worker).Peek(ctx); err != nil || !got.Gone {
		t.Errorf("Peek without a posting = %+v, %v", got, err)
	}
	must(t, at(master).Post(ctx, here))
	if got, err := at(worker).Peek(ctx); err != nil || got.Gone || got.Value != here || got.Poster != "m" {
		t.Errorf("Peek = %+v, %v", got, err)
	}
	watching(t, srv, 0)
}

func TestVacant(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	first, second := srv.Dial(t), srv.Dial(t)
	must(t, at(second).Vacant(ctx))
	must(t, at(first).Post(ctx, here))
	out := make(chan error, 1)
	go func() { out <- at(second).Vacant(ctx) }()
	watching(t, srv, 1)
	srv.Expire(first)
	must(t, <-out)

	_, err := second.Create(ctx, meet+"/info", []byte("no posting"), client.Ephemeral(), client.Parents())
	if !errors.Is(err, client.ErrNodeExists) {
		must(t, err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := at(second).Vacant(over); err == nil {
		t.Error("Vacant of a context that is over returned nil")
	}
}
