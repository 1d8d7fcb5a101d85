package recipes_test

import (
	"context"
	"fmt"

	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

// A line in which readers wait for the nearest writer ahead of them only, so readers share.
func ExampleLine() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial() // in a program: client.Dial(ctx, client.Config{Servers: …})
	ctx := context.Background()

	readers := recipes.Line{Dir: "/ledger", Kind: "read-", Also: []string{"write-"}, Rule: func(line []recipes.Place, own int) int {
		for own--; own >= 0 && line[own].Kind != "write-"; own-- {
		}
		return own
	}}
	writers := recipes.Line{Dir: "/ledger", Kind: "write-", Also: []string{"read-"}} // everybody ahead
	s, err := c.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range []recipes.Line{readers, readers, writers} {
		ticket, err := line.Draw(ctx, s, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		hold, err := ticket.Try(ctx)
		if err != nil {
			fmt.Println(line.Kind, "has to wait")
			return
		}
		defer hold.Release(ctx)
		fmt.Println(line.Kind, "is in")
	}
	// Output:
	// read- is in
	// read- is in
	// write- has to wait
}

func ExampleNewPresence() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	ctx := context.Background()

	me := recipes.NewPresence(c, "/workers/n042", []byte("ready"))
	defer me.Close(ctx)
	if err := me.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	here := me.Context()
	srv.Expire(c) // a long pause, say
	<-here.Done()
	fmt.Println(me.Ready(ctx)) // there again, on the next session
	// Output: <nil>
}

func ExampleNewChildrenCache() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	ctx := context.Background()

	workers := recipes.NewChildrenCache(c, "/workers")
	defer workers.Close()
	me := recipes.NewPresence(c, "/workers/n042", []byte("ready"))
	defer me.Close(ctx)
	for snap, err := range workers.Changes(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if n, ok := snap.Node("/workers/n042"); ok {
			fmt.Printf("%s is %s\n", n.Path, n.Data)
			return
		}
	}
	// Output: /workers/n042 is ready
}
