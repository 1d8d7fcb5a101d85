package lock_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// Etcd #11788: an example that does not check the token teaches to forget it.
func ExampleDo() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial() // in a program: client.Dial(ctx, client.Config{Servers: …})
	guard := fence.Memory()

	err := lock.Do(context.Background(), c, "/locks/orders", func(ctx context.Context, h *lock.Held) error {
		if err := guard.Admit(ctx, "orders", h.Token()); err != nil {
			return err // somebody else has been here since: the store says so, not we
		}
		fmt.Println("my turn")
		return nil
	})
	fmt.Println(err)
	// Output:
	// my turn
	// <nil>
}

func ExampleMutex_TryLock() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	nightly := lock.New(c, "/locks/nightly", lock.Note("index rebuild"))

	held, err := nightly.Lock(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer held.Close()

	_, err = nightly.TryLock(context.Background())
	var locked *lock.LockedError
	if errors.As(err, &locked) {
		fmt.Println("held for:", locked.Holder.Note)
	}
	// Output: held for: index rebuild
}
