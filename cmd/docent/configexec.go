package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/cmd/docent/internal/child"
	"github.com/docent-io/docent/config"
)

// onlyConfigChild are the variables that config exec sets for its child.
var onlyConfigChild = []string{"DOCENT_CONFIG_FILE", "DOCENT_CONFIG_VERSION"}

func configExecVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec PATH -- COMMAND [ARGUMENT...]",
		Short: "run a command with a value in a file, and tell it of changes",
		Long: `Runs a command that finds the value in the file DOCENT_CONFIG_FILE. On a change
the file is replaced as a whole, and the command gets --signal; or it gets TERM,
and KILL after --grace, and is started anew (--restart). What was JSON must stay
JSON: a value that is none, or a missing one, leaves all as it is. While no
server can be reached nothing changes. Ends with the command's exit code.`,
		Example: "  docent config exec config/web --file web.conf --signal HUP -- web -c web.conf",
		Args:    wrapArgs("PATH"),
	}
	r := addRemote(cmd, e)
	x := &configExec{e: e, cmd: cmd}
	fs := cmd.Flags()
	signal := fs.String("signal", "", "`name` of the signal that tells of a change, as HUP or USR1")
	fs.BoolVar(&x.restart, "restart", false, "end the command on a change, and start it anew")
	fs.DurationVar(&x.grace, "grace", 10*time.Second, "time for it between TERM and KILL then")
	fs.StringVar(&x.file, "file", "", "`file` for the value (default: one of its own, which is deleted at the end)")
	x.wait = addPatience(cmd, "how long to wait for the first value; then 75 (default: for ever)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if x.signal, err = parseSignal(*signal); err != nil {
			return err
		}
		switch {
		case x.restart == (*signal != ""):
			return usagef("want either --signal or --restart")
		case x.grace < 0:
			return usagef("--grace %v: want a time", x.grace)
		}
		if err := x.wait.check(); err != nil {
			return err
		}
		if x.program, err = lookUp(args[1]); err != nil {
			return err
		}
		x.argv = args[1:]
		x.signals = make(chan os.Signal, 64)
		child.Notify(x.signals)
		child.Deliver(x.signal)
		return r.meet(context.WithoutCancel(cmd.Context()), func(ctx context.Context, c *client.Client) error { return x.run(ctx, c, nodePath(args[0])) })
	}
	return cmd
}

// parseSignal reads the name of a signal, with or without SIG. None is zero.
func parseSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return 0, nil
	}
	known := signalNames()
	sig, ok := known[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	if !ok {
		return 0, usagef("--signal %q: want one of %s", name, strings.Join(sortedKeys(known), ", "))
	}
	return sig, nil
}

// configExec runs a command with a value in a file.
type configExec struct {
	e       env
	cmd     *cobra.Command
	wait    *patience
	signal  syscall.Signal
	restart bool
	grace   time.Duration
	file    string
	program string
	argv    []string
	signals chan os.Signal

	values  chan setting
	failed  chan error
	states  chan config.Reader // what others may see of it: the last one counts
	who     string
	present setting // what the child has
}

// run follows the value and runs the child until that ends.
func (x *configExec) run(ctx context.Context, c *client.Client, path string) error {
	if x.file == "" {
		dir, err := os.MkdirTemp("", "docent-config-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		x.file = filepath.Join(dir, baseName(path))
	}
	ctx, cancel := context.WithCancel(ctx)
	x.values, x.failed = make(chan setting), make(chan error, 1)
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	go func() {
		defer close(done)
		for s, err := range settings(ctx, c, path) {
			if err != nil {
				x.failed <- err
				return
			}
			select {
			case x.values <- s:
			case <-ctx.Done():
			}
		}
	}()
	if err := x.first(); err != nil {
		return err
	}
	defer x.announce(ctx, c, path)()
	for {
		again, err := x.once()
		if !again {
			return err
		}
	}
}

// announce lets docent config status see which version the command has. That it cannot is no reason to stop.
func (x *configExec) announce(ctx context.Context, c *client.Client, path string) (end func()) {
	x.who, x.states = c.Identity(), make(chan config.Reader, 1)
	x.tell(nil, nil)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := config.Announce(ctx, c, path, x.states); err != nil && ctx.Err() == nil {
			fmt.Fprintf(x.e.stderr, "%s: %s\n", x.cmd.CommandPath(), printable(oneLine(err)))
		}
	}()
	return func() { cancel(); <-done }
}

