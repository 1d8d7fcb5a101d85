package rendezvous_test

import (
	"context"
	"fmt"

	"github.com/docent-io/docent/rendezvous"
	"github.com/docent-io/docent/server/servertest"
)

func ExamplePoint() {
	srv := servertest.MustStart()
	defer srv.Close()
	master, worker := srv.MustDial(), srv.MustDial() // in two processes, started in any order
	ctx := context.Background()

	point := rendezvous.At[string](master, "jobs/7/meet")
	if err := point.Post(ctx, "host-a:4242"); err != nil {
		fmt.Println(err)
		return
	}
	info, err := rendezvous.At[string](worker, "jobs/7/meet").Wait(ctx)
	fmt.Println(info.Value, err)
	// Output: host-a:4242 <nil>
}

func ExamplePoint_Follow() {
	srv := servertest.MustStart()
	defer srv.Close()
	master, worker := srv.MustDial(), srv.MustDial()
	ctx := context.Background()
	meet := func() *rendezvous.Point[string] { return rendezvous.At[string](master, "jobs/7/meet") }

	go func() {
		if err := meet().Gather(ctx, 1); err != nil { // the master waits for its workers
			fmt.Println(err)
		}
		if err := meet().Post(ctx, "host-a:4242"); err != nil {
			fmt.Println(err)
		}
	}()
	for info, err := range rendezvous.At[string](worker, "jobs/7/meet").Follow(ctx) {
		switch {
		case err != nil:
			fmt.Println(err)
		case info.Gone:
			fmt.Println("the master is gone: I stop taking work")
			return
		default:
			fmt.Println("I work for", info.Value)
			master.Close() // and it ends
		}
	}
	// Output:
	// I work for host-a:4242
	// the master is gone: I stop taking work
}

func ExamplePoint_Gather() {
	srv := servertest.MustStart()
	defer srv.Close()
	master, worker := srv.MustDial(), srv.MustDial()
	ctx, done := context.WithCancel(context.Background())

	follows := make(chan struct{})
	go func() {
		defer close(follows)
		for range rendezvous.At[string](worker, "jobs/7/meet").Follow(ctx) { // counts as a worker that is here
		}
	}()
	err := rendezvous.At[string](master, "jobs/7/meet").Gather(ctx, 1)
	fmt.Println("all are here:", err)
	done()
	<-follows
	// Output: all are here: <nil>
}
