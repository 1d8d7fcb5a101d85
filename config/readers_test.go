package config_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// described puts a list of readers into words.
func described(list []config.Reader) (text string) {
	number := func(n *int32) string {
		if n == nil {
			return "none"
		}
		return fmt.Sprint(*n)
	}
	for _, r := range list {
		text += fmt.Sprintf("%s has %s, refuses %s %s; ", r.ID, number(r.Version), number(r.Refused), r.Error)
	}
	return text
}

func awaitReaders(t *testing.T, c *client.Client, want string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("the readers are: %s", got)
		}
	}()
	testkit.Eventually(t, "readers: "+want, func() bool {
		list, err := config.Readers(t.Context(), c, path)
		must(t, err)
		got = described(list)
		return got == want
	})
}

// Who follows a value tells which version it has, and which it refuses, until it ends; also after its session was lost.
func TestReaders(t *testing.T) {
	srv := servertest.New(t)
	ctx, operator := testContext(t), srv.Dial(t)
	if list, err := config.Readers(ctx, operator, path); err != nil || list != nil {
		t.Fatalf("before anybody reads: %v, %v", list, err)
	}
	_, err := operator.Create(ctx, path, []byte(`{"Jobs":3}`), client.Parents())
	must(t, err)
	dial := func(id string) *client.Client {
		c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}, Identity: id})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	strictly, patiently := dial("strict"), dial("tolerant")
	strict, err := config.Watch(ctx, strictly, path, config.Validate(sane))
	must(t, err)
	tolerant, err := config.Watch[settings](ctx, patiently, path)
	must(t, err)
	defer tolerant.Close()
	ends := make(chan error, 2)
	first, stop := context.WithCancel(ctx)
	go func() { ends <- strict.Announce(ctx, strictly) }()
	go func() { ends <- tolerant.Announce(first, patiently) }()
	awaitReaders(t, operator, "strict has 0, refuses none ; tolerant has 0, refuses none ; ")

	_, err = operator.Set(ctx, path, []byte(`{"Jobs":0}`), -1)
	must(t, err)
	awaitReaders(t, operator, "strict has 0, refuses 1 0 jobs; tolerant has 1, refuses none ; ")
	srv.Expire(strictly) // what it announced is gone when this returns
	awaitReaders(t, operator, "strict has 0, refuses 1 0 jobs; tolerant has 1, refuses none ; ")

	stop()
	must(t, <-ends)
	awaitReaders(t, operator, "strict has 0, refuses 1 0 jobs; ")
	strict.Close()
	must(t, <-ends)
	awaitReaders(t, operator, "")
	if _, ok, err := operator.Exists(ctx, path); err != nil || !ok {
		t.Errorf("the value is gone: %v", err)
	}
}

// Who reads by other means announces what it says of itself; what is no announcement is left out.
func TestAnnounce(t *testing.T) {
	srv := servertest.New(t)
	ctx, c := testContext(t), srv.Dial(t)
	states, end := make(chan config.Reader), make(chan error)
	go func() { end <- config.Announce(ctx, c, path, states) }()
	version := int32(4)
	states <- config.Reader{ID: "legacy", Version: &version}
	states <- config.Reader{ID: "legacy", Version: &version, Error: "a stranger"}
	_, err := c.Create(ctx, "/config-readers"+path+"/rubbish", []byte("{"), client.Parents())
	must(t, err)
	awaitReaders(t, c, "legacy has 4, refuses none a stranger; ")
	close(states)
	must(t, <-end)
	awaitReaders(t, c, "")
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if err := config.Announce(ctx, c, path, make(chan config.Reader)); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func ExampleReaders() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	if _, err := c.Create(ctx, "/limits", []byte("10")); err != nil {
		fmt.Println(err)
		return
	}
	limit, err := config.Watch[int](ctx, c, "/limits")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer limit.Close()
	announced, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- limit.Announce(announced, c) }()
	for { // until it is there
		readers, err := config.Readers(ctx, c, "/limits")
		if err != nil || len(readers) > 0 {
			fmt.Println(len(readers), "reader, with version", *readers[0].Version, err)
			break
		}
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// 1 reader, with version 0 <nil>
	// <nil>
}
