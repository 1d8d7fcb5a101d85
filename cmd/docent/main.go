// Command docent runs docent's server, and does what its operator needs.
//
//	docent serve       one server on 127.0.0.1:2181, or a member of an ensemble
//	docent member      list, add and remove the members of a running ensemble, move its lead
//	docent backup      write the state of a running ensemble into a file
//	docent restore     restore a backup into an empty ensemble
//	docent check       verify the data folder of a server that is not running
//	docent version     the version of docent
//	docent help        this list; docent help VERB tells about one
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// The exit codes of every verb.
const (
	exitOK    = 0
	exitError = 1 // it failed while it ran
	exitUsage = 2 // it could not begin: bad flags, a taken port, a folder that cannot be used
)

// env is what a verb may use of the world.
type env struct {
	args           []string // behind the verb
	stdout, stderr io.Writer
	getenv         func(string) string
}

// A verb is a row of the table of verbs. Its run returns when ctx ends or its work is done.
type verb struct {
	name, summary string
	run           func(ctx context.Context, e env) error
}

func verbs() []verb {
	return []verb{
		{"serve", "run a server", serve},
		{"member", "list, add and remove members of a running ensemble, move its lead", member},
		{"backup", "write the state of a running ensemble into a file", backup},
		{"restore", "restore a backup into an empty ensemble", restore},
		{"check", "verify the data folder of a server that is not running", checkData},
		{"version", "print the version", version},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, env{args: os.Args[1:], stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}))
}

// usageError marks what keeps a verb from beginning.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func run(ctx context.Context, e env) int {
	if len(e.args) == 0 {
		help(e.stderr)
		return exitUsage
	}
	name := e.args[0]
	e.args = e.args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(e.args) == 0 {
			help(e.stdout)
			return exitOK
		}
		name, e.args = e.args[0], []string{"--help"}
	}
	for _, v := range verbs() {
		if v.name != name {
			continue
		}
		err := v.run(ctx, e)
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.As(err, new(usageError)):
			fmt.Fprintf(e.stderr, "docent %s: %v\n", name, err)
			return exitUsage
		}
		fmt.Fprintf(e.stderr, "docent %s: %v\n", name, err)
		return exitError
	}
	fmt.Fprintf(e.stderr, "docent: unknown verb %q; docent help lists them\n", name)
	return exitUsage
}

func help(w io.Writer) {
	fmt.Fprint(w, "usage: docent VERB [FLAGS]\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-10s %s\n", v.name, v.summary)
	}
	fmt.Fprint(w, "\ndocent help VERB tells about one.\n")
}

func version(_ context.Context, e env) error {
	fs := flag.NewFlagSet("version", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(e.args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(e.stdout, "usage: docent version")
		return err
	case err != nil:
		return usageError{err}
	case fs.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	v := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
	}
	_, err := fmt.Fprintln(e.stdout, "docent", v)
	return err
}
