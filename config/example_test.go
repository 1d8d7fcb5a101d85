package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/server/servertest"
)

func ExampleWatch() {
	srv := servertest.MustStart()
	defer srv.Close()
	operator, manager := srv.MustDial(), srv.MustDial()
	ctx := context.Background()

	type limits struct{ Jobs int }
	set := func(jobs int) {
		_, err := config.Update(ctx, operator, "config/appmgr/slurm", func(l limits) (limits, error) {
			l.Jobs = jobs
			return l, nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	set(8)
	value, err := config.Watch(ctx, manager, "config/appmgr/slurm", config.Validate(func(l limits) error {
		if l.Jobs < 1 {
			return errors.New("at least one job must be allowed")
		}
		return nil
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer value.Close()
	for l, err := range value.Changes(ctx) {
		fmt.Println(l.Jobs, "jobs;", err)
		switch {
		case err != nil:
			set(16)
		case l.Jobs == 8:
			set(0)
		default:
			return
		}
	}
	// Output:
	// 8 jobs; <nil>
	// 8 jobs; configuration /config/appmgr/slurm, version 1, is refused: at least one job must be allowed
	// 16 jobs; <nil>
}

func ExampleUpdate() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()

	// Of several who do this at once none is lost.
	limits, err := config.Update(ctx, c, "/config/limits", func(l map[string]int) (map[string]int, error) {
		if l == nil {
			l = make(map[string]int)
		}
		l["jobs"] += 10
		return l, nil
	})
	fmt.Println(limits["jobs"], err)
	// Output: 10 <nil>
}

func ExampleCounter() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()

	jobs := config.NewCounter(c, "/counters/jobs", nil) // config.Int64() for Curator's DistributedAtomicLong
	for range 3 {
		if _, err := jobs.Add(ctx, 2); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(jobs.Get(ctx))
	// Output: 6 <nil>
}

func ExamplePublishBundle() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()

	_, err := config.PublishBundle(ctx, c, "/config/gateway", map[string][]byte{
		"limits": []byte("jobs=10"), "queues": []byte("long short"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle, err := config.LoadBundle(ctx, c, "/config/gateway") // both files, of one bundle
	fmt.Printf("%s, %s, %v\n", bundle.Files["limits"], bundle.Files["queues"], err)
	// Output: jobs=10, long short, <nil>
}

func ExampleWatchSaved() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	if _, err := c.Create(ctx, "/limits", []byte(`{"jobs":10}`)); err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "limits-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	limits := func() {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // as long as the start may take
		defer cancel()
		var c *client.Client
		defer func() {
			if c != nil {
				c.Close()
			}
		}()
		v, err := config.WatchSaved[map[string]int](ctx, func(ctx context.Context) (_ *client.Client, err error) {
			c, err = client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}})
			return c, err
		}, "/limits", filepath.Join(dir, "limits.json"))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer v.Close()
		fmt.Println(v.Get()["jobs"], "stale:", v.Stale())
	}
	limits()
	srv.Kill()
	limits() // the process starts again, and the ensemble is away
	// Output:
	// 10 stale: false
	// 10 stale: true
}
