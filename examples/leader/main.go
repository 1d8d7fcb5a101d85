// Command leader lets three replicas elect a writer; when it goes the next one takes over, and everybody is told.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/leader"
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
	ctx, cfg, path := context.Background(), must(client.ParseDSN(*connect)), fmt.Sprintf("metadata-%d/writer", os.Getpid())
	replicas, told, terms := sync.WaitGroup{}, make(chan bool), 0
	for _, cfg.Identity = range []string{"replica 1", "replica 2", "replica 3"} {
		c := must(client.Dial(ctx, cfg)) // each as if it were a process of its own
		replicas.Go(func() {
			defer c.Close()
			must(0, leader.Run(ctx, c, path, func(ctx context.Context, term *leader.Term) error {
				fmt.Println(c.Identity(), "writes from now on, with a higher token than anybody before")
				must(0, term.Publish(ctx, []byte("writing")))
				<-told // everybody knows; enough for one term
				return nil
			}))
		})
	}
	watcher := must(client.Dial(ctx, cfg))
	defer watcher.Close()
	for info, err := range leader.Observe(ctx, watcher, path) {
		if must(info, err); string(info.Data) != "writing" {
			continue // nobody, or somebody who has not begun
		}
		fmt.Println("everybody sees:", info.ID, "writes")
		if told <- true; terms == 2 {
			break
		}
		terms++
	}
	replicas.Wait()
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
