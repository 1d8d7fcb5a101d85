package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// exampleClient starts a server in this process and connects to it. A program would call client.Dial alone.
func exampleClient() (c *client.Client, stop func()) {
	srv := servertest.MustStart()
	return srv.MustDial(), srv.Close
}

func ExampleDial() {
	srv := servertest.MustStart()
	defer srv.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}, Chroot: "/shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	node, err := c.Create(ctx, "rate/eur", []byte("1.17"), client.Parents())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(node.Path, "version", node.Stat.Version)
	if _, err := c.Set(ctx, "rate/eur", []byte("1.18"), node.Stat.Version); err != nil {
		log.Fatal(err)
	}
	_, err = c.Set(ctx, "rate/eur", []byte("1.19"), node.Stat.Version)
	fmt.Println(errors.Is(err, client.ErrBadVersion))
	// Output:
	// /rate/eur version 0
	// true
}

// A watch wakes, it does not inform: set it with a read, act on what was read, wait, and read again.
func ExampleSession_GetW() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	if _, err := c.Create(ctx, "light", []byte("red")); err != nil {
		log.Fatal(err)
	}
	s, err := c.Session(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for {
		node, watch, err := s.GetW(ctx, "light")
		if err != nil {
			log.Fatal(err) // also when the session has ended: get the next one, and begin again
		}
		fmt.Println(string(node.Data))
		if string(node.Data) == "green" {
			watch.Close()
			break
		}
		if _, err := c.Set(ctx, "light", []byte("green"), node.Stat.Version); err != nil { // by somebody else, usually
			log.Fatal(err)
		}
		if _, err := watch.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// red
	// green
}

// All or nothing; the error names the operation to blame.
func ExampleTxn() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	if _, err := c.Create(ctx, "fence", nil); err != nil {
		log.Fatal(err)
	}
	results, err := c.Txn().Check("fence", 0).Create("job-", nil, client.Sequential()).Set("fence", nil, 0).Commit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[1].Path, results[2].Stat.Version)
	_, err = c.Txn().Check("fence", 0).Create("job-", nil, client.Sequential()).Commit(ctx)
	var refused *client.TxnError
	fmt.Println(errors.As(err, &refused), refused.Index, refused.Path, errors.Is(err, client.ErrBadVersion))
	// Output:
	// /job-0000000001 1
	// true 0 /fence true
}

// One flight for many operations, each with its own result.
func ExampleSession_Batch() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	s, err := c.Session(ctx)
	if err != nil {
		log.Fatal(err)
	}
	b := s.Batch()
	created, missing := b.Create("a", []byte("1")), b.Get("b")
	read := b.Get("a")
	if err := b.Do(ctx); err != nil {
		log.Fatal(err) // some of it got no answer
	}
	node, err := created.Get()
	fmt.Println(node.Path, err)
	_, err = missing.Get()
	fmt.Println(errors.Is(err, client.ErrNoNode))
	got, err := read.Get()
	fmt.Println(string(got.Node.Data), err)
	// Output:
	// /a <nil>
	// true
	// 1 <nil>
}

// A write whose reply was lost may have been applied. A protected create finds out.
func ExampleProtected() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	if _, err := c.Create(ctx, "queue", nil); err != nil {
		log.Fatal(err)
	}

	srv.Inject(servertest.DropReply("create", 1))
	_, err := c.Create(ctx, "queue/a-", nil, client.Sequential())
	fmt.Println(errors.Is(err, client.ErrMaybeApplied))

	srv.Inject(servertest.DropReply("create", 1))
	_, err = c.Create(ctx, "queue/b-", nil, client.Sequential(), client.Protected())
	names, _, _ := c.Children(ctx, "queue")
	fmt.Println(err, len(names))
	// Output:
	// true
	// <nil> 2
}

// What is held through a session lives in its lease: that ends before the ensemble may give it to others.
func ExampleSession_Lease() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	s, err := c.Session(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.Create(ctx, "mine", nil, client.Ephemeral()); err != nil {
		log.Fatal(err)
	}
	work := s.Lease()
	srv.Expire(c)
	<-work.Done()
	fmt.Println(context.Cause(work))
	// Output: session expired
}

