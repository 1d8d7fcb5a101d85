package config_test

import (
	"context"
	"errors"
	"fmt"

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
