// Command lock shows processes take turns on a lock, and a store that turns a late holder away by its token.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server"
)

func main() {
	connect := flag.String("connect", "", "an ensemble to use, as zk://host:port; by default a server in this process")
	flag.Parse()
	if *connect == "" {
		srv := must(server.Start(server.Config{Listen: "127.0.0.1:0"}))
		defer srv.Close()
		*connect = "zk://" + srv.Addr()
	}
	ctx, cfg, path := context.Background(), must(client.ParseDSN(*connect)), fmt.Sprintf("locks/orders-%d", os.Getpid())
	clerks, store, orders := sync.WaitGroup{}, fence.Memory(), 0 // nothing but the lock and the store guards orders
	for i := range 3 {
		clerks.Go(func() {
			c := must(client.Dial(ctx, cfg)) // each as if it were a process of its own
			defer c.Close()
			must(0, lock.Do(ctx, c, path, func(ctx context.Context, h *lock.Held) error {
				must(0, store.Admit(ctx, "orders", h.Token()))
				orders++
				fmt.Printf("clerk %d books order %d under the token %d\n", i+1, orders, h.Token())
				return nil
			}))
		})
	}
	clerks.Wait()

	c := must(client.Dial(ctx, cfg))
	defer c.Close()
	late := must(lock.New(c, path, lock.Note("asleep")).Lock(ctx))
	must(0, lock.New(c, path).Break(ctx, late.Token())) // an operator takes it away from a clerk who does not answer
	next := must(lock.New(c, path).Lock(ctx))
	defer next.Close()
	must(0, store.Admit(ctx, "orders", next.Token()))
	<-late.Context().Done()
	fmt.Println("the sleeper's lock:", context.Cause(late.Context()))
	fmt.Println("the store says:", store.Admit(ctx, "orders", late.Token()))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
