// Command gateway tells how a science gateway coordinates itself with docent: application managers register, a scheduler
// finds the right one, a job's master and workers meet, one of several metadata replicas writes, configuration is rolled
// out; then parts of it die and the rest goes on.
//
//	go run ./examples/gateway                              on three servers of its own, in this process
//	go run ./examples/gateway --connect zk://host:2181     on an ensemble that is there: docent's or Apache ZooKeeper's
//
// It checks what it claims by reading it back, and ends with exit code 0 when everything held, 1 when something did not, and 2 when it was called wrongly.
//
// Each chapter is a file, and an example of the packages it uses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes/fence"
)

// patience is how long the story may take: it ends in time, or says where it is stuck. Putting everything away when no
// server answers any more takes some seconds on top.
const patience = 20 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, fence.Memory()))
}

// run tells the story and returns the exit code. The guard is what the metadata store checks tokens with.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, guard fence.Guard) int {
	fs := flag.NewFlagSet("gateway", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	dsn := fs.String("connect", "", "tell the story on this ensemble, such as `zk://host:2181`, and kill no server")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "usage: gateway [--connect zk://host:port]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return 0
	}
	var cfg client.Config
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err == nil && *dsn != "" {
		cfg, err = client.ParseDSN(*dsn)
	}
	if err != nil {
		fmt.Fprintf(stderr, "gateway: %v\n", err)
		return 2
	}

	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the story did not end within %v", patience))
	defer cancel()
	s := newStory(ctx, stdout, cfg, guard)
	err = s.tell(*dsn == "")
	if endErr := s.end(); err == nil {
		err = endErr // else what broke the story has broken its end, too
	}
	if err != nil {
		fmt.Fprintf(stderr, "gateway: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}

// tell tells the chapters one after the other.
func (s *story) tell(ourServers bool) error {
	s.say("docent: a science gateway coordinates itself")
	s.say("What is marked ✓ has been checked by reading it back.")
	opening := s.connect
	if ourServers {
		opening = s.startEnsemble
	}
	for _, chapter := range []func() error{
		opening, s.registerManagers, s.scheduleJobs, s.runParallelJob, s.electWriter, s.rollOutSettings, s.loseSome,
	} {
		if err := chapter(); err != nil {
			if cause := context.Cause(s.ctx); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return fmt.Errorf("chapter %d: %w", s.chapter, err)
		}
	}
	return s.verdict()
}
