package recipes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// soon bounds what must not take long.
const soon = 10 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func session(t testing.TB, c *client.Client) *client.Session {
	t.Helper()
	s, err := c.Session(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, ops client.Ops, path, data string, o ...client.CreateOption) client.Node {
	t.Helper()
	node, err := ops.Create(within(t, soon), path, []byte(data), append(o, client.Parents())...)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func remove(t testing.TB, ops client.Ops, path string) {
	t.Helper()
	if err := ops.Delete(within(t, soon), path, -1); err != nil {
		t.Fatal(err)
	}
}

func set(t testing.TB, ops client.Ops, path, data string) {
	t.Helper()
	if _, err := ops.Set(within(t, soon), path, []byte(data), -1); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until the node at path is there with the given data, or, with "-", not there, and returns it.
func waitFor(t testing.TB, c *client.Client, path, data string) client.Node {
	t.Helper()
	ctx := within(t, soon)
	look := func(ctx context.Context, s *client.Session) (client.Node, *client.Watch, error) {
		for {
			_, ok, w, err := s.ExistsW(ctx, path)
			if err != nil || !ok {
				return client.Node{}, w, err
			}
			node, err := s.Get(ctx, path)
			if err == nil {
				return node, w, nil
			}
			w.Close()
			if !errors.Is(err, client.ErrNoNode) {
				return client.Node{}, nil, err
			}
		}
	}
	last := ""
	for node, err := range recipes.Follow(ctx, c, look) {
		if err != nil {
			t.Fatalf("waiting for %q at %s: %v, and it is %q", data, path, err, last)
		}
		if last = string(node.Data); node.Path == "" {
			last = "-"
		}
		if last == data {
			return node
		}
	}
	return client.Node{}
}

func mustEnd(t testing.TB, ctx context.Context, want error) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(soon):
		t.Fatal("context does not end")
	}
	if cause := context.Cause(ctx); !errors.Is(cause, want) {
		t.Errorf("cause = %v, want %v", cause, want)
	}
}

func TestCodecs(t *testing.T) {
	type value struct{ A int }
	data, err := recipes.JSON[value]().Encode(value{7})
	if err != nil || string(data) != `{"A":7}` {
		t.Errorf("Encode = %s, %v", data, err)
	}
	if v, err := recipes.JSON[value]().Decode([]byte(`{"A":8,"B":"newer"}`)); err != nil || v.A != 8 {
		t.Errorf("Decode = %v, %v", v, err)
	}
	for _, bad := range []string{"", "{", `{"A":"x"}`} {
		if _, err := recipes.JSON[value]().Decode([]byte(bad)); err == nil {
			t.Errorf("Decode(%q) succeeded", bad)
		}
	}
	if _, err := recipes.JSON[func()]().Encode(nil); err == nil {
		t.Error("a function was encoded")
	}
	if s, err := recipes.Text().Decode([]byte("text")); err != nil || s != "text" {
		t.Errorf("Decode = %q, %v", s, err)
	}
	raw := []byte("raw")
	b, err := recipes.Bytes().Decode(raw)
	raw[0] = 'x'
	if err != nil || string(b) != "raw" {
		t.Errorf("Decode = %q, %v", b, err)
	}
}