// tell replaces what is to be announced: the version that the command has, and the one it does not take.
func (x *configExec) tell(refused *int32, why error) {
	version := x.present.Version
	r := config.Reader{ID: x.who, Version: &version, Refused: refused}
	if why != nil {
		r.Error = why.Error()
	}
	select {
	case <-x.states:
	default:
	}
	x.states <- r
}

func baseName(p string) string {
	if name := path.Base(p); name != "/" {
		return name
	}
	return "value"
}

// first waits for the first value.
func (x *configExec) first() error {
	var late <-chan time.Time
	if x.wait.d > 0 {
		timer := time.NewTimer(x.wait.d)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case s := <-x.values:
			switch {
			case !s.Gone:
				return x.take(s)
			case x.wait.tries():
				return tooLate("there is no value")
			}
		case err := <-x.failed:
			return err
		case sig := <-x.signals:
			if code, ok := child.Fatal(sig); ok {
				return &exit{code: code}
			}
		case <-late:
			return tooLate("there was no value within %v", x.wait.d)
		}
	}
}

// take makes a value the child's: the file is replaced as a whole, so that whoever reads it finds one value or the other.
func (x *configExec) take(s setting) error {
	f, err := os.CreateTemp(filepath.Dir(x.file), ".docent-config-")
	if err != nil {
		return err
	}
	_, err = f.Write(s.data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), x.file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	x.present = s
	return nil
}

// offers takes a value if it may be taken, and tells whether it was.
func (x *configExec) offers(s setting) bool {
	var err error
	switch {
	case s.Gone:
		err = errors.New("it was deleted")
	case json.Valid(x.present.data) && !json.Valid(s.data):
		err = fmt.Errorf("version %d is not JSON, as it was", s.Version)
	case string(s.data) == string(x.present.data):
		x.present = s
		x.tell(nil, nil)
		return false
	default:
		err = x.take(s)
	}
	var refused *int32
	if err != nil && !s.Gone {
		refused = &s.Version
	}
	x.tell(refused, err)
	if err != nil {
		fmt.Fprintf(x.e.stderr, "%s: %s: the command keeps version %d: %s\n", x.cmd.CommandPath(), printable(x.present.Path), x.present.Version, printable(oneLine(err)))
	}
	return err == nil
}

// once runs the child until it ends, and tells whether it is to run again.
func (x *configExec) once() (again bool, err error) {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(onlyConfigChild, name)
	})
	env = append(env, "DOCENT_CONFIG_FILE="+x.file, fmt.Sprint("DOCENT_CONFIG_VERSION=", x.present.Version))
	kid, err := child.Start(child.Command{Path: x.program, Args: x.argv, Env: env}, x.signals)
	if err != nil {
		return false, cannotRun(err)
	}
	defer kid.Close()
	var kill <-chan time.Time
	ended := kid.Ended()
	for {
		select {
		case <-kid.Gone():
			if code := kid.Code(); !again && code != 0 {
				return false, &exit{code: code}
			}
			return again, nil
		case <-ended: // and what it left behind?
			ended = nil
			kid.Terminate()
			if kill == nil {
				kill = time.After(x.grace)
			}
		case sig := <-x.signals:
			if _, fatal := child.Fatal(sig); fatal {
				again = false // that is meant for good
			}
			kid.Forward(sig)
		case sig := <-kid.Stopped():
			if kid.Suspend(sig) {
				kid.Continue()
			}
		case s := <-x.values:
			switch {
			case !x.offers(s) || ended == nil:
			case !x.restart:
				kid.Forward(x.signal)
			case !again:
				again = true
				kid.Terminate()
				kill = time.After(x.grace)
			}
		case err := <-x.failed:
			fmt.Fprintf(x.e.stderr, "%s: %v: the command runs on with what it has\n", x.cmd.CommandPath(), printable(oneLine(err)))
		case <-kill:
			kid.Kill()
		}
	}
}
