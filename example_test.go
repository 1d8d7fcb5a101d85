package docent_test

import (
	"context"
	"fmt"
	"log"

	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

// One process at a time. A program dials its servers by client.Dial; here a test's server runs in this process.
func Example() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	defer c.Close()
	err := lock.Do(context.Background(), c, "/locks/orders", func(ctx context.Context, h *lock.Held) error {
		fmt.Println("my turn") // under ctx, which ends before anybody else can hold the lock
		return nil
	})
	if err != nil {
		log.Print(err)
	}
	// Output: my turn
}
