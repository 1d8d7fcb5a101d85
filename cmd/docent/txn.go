package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docent-io/docent/client"
)

// txnStep is an operation of a transaction, and what it came to.
type txnStep struct {
	Op    string    `json:"op"`
	Path  string    `json:"path"`            // of a created node, with its number
	Stat  *nodeStat `json:"stat,omitempty"`  // of set and, if the server tells, create
	Error string    `json:"error,omitempty"` // why nothing of the transaction was done; the others have none, or were not tried

	line int
	add  func(t *client.Txn)
}

func txnVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "txn",
		Short: "carry out several operations, all or none",
		Long: `Reads operations from stdin, one a line, and carries out all or none. The lines
end with stdin, or with commit; abort forgets them. # begins a comment line.
Words are quoted as in shells: 'a b', "a b", a\ b; DATA may be @FILE.

    check  PATH [--version N]
    create PATH [DATA] [--sequential] [--container] [--ttl DURATION] [--acl ACL]
    set    PATH DATA [--version N]
    delete PATH [--version N]

It exits with 75 if a version is not that of the node.`,
		Example: "  printf 'check /owner --version 3\\ndelete /a\\ncreate /b new\\n' | docent txn",
		Args:    noArgs,
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		if r.attached == nil {
			if _, err := r.config(); err != nil { // before anybody types
				return err
			}
		}
		steps, err := e.txnSteps(cmd.Context(), r)
		if err != nil || len(steps) == 0 {
			return err
		}
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			t := c.Txn()
			for _, s := range steps {
				s.add(t)
			}
			results, err := t.Commit(ctx)
			return reportTxn(e, out, steps, results, err)
		})
	}
	return cmd
}

// txnSteps reads the operations.
func (e env) txnSteps(ctx context.Context, r *remote) (steps []txnStep, err error) {
	next := e.txnLines(ctx)
	for number := 1; ; number++ {
		line, err := next()
		if errors.Is(err, io.EOF) {
			return steps, nil
		}
		if err != nil {
			return nil, err
		}
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case line == "commit":
			return steps, nil
		case line == "abort":
			return nil, nil
		}
		words, err := splitWords(line)
		var step txnStep
		if err == nil {
			step, err = newStep(ctx, e, r, words)
		}
		if err != nil {
			return nil, usagef("line %d: %w", number, err)
		}
		step.line = number
		steps = append(steps, step)
	}
}

// txnLines returns a function that reads a line: of stdin, or of what is typed in a shell.
func (e env) txnLines(ctx context.Context) func() (string, error) {
	if e.attached != nil {
		return func() (string, error) { return e.attached.more("txn> ") }
	}
	in := bufio.NewReader(e.input(ctx))
	return func() (string, error) {
		line, err := in.ReadString('\n')
		if line != "" && errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	}
}

// newStep reads the operation of a line.
func newStep(ctx context.Context, e env, r *remote, words []string) (step txnStep, err error) {
	step.Op = words[0]
	fs := pflag.NewFlagSet(step.Op, pflag.ContinueOnError)
	fs.Usage = func() {}
	version, n := int32(-1), newNode{}
	wants := []string{"PATH"}
	switch step.Op {
	case "check", "delete":
		fs.Int32Var(&version, "version", -1, "")
	case "set":
		fs.Int32Var(&version, "version", -1, "")
		wants = append(wants, "DATA")
	case "create":
		n.flags(fs)
	default:
		return step, fmt.Errorf("%q: want check, create, set, delete, commit or abort", step.Op)
	}
	if err := fs.Parse(words[1:]); err != nil {
		return step, err
	}
	check := exactArgs(wants...)
	if step.Op == "create" {
		check = optionalArgs(wants, "DATA")
	}
	if err := check(nil, fs.Args()); err != nil {
		return step, err
	}
	var data []byte
	if fs.NArg() > 1 {
		if fs.Arg(1) == "-" {
			return step, errors.New("-: stdin is the transaction; use @FILE")
		}
		if data, err = e.data(ctx, fs.Arg(1)); err != nil {
			return step, err
		}
	}
	step.Path = r.path(fs.Arg(0))
	switch step.Op {
	case "check":
		step.add = func(t *client.Txn) { t.Check(step.Path, version) }
	case "delete":
		step.add = func(t *client.Txn) { t.Delete(step.Path, version) }
	case "set":
		step.add = func(t *client.Txn) { t.Set(step.Path, data, version) }
	case "create":
		options, err := n.options()
		if err != nil {
			return step, err
		}
		step.Path = n.place(step.Path, fs.Arg(0))
		step.add = func(t *client.Txn) { t.Create(step.Path, data, options...) }
	}
	return step, nil
}

// reportTxn prints what the steps came to. As JSON that is printed, too, if the transaction was refused.
func reportTxn(e env, out *output, steps []txnStep, results []client.Result, err error) error {
	var refused *client.TxnError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	for i := range steps {
		switch s := &steps[i]; {
		case refused != nil && refused.Errs[i] != nil:
			s.Error = refused.Errs[i].Error()
		case refused == nil && s.Op == "create":
			s.Path = results[i].Path
			fallthrough
		case refused == nil && s.Op == "set":
			if results[i].Stat != (client.Stat{}) {
				stat := nodeStat(results[i].Stat)
				s.Stat = &stat
			}
		}
	}
	if refused == nil || out.json {
		if err := all(out, e.stdout, steps, func(w io.Writer) error { return writeSteps(w, steps) }); err != nil {
			return err
		}
	}
	if refused != nil {
		s := steps[refused.Index]
		return fmt.Errorf("nothing done: line %d, %s %s: %w", s.line, s.Op, s.Path, refused.Unwrap())
	}
	return nil
}

func writeSteps(w io.Writer, steps []txnStep) error {
	past := map[string]string{"check": "checked", "create": "created", "set": "set", "delete": "deleted"}
	for _, s := range steps {
		line := past[s.Op] + " " + printable(s.Path)
		if s.Op == "set" && s.Stat != nil {
			line += fmt.Sprintf(" version %d", s.Stat.Version)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
