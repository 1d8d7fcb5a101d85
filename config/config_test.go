package config_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

const path = "/config/appmgr/slurm"

type settings struct {
	Queue string
	Jobs  int
}

func sane(s settings) error {
	if s.Jobs < 1 {
		return fmt.Errorf("%d jobs", s.Jobs)
	}
	return nil
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(ctx context.Context, t *testing.T, c *client.Client, data string) {
	t.Helper()
	_, err := c.Create(ctx, path, []byte(data), client.Parents())
	if errors.Is(err, client.ErrNodeExists) {
		_, err = c.Set(ctx, path, []byte(data), -1)
	}
	must(t, err)
}

func watch(ctx context.Context, t *testing.T, c *client.Client, o ...config.Option[settings]) *config.Value[settings] {
	t.Helper()
	v, err := config.Watch(ctx, c, path, o...)
	must(t, err)
	t.Cleanup(v.Close)
	return v
}

func TestLoad(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	if _, _, err := config.Load[settings](ctx, c, path); !errors.Is(err, config.ErrNoConfig) {
		t.Errorf("Load of nothing = %v, want %v", err, config.ErrNoConfig)
	}
	if v, ver, err := config.Load(ctx, c, path, config.Default(settings{"d", 1})); err != nil || v.Queue != "d" || ver != (config.Version{}) {
		t.Errorf("Load of nothing with a Default = %+v, %+v, %v", v, ver, err)
	}
	put(ctx, t, c, `{"Queue":"long","Jobs":8,"Colour":"red"}`)
	v, ver, err := config.Load[settings](ctx, c, path)
	if err != nil || v != (settings{"long", 8}) || ver.Zxid == 0 || ver.Number != 0 {
		t.Errorf("Load = %+v, %+v, %v", v, ver, err)
	}
	put(ctx, t, c, `{"Jobs":0}`)
	var bad *config.RejectedError
	if _, _, err := config.Load(ctx, c, path, config.Validate(sane)); !errors.As(err, &bad) || bad.Version.Number != 1 {
		t.Errorf("Load of a bad value = %v", err)
	}
}

func TestWatch_C1_LastKnownGood(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	put(ctx, t, a, `{"Queue":"long","Jobs":8}`)
	v := watch(ctx, t, b, config.Validate(sane))
	if v.Get() != (settings{"long", 8}) || v.Err() != nil || v.Version().Zxid == 0 || v.Stale() {
		t.Fatalf("at first %+v, %v", v.Get(), v.Err())
	}
	first := v.Version()
	steps := []struct{ data, bad string }{
		{`{"Queue":"short","Jobs":0}`, "0 jobs"},
		{`{"Queue":`, "decode"},
		{``, "decode"},
		{`{"Queue":"short","Jobs":4}`, ""},
	}
	i := 0
	for got, err := range v.Changes(ctx) {
		switch {
		case i == 0:
		case i < len(steps):
			var bad *config.RejectedError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), steps[i-1].bad) || int(bad.Version.Number) != i {
				t.Errorf("step %d: error %v", i, err)
			}
			if got != (settings{"long", 8}) || v.Get() != got || v.Version() != first || !errors.Is(v.Err(), bad) {
				t.Errorf("step %d: %+v, %+v at %+v", i, got, v.Get(), v.Version())
			}
		default:
			if err != nil || got != (settings{"short", 4}) || v.Err() != nil || !v.Version().Newer(first) {
				t.Errorf("in the end: %+v, %v", got, err)
			}
		}
		if i == len(steps) {
			break
		}
		put(ctx, t, a, steps[i].data)
		i++
	}
}

func TestWatch_C2_KeepsWhatWasDeleted(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	put(ctx, t, c, `{"Jobs":8}`)
	v := watch(ctx, t, c)
	must(t, c.Delete(ctx, path, -1))
	for got, err := range v.Changes(ctx) {
		if errors.Is(err, config.ErrNoConfig) {
			if got.Jobs != 8 || !errors.Is(v.Err(), config.ErrNoConfig) {
				t.Errorf("after the deletion: %+v, %v", got, v.Err())
			}
			break
		}
		must(t, err)
	}
	// Deleted and made anew with the same version: still a change (2.11, row CuratorCache).
	put(ctx, t, c, `{"Jobs":9}`)
	for got, err := range v.Changes(ctx) {
		if err == nil && got.Jobs == 9 {
			break
		}
	}
}

