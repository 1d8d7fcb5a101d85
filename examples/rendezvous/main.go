// Command rendezvous lets a master and a worker meet that do not know who starts first, with a new master half way.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/rendezvous"
	"github.com/docent-io/docent/server"
)

func main() {
	connect := flag.String("connect", "", "an ensemble to meet on, as zk://host:port; by default a server in this process")
	flag.Parse()
	if *connect == "" {
		srv := must(server.Start(server.Config{Listen: "127.0.0.1:0"}))
		defer srv.Close()
		*connect = "zk://" + srv.Addr()
	}
	cfg, meet := must(client.ParseDSN(*connect)), fmt.Sprintf("jobs/%d/meet", os.Getpid())
	ctx, stop := context.WithCancel(context.Background())
	working, done := make(chan string), make(chan struct{})
	go func() {
		defer close(done)
		worker := must(client.Dial(ctx, cfg))
		defer worker.Close()
		fmt.Println("worker: here, and waiting for a master")
		for info, err := range rendezvous.At[string](worker, meet).Follow(ctx) {
			if err == nil && info.Gone {
				fmt.Println("worker: my master is gone")
			} else if err == nil {
				fmt.Println("worker: I work for", info.Value)
				working <- info.Value
			}
		}
	}()
	for _, addr := range []string{"host-a:4242", "host-b:4242"} {
		master := must(client.Dial(ctx, cfg))
		point := rendezvous.At[string](master, meet)
		must(0, point.Gather(ctx, 1))
		fmt.Println("master: a worker is here; it finds me at", addr)
		must(0, point.Post(ctx, addr))
		<-working
		must(0, master.Close()) // its session ends, and what it posted with it
	}
	stop()
	<-done
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
