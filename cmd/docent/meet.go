package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// endPatience bounds how long a verb that was told to end tidies up.
const endPatience = 3 * time.Second

// patience is how long a verb waits for what may come.
type patience struct {
	d   time.Duration
	set func() bool // by the flag; otherwise there is no limit
}

// addPatience gives a verb --wait. what says what it waits for, and what happens then.
func addPatience(cmd *cobra.Command, what string) *patience {
	p := &patience{set: func() bool { return cmd.Flags().Changed("wait") }}
	cmd.Flags().DurationVar(&p.d, "wait", 0, what)
	return p
}

// check refuses a wait that cannot be.
func (p *patience) check() error {
	if p.d < 0 {
		return usagef("--wait %v: want a time, or 0 not to wait", p.d)
	}
	return nil
}

// tries tells whether the verb only tries.
func (p *patience) tries() bool { return p.set() && p.d == 0 }

// bound returns the context of waiting: it ends with exit code 75 and the reason late.
func (p *patience) bound(ctx context.Context, late string) (context.Context, context.CancelFunc) {
	if !p.set() || p.d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, p.d, tooLate("%s within %v", late, p.d))
}

// tooLate is why a verb ends with 75: try again later.
func tooLate(format string, args ...any) error {
	return &exit{code: exitTemporary, err: fmt.Errorf(format, args...)}
}

// meet connects, calls f, and says what f fails with. A verb calls its checks before.
func (r *remote) meet(ctx context.Context, f func(ctx context.Context, c *client.Client) error) error {
	c, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return inWords(ctx, plainly(f(ctx, c)))
}

// plainly leaves out of an error what it has come through, if at its root is a message of our own.
func plainly(err error) error {
	var e *exit
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, client.ErrBadArguments):
		return usageError(err)
	}
	return err
}

// told returns nil in place of the error that something ended with because the verb was told to end. Streams and
// whatever else runs until it is told have then done what they were for, and end with 0.
func told(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// nodePath is a path as people write it, with or without the slash at its beginning.
func nodePath(arg string) string { return "/" + strings.Trim(arg, "/") }

// someArgs checks that there are at least the arguments named.
func someArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s is missing", names[len(args)])
		}
		return filled(names, args)
	}
}

// decodeExactly reads JSON for templates, with numbers as they are written.
func decodeExactly(text []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return v, nil
}

// legible is s as one word of a line: as it is, or quoted where a space or what cannot be printed would blur it.
func legible(s string) string {
	if s == "" || s != printable(s) || strings.ContainsAny(s, " \"'=\\") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// sortedKeys are the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
