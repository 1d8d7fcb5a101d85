package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
		return nil, &exit{code: exitUnreachable, err: err}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return nil, errors.Join(fmt.Errorf("%s: %s", o.admin, strings.TrimSpace(string(text))), err, resp.Body.Close())
}