func ExampleClient_Sub() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	team := c.Sub("teams/blue")
	node, err := team.Create(ctx, "plan", nil, client.Parents())
	if err != nil {
		log.Fatal(err)
	}
	_, there, err := c.Exists(ctx, "/teams/blue/plan")
	fmt.Println(node.Path, there, err)
	// Output: /plan true <nil>
}

func ExampleParseDSN() {
	cfg, err := client.ParseDSN("zk://a:2181,b:2181/shop?session=30s")
	fmt.Println(cfg.Servers, cfg.Chroot, cfg.SessionTimeout, err)
	_, err = client.ParseDSN("zk://a:2181?sesion=30s")
	fmt.Println(err)
	// Output:
	// [a:2181 b:2181] shop 30s <nil>
	// DSN: unknown key "sesion"
}

// A lasting watch tells of every change below a node. Where events may be missing, behind a reconnect, it says so.
func ExampleSession_AddWatch() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	s, err := c.Session(ctx)
	if err != nil {
		log.Fatal(err)
	}
	changes, err := s.AddWatch(ctx, "/jobs", client.PersistentRecursive)
	if err != nil {
		log.Fatal(err)
	}
	defer changes.Close()
	for _, path := range []string{"jobs", "jobs/7"} { // by somebody else, usually
		if _, err := c.Create(ctx, path, nil); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		ev, err := changes.Next(ctx)
		if err != nil {
			log.Fatal(err) // also when the session has ended
		}
		fmt.Println(ev.Type, ev.Path) // at EventResync: read again whatever you derive from the stream
	}
	// Output:
	// created /jobs
	// created /jobs/7
}

// States are levels: the loop may miss one in between, never the latest.
func ExampleClient_States() {
	c, stop := exampleClient()
	defer stop()
	for state := range c.States(context.Background()) {
		fmt.Println(state)
		if state == client.Connected {
			break
		}
	}
	c.Close()
	fmt.Println(c.State())
	// Output:
	// connected
	// closed
}

// Many nodes in one request.
func ExampleClient_GetAll() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	if _, err := c.Txn().Create("low", []byte("1")).Create("high", []byte("9")).Commit(ctx); err != nil {
		log.Fatal(err)
	}
	found, err := c.GetAll(ctx, "low", "middle", "high")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range found {
		fmt.Printf("%q %v\n", f.Node.Data, errors.Is(f.Err, client.ErrNoNode))
	}
	// Output:
	// "1" false
	// "" true
	// "9" false
}

// What somebody else has finished writing, a fresh read sees, whichever server each of you talks to.
func ExampleFresh() {
	srv := servertest.MustStart()
	defer srv.Close()
	writer, reader, ctx := srv.MustDial(), srv.MustDial(), context.Background()
	if _, err := writer.Create(ctx, "x", []byte("written")); err != nil {
		log.Fatal(err)
	}
	node, err := reader.Get(ctx, "x", client.Fresh())
	fmt.Println(string(node.Data), err)
	// Output: written <nil>
}

// The session that ends takes its ephemerals along; who holds on to a *Session learns of it, and why.
func ExampleSession_Context() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	s, err := c.Session(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv.Expire(c)
	<-s.Context().Done()
	fmt.Println(context.Cause(s.Context()))
	_, err = s.Get(ctx, "/")
	fmt.Println(errors.Is(err, client.ErrSessionExpired))
	next, err := c.Session(ctx) // waits for the next one
	fmt.Println(next != s, err)
	// Output:
	// session expired
	// true
	// true <nil>
}

// A program is told where its ensemble is by its environment.
func ExampleFromEnv() {
	os.Setenv("DOCENT_DSN", "zk://a:2181,b:2181,c:2181/shop")
	defer os.Unsetenv("DOCENT_DSN")
	cfg, err := client.FromEnv()
	fmt.Println(cfg.Servers, cfg.Chroot, err)
	// Output: [a:2181 b:2181 c:2181] shop <nil>
}

// Hooks of several makers.
func ExampleHooks_With() {
	srv := servertest.MustStart()
	defer srv.Close()
	connects := client.Hooks{Connect: func(addr string, err error) { fmt.Println("attached:", err == nil) }}
	requests := client.Hooks{Request: func(r client.RequestInfo) { fmt.Println(r.Op, r.Path, r.Err) }}
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}, Hooks: connects.With(requests)})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.Get(ctx, "nowhere")
	// Output:
	// attached: true
	// getData /nowhere node does not exist
}