func TestWatchDefault(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	v := watch(ctx, t, c, config.Default(settings{"d", 1}), config.Validate(sane))
	if v.Get().Queue != "d" || v.Err() != nil || v.Version() != (config.Version{}) {
		t.Errorf("at first %+v, %v", v.Get(), v.Err())
	}
	put(ctx, t, c, `{"Jobs":-1}`)
	for got, err := range v.Changes(ctx) {
		if err != nil {
			if got.Queue != "d" {
				t.Errorf("a bad first value: %+v, %v", got, err)
			}
			break
		}
	}
	put(ctx, t, c, `{"Jobs":2}`)
	for got := range v.Changes(ctx) {
		if got.Jobs == 2 {
			break
		}
	}
}

func TestWatchWaitsForTheFirstGoodValue(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	over, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := config.Watch[settings](over, b, path); !errors.Is(err, config.ErrNoConfig) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Watch of nothing = %v", err)
	}
	put(ctx, t, a, `{"Jobs":0}`)
	out := make(chan settings, 1)
	go func() {
		v, err := config.Watch(ctx, b, path, config.Validate(sane))
		if err != nil {
			t.Error(err)
			return
		}
		defer v.Close()
		out <- v.Get()
	}()
	put(ctx, t, a, `{"Jobs":3}`)
	if got := <-out; got.Jobs != 3 {
		t.Errorf("Watch = %+v", got)
	}
}

func TestWatch_C3_SurvivesSessionAndServer(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t, servertest.OnDisk()), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	put(ctx, t, a, `{"Jobs":1}`)
	v := watch(ctx, t, b)
	await := func(jobs int) {
		t.Helper()
		for got, err := range v.Changes(ctx) {
			must(t, err)
			if got.Jobs == jobs {
				return
			}
		}
	}
	srv.Expire(b)
	put(ctx, t, a, `{"Jobs":2}`)
	await(2)
	srv.Kill()
	testkit.Eventually(t, "the value to be stale", v.Stale)
	if v.Get().Jobs != 2 || v.Err() != nil {
		t.Errorf("without a server: %+v, %v", v.Get(), v.Err())
	}
	srv.Restart()
	put(ctx, t, a, `{"Jobs":3}`)
	await(3)
}

func TestValueAfterClose(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	put(ctx, t, c, `{"Jobs":1}`)
	v := watch(ctx, t, c)
	v.Close()
	v.Close()
	if v.Get().Jobs != 1 || !errors.Is(v.Err(), recipes.ErrReleased) {
		t.Errorf("after Close: %+v, %v", v.Get(), v.Err())
	}
	var last error
	for _, last = range v.Changes(ctx) {
	}
	if !errors.Is(last, recipes.ErrReleased) {
		t.Errorf("Changes ended by %v", last)
	}
}

func add(ctx context.Context, c *client.Client, jobs int, o ...config.Option[settings]) (settings, error) {
	return config.Update(ctx, c, path, func(s settings) (settings, error) {
		s.Jobs += jobs
		return s, nil
	}, o...)
}

