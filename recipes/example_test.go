package recipes_test

import (
	"context"
	"fmt"

	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

// A line whose rule lets two in at a time: who is third or later waits for the one two places ahead.
func ExampleLine() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial() // in a program: client.Dial(ctx, client.Config{Servers: …})
	ctx := context.Background()

	line := recipes.Line{Dir: "/ferry", Kind: "seat-", Rule: func(_ []recipes.Place, own int) int { return max(own-2, -1) }}
	s, err := c.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		ticket, err := line.Draw(ctx, s, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		hold, err := ticket.Try(ctx)
		if err != nil {
			fmt.Println("full")
			return
		}
		defer hold.Release(ctx)
		fmt.Println("on board")
	}
	// Output:
	// on board
	// on board
	// full
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
