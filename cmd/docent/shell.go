package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

func shellVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "give many raw verbs over one connection",
		Long: `Reads raw verbs, a line each, and carries them out in one session: get, set,
create, delete, ls, tree, stat, watch, acl, sync, txn, and cd, pwd, auth, help,
exit. Paths are relative to where cd went; words are quoted as in shells.

At a terminal, Tab completes verbs, flags and paths, the arrows go through the
history (in $XDG_STATE_HOME/docent/history), Ctrl-C breaks off what runs, and
the prompt tells how the connection is. Elsewhere it stops at the first error,
with that one's exit code.`,
		Example: "  docent shell --dsn zk://c1:2181\n  printf 'cd /app\\nls\\n' | docent shell",
		Args:    noArgs,
	}
	r := addRemote(cmd, e)
	keepGoing := cmd.Flags().Bool("keep-going", false, "not at a terminal: go on after errors")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := r.config()
		if err != nil {
			return err
		}
		c, err := r.dialConfig(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		s := &shell{e: e, r: r, cfg: cfg, at: attachment{c: c, cwd: "/"}}
		defer func() { s.at.c.Close() }()
		in, isTerminal := terminal(e.stdin)
		if _, out := terminal(e.stdout); isTerminal && out {
			if !e.dumb() {
				return s.interactive(cmd.Context(), in)
			}
			*keepGoing = true // for somebody types
		}
		return s.script(cmd.Context(), *keepGoing)
	}
	return cmd
}

// shell carries out lines.
type shell struct {
	e   env // the shell's own
	r   *remote
	cfg client.Config
	at  attachment
}

// errQuit ends the shell.
var errQuit = errors.New("exit")

// script carries out the lines of stdin.
func (s *shell) script(ctx context.Context, keepGoing bool) error {
	in := bufio.NewReader(s.e.input(ctx))
	number, failed := 0, error(nil)
	next := func(string) (string, error) {
		line, err := in.ReadString('\n')
		if line != "" && errors.Is(err, io.EOF) {
			err = nil
		}
		number++
		return strings.TrimRight(line, "\r\n"), err
	}
	s.at.more = next
	for ctx.Err() == nil {
		line, err := next("")
		if errors.Is(err, io.EOF) {
			return failed
		}
		if err != nil {
			return err
		}
		at := number
		err = s.line(ctx, s.e.stdout, line)
		switch {
		case errors.Is(err, errQuit):
			return failed
		case err == nil:
			continue
		}
		err = fmt.Errorf("line %d: %w", at, err)
		if !keepGoing {
			return err
		}
		fmt.Fprintf(s.e.stderr, "docent shell: %s\n", printable(oneLine(err)))
		if failed == nil {
			failed = &exit{code: exitCode(err)}
		}
	}
	return context.Cause(ctx)
}

// line carries out one line. Its error begins with the verb.
func (s *shell) line(ctx context.Context, w io.Writer, line string) error {
	words, err := splitWords(line)
	if err != nil {
		return usageError(err)
	}
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	root := s.verbs(w)
	root.SetArgs(words)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, errQuit) || cmd == root {
		return err
	}
	return fmt.Errorf("%s: %w", strings.TrimPrefix(cmd.CommandPath(), root.Name()+" "), err)
}

// verbs returns what the shell knows; w gets what they print.
func (s *shell) verbs(w io.Writer) *cobra.Command {
	e := env{stdin: strings.NewReader(""), stdout: w, stderr: w, getenv: s.e.getenv, attached: &s.at}
	root := &cobra.Command{
		Use: "docent", Short: "a shell", Long: "What this shell knows:", Args: cobra.ArbitraryArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return usagef("unknown verb %q; help lists them", args[0])
		},
	}
	root.SetOut(w)
	root.SetErr(w)
	root.SetIn(e.stdin)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	root.SetHelpFunc(help)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(nodeVerbs(e)...)
	root.AddCommand(s.cdVerb(e), s.pwdVerb(w), s.authVerb(), quitVerb())
	root.InitDefaultHelpCmd()
	return root
}

func (s *shell) cdVerb(e env) *cobra.Command {
	cmd := &cobra.Command{Use: "cd [PATH]", Short: "go to a znode", Args: optionalArgs(nil, "PATH"), Example: "  cd ../other"}
	r := addRemote(cmd, e)
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to := "/"
		if len(args) > 0 {
			to = r.path(args[0])
		}
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			_, ok, err := c.Exists(ctx, to)
			if err == nil && !ok {
				err = &client.OpError{Op: "exists", Path: to, Err: client.ErrNoNode}
			}
			if err == nil {
				s.at.cwd = to
			}
			return err
		})
	}
	return cmd
}

func (s *shell) pwdVerb(w io.Writer) *cobra.Command {
	return &cobra.Command{Use: "pwd", Short: "print where the shell stands", Args: noArgs, RunE: func(*cobra.Command, []string) error {
		_, err := fmt.Fprintln(w, printable(s.at.cwd))
		return err
	}}
}

// authVerb adds an identity. The session is a new one then.
func (s *shell) authVerb() *cobra.Command {
	return &cobra.Command{
		Use: "auth USER:PASSWORD", Short: "authenticate, too, in a new session", Args: exactArgs("USER:PASSWORD"),
		Long: "Authenticates with the scheme digest, beside what was there. It begins a new\nsession; ephemerals of the old one end. The line is not kept in the history.",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg := s.cfg
			cfg.Auth = append(cfg.Auth[:len(cfg.Auth):len(cfg.Auth)], client.Auth{Scheme: "digest", Data: []byte(args[0])})
			c, err := s.r.dialConfig(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			s.at.c.Close()
			s.cfg, s.at.c = cfg, c
			return nil
		},
	}
}

func quitVerb() *cobra.Command {
	return &cobra.Command{Use: "exit", Aliases: []string{"quit"}, Short: "end the shell", Args: noArgs, RunE: func(*cobra.Command, []string) error { return errQuit }}
}
