package lock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// A holder that was stopped for too long wakes up, and believes that it still holds. The store knows better.
func ExampleHeld_Token() {
	srv := servertest.MustStart()
	defer srv.Close()
	one, two := srv.MustDial(), srv.MustDial()
	ctx := context.Background()
	guard := fence.Memory()

	write := func(h *lock.Held, text string) {
		if err := guard.Admit(ctx, "orders", h.Token()); err != nil {
			fmt.Println(text, "is refused:", errors.Is(err, fence.ErrStaleToken))
			return
		}
		fmt.Println(text, "is written")
	}

	first, err := lock.New(one, "/locks/orders").Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Expire(one) // first is stopped, and its session runs out
	second, err := lock.New(two, "/locks/orders").Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	write(second, "second")
	write(first, "first")
	// Output:
	// second is written
	// first is refused: true
}

// What lies in the tree itself needs no guard: the transaction fails if the lock is no longer ours.
func ExampleHeld_Txn() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	ctx := context.Background()
	if _, err := c.Create(ctx, "/config", nil); err != nil {
		fmt.Println(err)
		return
	}
	held, err := lock.New(c, "/locks/config").Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}

	_, err = held.Txn().Set("/config", []byte("v2"), -1).Commit(ctx)
	fmt.Println("while it is held:", err)

	held.Close()
	_, err = held.Txn().Set("/config", []byte("v3"), -1).Commit(ctx)
	fmt.Println("afterwards:", errors.Is(err, client.ErrNoNode))
	// Output:
	// while it is held: <nil>
	// afterwards: true
}

// The context of what is held ends with it, and says why.
func ExampleHeld_Context() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()

	err := lock.Do(context.Background(), c, "/locks/orders", func(ctx context.Context, h *lock.Held) error {
		srv.Expire(c) // in life: silence, for longer than the session lasts

		<-ctx.Done() // every call that is given ctx returns now
		return context.Cause(ctx)
	})
	fmt.Println(errors.Is(err, client.ErrSessionExpired))
	// Output: true
}

// The programs on the page are parts of the examples in this package, which are run.
func TestWhatALockGivesYou(t *testing.T) {
	page, err := os.ReadFile("../docs/what-a-lock-gives-you.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder
	for _, name := range []string{"what_a_lock_gives_you_test.go", "example_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		examples.WriteString(withoutIndent(string(text)))
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 4 {
		t.Errorf("%d programs on the page", len(blocks))
	}
	for _, b := range blocks {
		code, _, _ := strings.Cut(b, "```")
		if !strings.Contains(examples.String(), withoutIndent(code)) {
			t.Errorf("no example contains\n%s", code)
		}
	}
}

func withoutIndent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	return b.String()
}
