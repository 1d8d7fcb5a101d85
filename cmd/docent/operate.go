package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// operator is what the verbs that speak with a server's address for operators have in common.
type operator struct {
	getenv      func(string) string
	admin, auth string
	sends       string // the type of what requests carry
}

// addOperator gives a verb the flags that say which server, and who asks.
func addOperator(cmd *cobra.Command, e env) *operator {
	o := &operator{getenv: e.getenv, sends: "application/octet-stream"}
	cmd.Flags().StringVar(&o.admin, "admin", "", "`address` for operators (--admin-listen) of a server; or DOCENT_ADMIN")
	cmd.Flags().StringVar(&o.auth, "auth", "", "`USER:PASSWORD` that may do everything on /, if not everybody may; or DOCENT_AUTH")
	return o
}

// complete takes from the environment what no flag gave.
func (o *operator) complete() error {
	if o.admin == "" {
		o.admin = o.getenv("DOCENT_ADMIN")
	}
	if o.auth == "" {
		o.auth = o.getenv("DOCENT_AUTH")
	}
	if o.admin == "" {
		return usagef("--admin is missing: the address for operators of a server")
	}
	return errors.Join(checkAdmin(o.admin), checkAuth(o.auth))
}

// checkAdmin refuses what is no address for operators.
func checkAdmin(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || strings.ContainsAny(host, " /?#@%") {
		return usagef("--admin %q: want HOST:PORT", addr)
	}
	return nil
}

// checkAuth refuses what no user and password can be read from. The text is not told: it is secret.
func checkAuth(auth string) error {
	if auth != "" && !strings.Contains(auth, ":") {
		return usagef("--auth, or what stands for it: want USER:PASSWORD")
	}
	return nil
}

// request carries out one command. An answer that is no success is an error with the server's words.
func (o *operator) request(ctx context.Context, method, command string, query url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: o.admin, Path: "/commands/" + command, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", o.sends)
	if o.auth != "" {
		req.Header.Set("Authorization", "digest "+o.auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, o.unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	err = errors.Join(fmt.Errorf("%s: %s", o.admin, strings.TrimSpace(string(text))), err, resp.Body.Close())
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		err = &exit{code: exitDenied, err: err}
	}
	return nil, err
}

// unreachable says why a request got no answer, without the request's own URL. What we were told meanwhile comes first.
func (o *operator) unreachable(ctx context.Context, err error) error {
	if told := (*exit)(nil); errors.As(context.Cause(ctx), &told) {
		return fmt.Errorf("%s: %w", o.admin, told)
	}
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err
	}
	return &exit{code: exitUnreachable, err: fmt.Errorf("--admin %s: %w", o.admin, err)}
}
