package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// operator is what the verbs that speak with a server's address for operators have in common.
type operator struct {
	fs          *flag.FlagSet
	admin, auth string
	sends       string // the type of what requests carry
}

func newOperator(verb string) *operator {
	o := &operator{fs: flag.NewFlagSet(verb, flag.ContinueOnError), sends: "application/octet-stream"}
	o.fs.SetOutput(io.Discard)
	o.fs.StringVar(&o.admin, "admin", "", "`address` for operators (--admin-listen) of a server; or DOCENT_ADMIN")
	o.fs.StringVar(&o.auth, "auth", "", "`USER:PASSWORD` that may do everything on /, if not everybody may; or DOCENT_AUTH")
	return o
}

// parse reads the flags and the one argument behind them.
func (o *operator) parse(e env, help string) (arg string, err error) {
	arg, err = parseOne(o.fs, e, help)
	if err != nil {
		return "", err
	}
	return arg, o.complete(e)
}

// complete takes from the environment what no flag gave.
func (o *operator) complete(e env) error {
	if o.admin == "" {
		o.admin = e.getenv("DOCENT_ADMIN")
	}
	if o.auth == "" {
		o.auth = e.getenv("DOCENT_AUTH")
	}
	if o.admin == "" {
		return usageError{errors.New("--admin is missing: the address for operators of a server")}
	}
	return nil
}

// parseOne reads flags and exactly one argument behind them.
func parseOne(fs *flag.FlagSet, e env, help string) (string, error) {
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(e.args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(e.stdout, help)
		fs.SetOutput(e.stdout)
		fs.PrintDefaults()
		return "", err
	case err != nil:
		return "", usageError{err}
	case fs.NArg() != 1:
		return "", usageError{fmt.Errorf("want one argument behind the flags, not %d", fs.NArg())}
	}
	return fs.Arg(0), nil
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
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return nil, errors.Join(fmt.Errorf("%s: %s", o.admin, strings.TrimSpace(string(text))), err, resp.Body.Close())
}
