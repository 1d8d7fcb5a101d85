package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// The exit codes of every verb. Those of 64 and above are sysexits.h's, as batch systems know them.
const (
	exitOK          = 0
	exitError       = 1   // it failed while it ran
	exitStart       = 2   // of serve: it could not begin (bad flags, a taken port, a folder that cannot be used)
	exitUsage       = 64  // the command line is wrong
	exitUnreachable = 69  // no server could be reached
	exitTemporary   = 75  // not had within --wait, or somebody else was first: try again later
	exitLost        = 76  // what was held is lost, and the child was stopped
	exitDenied      = 77  // an ACL or the authentication refuses it
	exitCannotRun   = 126 // the child cannot be executed
	exitNoCommand   = 127 // the child's program is not there
)

// exit is an error with the exit code it leads to. Without err nothing is printed: the code is the answer.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usageError marks what is wrong with the command line.
func usageError(err error) error { return &exit{code: exitUsage, err: err} }

// usagef is usageError for a message of its own.
func usagef(format string, args ...any) error { return usageError(fmt.Errorf(format, args...)) }

// report prints an error of a verb in one line, and returns the exit code.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	if e := (*exit)(nil); err != nil && (!errors.As(err, &e) || e.err != nil) {
		fmt.Fprintf(w, "%s: %v\n", cmd.CommandPath(), printable(shortened(oneLine(worded(err)))))
	}
	return exitCode(err)
}

// exitCode is the exit code that an error of a verb leads to.
func exitCode(err error) int {
	var e *exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, client.ErrNoAuth), errors.Is(err, client.ErrAuthFailed):
		return exitDenied
	case errors.Is(err, client.ErrBadArguments): // as a name that no node can have
		return exitUsage
	}
	return exitError
}

// oneLine joins the lines of a joined error. What was said before is not said again: a full disk fails more than one write.
func oneLine(err error) string {
	return strings.Join(slices.Compact(strings.Split(strings.TrimSpace(err.Error()), "\n")), "; ")
}

// shortened leaves out the middle of what nobody would read: a path or a value of somebody else's may be of any length.
func shortened(s string) string {
	const begin, end = 1500, 500
	if len(s) <= begin+end {
		return s
	}
	return strings.ToValidUTF8(s[:begin], "") + " [...] " + strings.ToValidUTF8(s[len(s)-end:], "")
}

// noArgs and exactArgs check the number of arguments behind the flags.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s is missing", names[len(args)])
		case len(args) > len(names):
			return usagef("unexpected argument %q", args[len(names)])
		}
		return filled(names, args)
	}
}

// filled refuses empty arguments, except for data: a variable that is not set would else make "$DIR" the root of the tree.
func filled(names, args []string) error {
	for i, name := range names[:min(len(names), len(args))] {
		if args[i] == "" && name != "DATA" && name != "VALUE" {
			return usagef("%s is empty: is a variable in it not set?", name)
		}
	}
	return nil
}

// parent returns a verb that only has verbs below it.
func parent(use, short string, verbs ...*cobra.Command) *cobra.Command {
	p := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: needVerb}
	p.AddCommand(verbs...)
	return p
}

// needVerb is what a command does that only has verbs below it: it tells which.
func needVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 && !cmd.HasParent() {
		_, err := io.WriteString(cmd.ErrOrStderr(), helpText(cmd))
		return &exit{code: exitUsage, err: err}
	}
	var names []string
	for _, v := range cmd.Commands() {
		if v.IsAvailableCommand() {
			names = append(names, v.Name())
		}
	}
	if cmd.HasParent() {
		last := len(names) - 1
		want := strings.Join(names[:last], ", ") + " or " + names[last]
		if len(args) == 0 {
			return usagef("want %s", want)
		}
		return usagef("%q: want %s", args[0], want)
	}
	cmd.SuggestionsMinimumDistance = min(max(len(args[0])/2, 1), 2) // of short words nearly all are near
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("unknown verb %q; did you mean %s? docent help lists all", args[0], strings.Join(near, " or "))
	}
	return usagef("unknown verb %q; docent help lists them", args[0])
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: `What docent's exit codes mean. A verb that runs a child passes on the child's
own code, and 128+N if signal N ended it.

    0  done
    1  it failed while it ran
    2  docent serve could not begin
   64  the command line is wrong
   69  no server could be reached within --connect
   75  not had within --wait, or somebody else was first: try again later
   76  what was held was lost while the child ran, and the child was stopped
   77  an ACL or the authentication refuses it
  126  the child cannot be executed
  127  the child's program is not there
  130  INT came before it was done; 143: TERM, 129: HUP. What runs until then
       ends with 0

Batch systems requeue on 75. A server or network that fails later than at the
start is waited for, as long as --wait or --timeout allow.`}
}