func TestUpdate(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	if got, err := add(ctx, c, 2); err != nil || got.Jobs != 2 { // from nothing
		t.Fatalf("Update = %+v, %v", got, err)
	}
	if got, err := add(ctx, c, 3, config.Validate(sane)); err != nil || got.Jobs != 5 {
		t.Fatalf("Update = %+v, %v", got, err)
	}
	if _, err := add(ctx, c, -9, config.Validate(sane)); err == nil {
		t.Error("a bad value was written")
	}
	failed := errors.New("failed")
	if _, err := config.Update(ctx, c, path, func(s settings) (settings, error) { return s, failed }); !errors.Is(err, failed) {
		t.Errorf("Update = %v, want the function's error", err)
	}
	before, ver, err := config.Load[settings](ctx, c, path)
	if err != nil || before.Jobs != 5 || ver.Number != 1 {
		t.Errorf("Load = %+v, %+v, %v", before, ver, err)
	}
	if _, err := add(ctx, c, 0); err != nil { // no change, no write
		t.Error(err)
	}
	if _, after, err := config.Load[settings](ctx, c, path); err != nil || after != ver {
		t.Errorf("an update that changed nothing wrote %+v, %v", after, err)
	}
	put(ctx, t, c, "broken")
	var bad *config.RejectedError
	if _, err := add(ctx, c, 1); !errors.As(err, &bad) {
		t.Errorf("Update of a broken value = %v", err)
	}
}

func TestUpdateFromDefaultWithCodec(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	text := config.WithCodec(recipes.Text())
	got, err := config.Update(ctx, c, path, func(s string) (string, error) { return s + "!", nil }, text, config.Default("hello"))
	if err != nil || got != "hello!" {
		t.Fatalf("Update = %q, %v", got, err)
	}
	if node, err := c.Get(ctx, path); err != nil || string(node.Data) != "hello!" {
		t.Errorf("written as %q, %v", node.Data, err)
	}
}

func TestUpdate_C4_NoneIsLost(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	var all sync.WaitGroup
	for range 8 {
		c := srv.Dial(t)
		all.Go(func() {
			for range 25 {
				if _, err := add(ctx, c, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, _, err := config.Load[settings](ctx, srv.Dial(t), path); err != nil || got.Jobs != 200 {
		t.Errorf("after 200 updates: %+v, %v", got, err)
	}
}

// RECIPES.md 2.12: the reply to a successful conditional set is lost, and the retry must not add again.
func TestUpdate_C4_LostReply(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	must(t, add1(ctx, c))
	for _, op := range []string{"create", "setData"} {
		if op == "create" {
			must(t, c.Delete(ctx, path, -1))
		}
		srv.Inject(servertest.DropReply(op, 1))
		if err := add1(ctx, c); !errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("%s: Update = %v, want %v", op, err, client.ErrMaybeApplied)
		}
	}
	if got, _, err := config.Load[settings](ctx, c, path); err != nil || got.Jobs != 2 {
		t.Errorf("each counts once: %+v, %v", got, err)
	}
	srv.Inject(servertest.DropRequest("setData", 1))
	must(t, add1(ctx, c)) // certainly not applied: tried again
	for _, op := range []string{"create", "setData"} {
		if op == "create" {
			must(t, c.Delete(ctx, path, -1))
		}
		srv.Inject(servertest.DropReply(op, 1))
		got, err := config.Update(ctx, c, path, func(s settings) (settings, error) { // one that may be repeated
			s.Queue = op
			return s, nil
		})
		if err != nil || got.Queue != op {
			t.Errorf("%s: Update = %+v, %v", op, got, err)
		}
	}
}

func add1(ctx context.Context, c *client.Client) error {
	_, err := add(ctx, c, 1)
	return err
}

// A lost reply while others write: whoever cannot tell says so, and the others add exactly once.
func TestUpdate_C4_LostRepliesAmongOthers(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	sure, unsure := 0, 0
	for range 4 {
		c := srv.Dial(t)
		all.Go(func() {
			for range 25 {
				_, err := add(ctx, c, 1)
				mu.Lock()
				switch {
				case err == nil:
					sure++
				case errors.Is(err, client.ErrMaybeApplied):
					unsure++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	for range 10 {
		srv.Inject(servertest.DropReply("setData", 7))
	}
	all.Wait()
	got, _, err := config.Load[settings](ctx, srv.Dial(t), path)
	if err != nil || got.Jobs < sure || got.Jobs > sure+unsure {
		t.Errorf("%d updates succeeded and %d may have: %+v, %v", sure, unsure, got, err)
	}
}
