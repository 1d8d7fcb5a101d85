package fence

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
)

// FuzzHeader sends anything as the token of a request: the resource is reached with the number that is there, or not at all.
func FuzzHeader(f *testing.F) {
	f.Add("PUT", "/x", "7")
	f.Add("POST", "", "-1")
	f.Add("DELETE", "/a/../b", "0x10")
	f.Add("PATCH", "/", "18446744073709551616")
	f.Add("HEAD", "/", "")
	f.Fuzz(func(t *testing.T, method, path, token string) {
		var admitted []uint64
		guard := guardFunc(func(_ context.Context, _ string, token uint64) error {
			admitted = append(admitted, token)
			return nil
		})
		reached := false
		h := HTTPMiddleware(guard, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			reached = true
			if got, ok := FromContext(r.Context()); ok != (len(admitted) == 1) || ok && got != admitted[0] {
				t.Errorf("token %d, %v, in work, after %d", got, ok, admitted)
			}
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{Header: {token}}})
		reads := method == "GET" || method == "HEAD" || method == "OPTIONS"
		n, err := strconv.ParseUint(token, 10, 64)
		switch {
		case reads && (!reached || len(admitted) > 0):
			t.Errorf("%s does not pass", method)
		case !reads && reached != (err == nil):
			t.Errorf("%s with the token %q: reached is %v", method, token, reached)
		case !reads && reached && (len(admitted) != 1 || admitted[0] != n):
			t.Errorf("%q was admitted as %d", token, admitted)
		case !reached && w.Code < 400:
			t.Errorf("status %d", w.Code)
		}
	})
}

type guardFunc func(ctx context.Context, resource string, token uint64) error

func (f guardFunc) Admit(ctx context.Context, resource string, token uint64) error {
	return f(ctx, resource, token)
}
