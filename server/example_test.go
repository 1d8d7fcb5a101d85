package server_test

import (
	"context"
	"fmt"
	"log"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
)

// A program that brings its server along. Without Data it is in memory.
func Example() {
	ctx := context.Background()
	srv, err := server.Start(server.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	node, err := c.Create(ctx, "/hello", []byte("world"))
	fmt.Println(node.Path, err)
	// Output: /hello <nil>
}
