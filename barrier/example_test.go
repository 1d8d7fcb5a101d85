package barrier_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/server/servertest"
)

func ExampleGate() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial() // in a program: client.Dial(ctx, client.Config{Servers: …})
	ctx := context.Background()

	gate := barrier.NewGate(c, "jobs/7/gate")
	if err := gate.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	through := make(chan error)
	go func() { through <- barrier.NewGate(c, "jobs/7/gate").Wait(ctx) }()
	if err := gate.Open(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("through:", <-through)
	// Output: through: <nil>
}

func ExampleDouble_Run() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	step := barrier.New(c, "jobs/7/step", 3)

	var workers sync.WaitGroup
	for range 3 { // usually each in a process of its own
		workers.Go(func() {
			report, err := step.Run(context.Background(), func(ctx context.Context) error {
				return nil // all three work at the same time
			})
			fmt.Println(len(report.Left), "left,", len(report.Crashed), "crashed, error", err)
		})
	}
	workers.Wait()
	// Output:
	// 3 left, 0 crashed, error <nil>
	// 3 left, 0 crashed, error <nil>
	// 3 left, 0 crashed, error <nil>
}
