package fence

import (
	"context"
	"errors"
	"net/http"
	"strconv"
)

// Header is the header in which a request carries its token, in decimal.
const Header = "Fencing-Token"

// HTTPMiddleware lets a request that may change something pass to h only with a token that g admits for the path of its
// URL. GET, HEAD and OPTIONS pass without. Answers: 428 when there is no token, 400 when it is no number, 412 when it is
// stale, 503 when g fails.
//
// A request that was admitted may still be under way when a higher token is admitted. Where that matters, let h check
// once more in the transaction that does the work, with the token of [FromContext].
func HTTPMiddleware(g Guard, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			h.ServeHTTP(w, r)
			return
		}
		text := r.Header.Get(Header)
		if text == "" {
			http.Error(w, "the header "+Header+" is missing", http.StatusPreconditionRequired)
			return
		}
		token, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			http.Error(w, "the header "+Header+" is not a number", http.StatusBadRequest)
			return
		}
		switch err := g.Admit(r.Context(), r.URL.Path, token); {
		case errors.Is(err, ErrStaleToken):
			http.Error(w, err.Error(), http.StatusPreconditionFailed)
		case err != nil:
			http.Error(w, "the token cannot be checked", http.StatusServiceUnavailable)
		default:
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
		}
	})
}

type tokenKey struct{}

// FromContext returns the token under which HTTPMiddleware has let a request pass, if there is one.
func FromContext(ctx context.Context) (token uint64, ok bool) {
	token, ok = ctx.Value(tokenKey{}).(uint64)
	return token, ok
}
