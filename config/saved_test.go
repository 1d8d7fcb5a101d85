package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

func dialler(t *testing.T, srv *servertest.Server) func(context.Context) (*client.Client, error) {
	return func(ctx context.Context) (*client.Client, error) {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}})
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return c, err
	}
}

// patient returns a context that ends soon: how long these tests wait for an ensemble that is not there.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// C7: who starts while the ensemble is away begins with the last good value, and goes over to the ensemble's.
func TestWatchSaved_C7(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	file := filepath.Join(t.TempDir(), "slurm.json")
	a := srv.Dial(t)
	put(ctx, t, a, `{"Queue":"long","Jobs":8}`)
	v, err := config.WatchSaved(ctx, dialler(t, srv), path, file, config.Validate(sane))
	must(t, err)
	put(ctx, t, a, `{"Queue":"long","Jobs":9}`)
	for got, err := range v.Changes(ctx) {
		if err == nil && got.Jobs == 9 {
			put(ctx, t, a, `{"Queue":"bad","Jobs":0}`) // is not saved
		}
		if err != nil {
			break
		}
	}
	if v.Saved() != nil || v.Stale() {
		t.Errorf("saved: %v, stale: %v", v.Saved(), v.Stale())
	}
	version := v.Version()
	v.Close()

	put(ctx, t, a, `{"Queue":"long","Jobs":10}`)
	srv.Kill()
	v, err = config.WatchSaved(patient(t), dialler(t, srv), path, file, config.Validate(sane))
	must(t, err)
	defer v.Close()
	if v.Get() != (settings{"long", 9}) || v.Version() != version || !v.Stale() || !errors.Is(v.Err(), config.ErrSaved) {
		t.Errorf("without an ensemble: %+v, %+v, stale %v, %v", v.Get(), v.Version(), v.Stale(), v.Err())
	}
	srv.Restart()
	for got, err := range v.Changes(ctx) {
		if err == nil && got.Jobs == 10 {
			break
		}
	}
	if v.Stale() || v.Err() != nil || !v.Version().Newer(version) {
		t.Errorf("with an ensemble: stale %v, %v", v.Stale(), v.Err())
	}
}

func TestWatchSavedWithoutACopy(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	srv.Kill()
	dir := t.TempDir()
	for what, content := range map[string]string{
		"none": "", "half of one": `{"Path":"/config/appmgr/slurm","Da`, "another's": `{"Path":"/x","Data":"e30="}`,
		"a bad one": `{"Path":"/config/appmgr/slurm","Data":"e30="}`,
	} {
		file := filepath.Join(dir, what)
		if content != "" {
			must(t, os.WriteFile(file, []byte(content), 0o600))
		}
		v, err := config.WatchSaved(patient(t), dialler(t, srv), path, file, config.Validate(sane))
		if err == nil {
			t.Errorf("with %s it shows %+v", what, v.Get())
			v.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with %s: %v", what, err)
		}
	}
}

func TestWatchSavedThatCannotBe(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	put(ctx, t, srv.Dial(t), `{"Jobs":8}`)
	v, err := config.WatchSaved[settings](ctx, dialler(t, srv), path, filepath.Join(t.TempDir(), "none", "slurm.json"))
	must(t, err)
	if v.Get().Jobs != 8 || v.Saved() == nil {
		t.Errorf("%+v, saved: %v", v.Get(), v.Saved())
	}
	v.Close()
	for _, err := range v.Changes(ctx) {
		if err != nil && !errors.Is(err, recipes.ErrReleased) {
			t.Errorf("ended by %v", err)
		}
	}
}
