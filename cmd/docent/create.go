package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docent-io/docent/client"
)

// newNode is what the flags of create say of a node.
type newNode struct {
	ephemeral, hold, sequential, container, parents bool

	ttl time.Duration
	acl []string
}

// mostTTL is below what the protocol has room for: 34 years.
const mostTTL = 300_000 * time.Hour

func createVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create PATH [DATA]",
		Short: "make a znode, and print its path",
		Long: `Makes a znode and prints its path. DATA is itself, @FILE, or - for stdin, and
comes behind -- if it begins with a dash. If a PATH for --sequential ends in /,
the number is the whole name. An ephemeral node ends with the session, so docent
has to stay: until a signal, or until the session ends (exit code 76).`,
		Example: "  docent create /jobs/ @job.json --parents --sequential\n  docent create /up/$HOSTNAME --ephemeral --hold &",
		Args:    optionalArgs([]string{"PATH"}, "DATA"),
	}
	r, out, n := addRemote(cmd, e), addOutput(cmd), newNode{}
	n.flags(cmd.Flags())
	cmd.Flags().BoolVar(&n.parents, "parents", false, "make missing parents, as containers")
	cmd.Flags().BoolVar(&n.ephemeral, "ephemeral", false, "it ends with the session")
	if e.attached == nil {
		cmd.Flags().BoolVar(&n.hold, "hold", false, "stay, to keep an ephemeral")
	}
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		options, err := n.options()
		if n.ephemeral != n.hold && e.attached == nil && err == nil {
			err = usagef("--ephemeral and --hold need each other: a node cannot outlive the session it ends with")
		}
		if err := errors.Join(err, out.check()); err != nil {
			return err
		}
		var data []byte
		if len(args) > 1 {
			if data, err = e.data(cmd.Context(), args[1]); err != nil {
				return err
			}
		}
		path := n.place(r.path(args[0]), args[0])
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			s, err := c.Session(ctx)
			if err != nil {
				return err
			}
			made, err := s.Create(ctx, path, data, options...)
			if errors.Is(err, client.ErrNoNode) { // which the node to be made may well be
				return &refusal{err, printable(path) + ": its parent does not exist; --parents makes it"}
			}
			if err != nil {
				return err
			}
			err = out.one(e.stdout, newZnode(made), func(w io.Writer) error {
				_, err := fmt.Fprintln(w, printable(made.Path))
				return err
			})
			if err != nil || !n.hold {
				return err
			}
			return keepNode(cmd.Context(), s)
		})
	}
	return cmd
}

// flags are those that a create of a transaction has, too.
func (n *newNode) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&n.sequential, "sequential", false, "append a number that grows")
	fs.BoolVar(&n.container, "container", false, "the server deletes it after its last child")
	fs.DurationVar(&n.ttl, "ttl", 0, "delete it when unchanged and childless for so long")
	fs.StringArrayVar(&n.acl, "acl", nil, "`ACL` as of docent acl; may be given often")
}

// place returns the path to create: that of an argument, but for a slash at the end, behind which the number comes.
func (n *newNode) place(path, arg string) string {
	if n.sequential && strings.HasSuffix(arg, "/") {
		return strings.TrimSuffix(path, "/") + "/"
	}
	return path
}

// options returns what the flags mean, or why they contradict each other.
func (n *newNode) options() (o []client.CreateOption, err error) {
	kinds := 0
	add := func(given bool, option client.CreateOption, kind int) {
		if given {
			o = append(o, option)
			kinds += kind
		}
	}
	add(n.sequential, client.Sequential(), 0)
	add(n.parents, client.Parents(), 0)
	add(n.container, client.Container(), 1)
	add(n.ttl != 0, client.TTL(n.ttl), 1)
	add(n.ephemeral, client.Ephemeral(), 1)
	switch {
	case n.ttl < 0 || n.ttl > mostTTL:
		return nil, usagef("--ttl %v: want from 1ms to %v", n.ttl, mostTTL)
	case kinds > 1:
		return nil, usagef("--ephemeral, --container and --ttl exclude each other")
	case n.container && n.sequential:
		return nil, usagef("--container and --sequential exclude each other")
	}
	if len(n.acl) > 0 {
		acl, err := parseACL(n.acl)
		if err != nil {
			return nil, usagef("--acl: %w", err)
		}
		o = append(o, client.WithACL(acl))
	}
	return o, nil
}

// keepNode waits until ctx ends, which is fine, or the session does.
func keepNode(ctx context.Context, s *client.Session) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.Context().Done():
		return &exit{code: exitLost, err: fmt.Errorf("the node is gone: %w", context.Cause(s.Context()))}
	}
}
