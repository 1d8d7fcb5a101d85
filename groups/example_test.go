package groups_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/server/servertest"
)

func ExampleJoin() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial() // in a program: client.Dial(ctx, client.Config{Servers: …})
	ctx := context.Background()

	type node struct{ Cores int }
	me, err := groups.Join(ctx, c, "jobs/7/workers", node{Cores: 64}, groups.ID("n42"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer me.Leave(ctx)
	members, err := groups.Members[node](ctx, c, "jobs/7/workers")
	for _, m := range members {
		fmt.Println(m.ID, "has", m.Value.Cores, "cores", err)
	}
	// Output: n42 has 64 cores <nil>
}

func ExampleWatch() {
	srv := servertest.MustStart()
	defer srv.Close()
	worker, master := srv.MustDial(), srv.MustDial()
	ctx := context.Background()

	me, err := groups.Join(ctx, worker, "jobs/7/workers", 64, groups.ID("n42"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for group, err := range groups.Watch[int](ctx, master, "jobs/7/workers") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(group.Members), "here")
		if len(group.Members) == 0 {
			return
		}
		if err := me.Leave(ctx); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 1 here
	// 0 here
}

func ExampleDiscover() {
	srv := servertest.MustStart()
	defer srv.Close()
	manager, scheduler := srv.MustDial(), srv.MustDial()
	ctx := context.Background()

	reg, err := groups.Register(ctx, manager, groups.Instance{
		Service: "appmgr", Flavor: "slurm", Version: "1.6.2", Host: "am3.gw", Port: 9930,
		Meta: map[string]string{"cluster": "bigred"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reg.Close()

	managers := groups.Discover(ctx, scheduler, "appmgr", groups.Select("flavor=slurm, version>=1.5, meta.cluster=bigred"))
	defer managers.Close()
	pick, err := managers.Pick(ctx, groups.LeastLoaded())
	if errors.Is(err, groups.ErrNoInstance) {
		fmt.Println("keep the job until there is one")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("launch at", pick.Addr())
	pick.Done(nil) // an error would put the instance into quarantine
	// Output: launch at am3.gw:9930
}

func ExampleSelect() {
	srv := servertest.MustStart()
	defer srv.Close()
	ctx := context.Background()
	d := groups.Discover(ctx, srv.MustDial(), "appmgr", groups.Select("flavor=slurm, load<high"))
	defer d.Close()
	fmt.Println(errors.Unwrap(d.Synced(ctx)))
	// Output: select "flavor=slurm, load<high": column 20, at "high": "high" is not a number
}
