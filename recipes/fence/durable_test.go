package fence_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docent-io/docent/recipes/fence"
)

func TestFile_SurvivesARestart(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "tokens")
	for _, step := range []struct {
		resource string
		token    uint64
		stale    bool
	}{{"a", 7, false}, {"a", 7, false}, {"b", 1, false}, {"a", 9, false}, {"a", 8, true}, {"b", 0, true}, {"c", 1<<63 + 1, false}, {"c", 9, true}} {
		err := fence.File(path).Admit(ctx, step.resource, step.token) // a new guard each time: all it knows is in the file
		if got := errors.Is(err, fence.ErrStaleToken); got != step.stale || err != nil && !got {
			t.Errorf("Admit(%s, %d) = %v, want stale %v", step.resource, step.token, err, step.stale)
		}
	}
	left, err := filepath.Glob(path + ".*")
	if err != nil || len(left) != 1 || left[0] != path+".lock" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFile_DamageAdmitsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	for _, content := range []string{"", "{", "null", "[]", `{"a":-1}`} {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := fence.File(path).Admit(context.Background(), "a", 1); err == nil || errors.Is(err, fence.ErrStaleToken) {
			t.Errorf("Admit with %q in the file = %v", content, err)
		}
	}
	if err := fence.File(filepath.Join(path, "no", "such")).Admit(context.Background(), "a", 1); err == nil {
		t.Error("Admit without a directory succeeded")
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := fence.File(path).Admit(over, "a", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Admit = %v", err)
	}
}

// Guards of one file, as those of several processes, never let the tokens fall.
func TestFile_ConcurrentTokensNeverFall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	var mu sync.Mutex // orders what was admitted with what was seen
	var wg sync.WaitGroup
	highest := uint64(0)
	for i := range 4 {
		g := fence.File(path)
		wg.Go(func() {
			for token := uint64(i); token < 60; token += 4 {
				mu.Lock()
				floor := highest
				mu.Unlock()
				err := g.Admit(context.Background(), "x", token)
				switch {
				case err == nil && token < floor:
					t.Errorf("admitted %d after %d", token, floor)
				case err != nil && !errors.Is(err, fence.ErrStaleToken):
					t.Error(err)
				case err == nil:
					mu.Lock()
					highest = max(highest, token)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

func TestHTTPMiddleware(t *testing.T) {
	h := fence.HTTPMiddleware(fence.Memory(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := fence.FromContext(r.Context())
		fmt.Fprint(w, token, ok)
	}))
	for _, c := range []struct {
		method, path, token string
		status              int
		body                string
	}{
		{"GET", "/a", "", 200, "0 false"},
		{"PUT", "/a", "", 428, fence.Header},
		{"PUT", "/a", "x", 400, "not a number"},
		{"PUT", "/a", "-1", 400, "not a number"},
		{"PUT", "/a", "18446744073709551616", 400, "not a number"},
		{"PUT", "/a", "7", 200, "7 true"},
		{"DELETE", "/a", "8", 200, "8 true"},
		{"POST", "/a", "7", 412, "stale"},
		{"POST", "/b", "7", 200, "7 true"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.token != "" {
			r.Header.Set(fence.Header, c.token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, err := io.ReadAll(w.Body)
		if err != nil || w.Code != c.status || !strings.Contains(string(body), c.body) {
			t.Errorf("%s %s with %q: %d %s, want %d %s", c.method, c.path, c.token, w.Code, body, c.status, c.body)
		}
	}
}

type broken struct{}

func (broken) Admit(context.Context, string, uint64) error { return errors.New("disk on fire") }

func TestHTTPMiddleware_GuardFails(t *testing.T) {
	h := fence.HTTPMiddleware(broken{}, http.NotFoundHandler())
	r := httptest.NewRequest("PUT", "/a", nil)
	r.Header.Set(fence.Header, "1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
