// Command docent runs docent's server, lets shells and batch jobs use the recipes, and is the tool of operators.
// docent help lists its verbs; docs/command.md tells about each.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// env is what a verb may use of the world.
type env struct {
	args           []string // behind docent
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	attached       *attachment // of a verb that is given in a shell: it has a connection already
}

func main() {
	os.Exit(run(untilTold(), env{args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}))
}

// untilTold returns a context that ends with INT, TERM or HUP. Its cause is the exit code of a verb that had not done by then
// what it was for; a second signal ends the process at once.
func untilTold() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // as INT is of what runs in a script's background
			signal.Notify(signals, sig)
		}
	}
	go func() { // for as long as the process lives
		code := 128
		sig := <-signals
		signal.Stop(signals)
		if n, ok := sig.(syscall.Signal); ok {
			code += int(n)
		}
		cancel(&exit{code: code, err: fmt.Errorf("ended by a signal: %v", sig)})
	}()
	return ctx
}

// run carries out one command line, and returns the exit code.
func run(ctx context.Context, e env) int {
	out := &noticed{Writer: e.stdout}
	e.stdout = out
	root := newRoot(e)
	root.SetArgs(e.args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(e.stderr, cmd, out.failed(err))
}

// The groups of verbs, as help shows them.
const (
	groupServer  = "server"
	groupWrap    = "wrap"
	groupMeet    = "meet"
	groupLook    = "look"
	groupRaw     = "raw"
	groupGeneral = "general"
)

// newRoot returns the tree of all verbs.
func newRoot(e env) *cobra.Command {
	root := &cobra.Command{
		Use:   "docent",
		Short: "coordinate processes",
		Long: `Runs commands while they hold a lock, a seat or the lead, lets processes meet,
looks after what they share, and runs the server that it all rests on: docent's
own, or a ZooKeeper ensemble that is there already.`,
		Example: `  docent serve                                   a server on this machine
  docent lock --wait 5m publish -- ./publish.sh  run it while nobody else does
  docent ls /                                    what is there`,
		Version:       version(),
		Args:          cobra.ArbitraryArgs,
		RunE:          needVerb,
		SilenceErrors: true, // report says them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("docent {{.Version}}\n")
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	root.SetHelpFunc(help)
	root.PersistentPreRunE = checkNames
	root.AddGroup(
		&cobra.Group{ID: groupWrap, Title: "Run a command while holding something:"},
		&cobra.Group{ID: groupMeet, Title: "Meet, find each other, share settings:"},
		&cobra.Group{ID: groupLook, Title: "See who holds, waits and lives:"},
		&cobra.Group{ID: groupRaw, Title: "Read and change znodes:"},
		&cobra.Group{ID: groupServer, Title: "Run and look after servers:"},
		&cobra.Group{ID: groupGeneral, Title: "More:"},
	)
	for id, verbs := range map[string][]*cobra.Command{
		groupWrap: wrappingVerbs(e), groupMeet: meetingVerbs(e), groupLook: lookingVerbs(e), groupRaw: rawVerbs(e), groupServer: serverVerbs(e),
	} {
		for _, v := range verbs {
			v.GroupID = id
			root.AddCommand(v)
		}
	}
	general := []*cobra.Command{completionVerb(), versionVerb(), connectingTopic(), exitCodesTopic()}
	for _, v := range general {
		v.GroupID = groupGeneral
		root.AddCommand(v)
	}
	root.SetHelpCommandGroupID(groupGeneral)
	root.SetHelpCommand(helpVerb())
	root.InitDefaultHelpCmd()
	root.CompletionOptions.DisableDefaultCmd = true // ours speaks as the others do
	return root
}

func serverVerbs(e env) []*cobra.Command {
	return []*cobra.Command{serveVerb(e), memberVerb(e), backupVerb(e), restoreVerb(e), checkVerb()}
}

func versionVerb() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), "docent "+version()+"\n")
			return err
		},
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}
