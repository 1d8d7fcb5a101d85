package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// setting is a configuration value as the verbs print it.
type setting struct {
	Path    string `json:"path"`
	Version int32  `json:"version"`          // of the node's data: what --if-version compares
	Zxid    int64  `json:"zxid"`             // of the transaction that wrote it: grows even where the node was deleted in between
	Value   any    `json:"value"`            // the JSON it is; else its text; else its bytes in base64
	Base64  bool   `json:"base64,omitempty"` // it is neither JSON nor text
	Gone    bool   `json:"gone,omitempty"`   // there is no node

	data []byte
}

func newSetting(path string, data []byte, st client.Stat) setting {
	s := setting{Path: path, Version: st.Version, Zxid: st.Mzxid, data: data}
	switch value, err := decodeExactly(data); {
	case err == nil && json.Valid(data):
		s.Value = value
	case utf8.Valid(data):
		s.Value = string(data)
	default:
		s.Value, s.Base64 = data, true
	}
	return s
}

func configVerb(e env) *cobra.Command {
	return parent("config", "share small settings, and follow their changes",
		configGetVerb(e), configSetVerb(e), configWatchVerb(e), configExecVerb(e), configEditVerb(e), configStatusVerb(e))
}

func configGetVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get PATH", Short: "print a value",
		Long:    "Prints a value as it is, as of every change that was finished before.",
		Example: "  docent config get config/appmgr/slurm > slurm.json\n  docent config get config/appmgr/slurm --format '{{.Version}} {{.Value.queue}}'",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		return r.meet(ctx, func(ctx context.Context, c *client.Client) error {
			node, err := c.Get(ctx, nodePath(args[0]), client.Fresh())
			if err != nil {
				return err
			}
			return out.one(e.stdout, newSetting(node.Path, node.Data, node.Stat), func(w io.Writer) error {
				_, err := w.Write(node.Data)
				return err
			})
		})
	}
	return cmd
}

func configSetVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set PATH VALUE",
		Short: "change a value",
		Long: `Sets a value, and makes its node if there is none. VALUE is taken as it is, from
a file as @FILE, or from stdin as -. With --if-version nothing is changed unless
the present version is that one (docent config get --format '{{.Version}}'), and
with --if-absent unless there is none: else the exit code is 75.`,
		Example: "  docent config set config/appmgr/slurm @slurm.json --if-version 12",
		Args:    exactArgs("PATH", "VALUE"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	version := cmd.Flags().Int32("if-version", 0, "only if this is its `version`")
	absent := cmd.Flags().Bool("if-absent", false, "only if there is none")
	timeout := addTimeout(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		compares := cmd.Flags().Changed("if-version")
		switch {
		case compares && *absent:
			return usagef("--if-version and --if-absent exclude each other")
		case compares && *version == -1:
			return usagef("--if-version -1: means any version in the protocol; leave the flag out")
		}
		if err := out.check(); err != nil {
			return err
		}
		data, err := contents(args[1], e.stdin)
		if err != nil {
			return usageError(err)
		}
		ctx, cancel := timeout.bound(cmd.Context())
		defer cancel()
		return r.meet(ctx, func(ctx context.Context, c *client.Client) error {
			w := configWrite{path: nodePath(args[0]), data: data, absent: *absent}
			if compares {
				w.version = version
			}
			st, err := w.do(ctx, c)
			if err != nil {
				return err
			}
			return out.one(e.stdout, newSetting(w.path, data, st), func(io.Writer) error { return nil })
		})
	}
	return cmd
}

// configWrite is a change of a value.
type configWrite struct {
	path    string
	data    []byte
	version *int32 // only if this is its version; nil: whatever it is
	absent  bool   // only if there is none
}

// do writes. What else than the condition stands in the way is passed over; doing it twice does no harm where there is no
// condition, so then a lost reply is no error either.
func (w configWrite) do(ctx context.Context, c *client.Client) (client.Stat, error) {
	for {
		var st client.Stat
		var err error
		switch {
		case w.version != nil:
			st, err = c.Set(ctx, w.path, w.data, *w.version)
			if errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrNoNode) {
				return st, tooLate("%s: its version is not %d", w.path, *w.version)
			}
			return st, err
		case !w.absent:
			st, err = c.Set(ctx, w.path, w.data, -1)
		}
		if w.absent || errors.Is(err, client.ErrNoNode) {
			var node client.Node
			node, err = c.Create(ctx, w.path, w.data, client.Parents())
			st = node.Stat
			if w.absent && errors.Is(err, client.ErrNodeExists) {
				return st, tooLate("%s: there is a value", w.path)
			}
		}
		again := errors.Is(err, client.ErrNodeExists) || errors.Is(err, client.ErrNoNode) || !w.absent && errors.Is(err, client.ErrMaybeApplied)
		if !again || ctx.Err() != nil {
			return st, err
		}
	}
}

func configWatchVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch PATH",
		Short: "print a value, and every change",
		Long: `Prints the value, each newer one, and a line when there is none, until INT or
TERM. Values that were replaced at once may be skipped, the newest never is. It
goes on across lost sessions and servers.`,
		Example: "  docent config watch config/appmgr/slurm --json",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			for s, err := range settings(ctx, c, nodePath(args[0])) {
				if err == nil {
					err = out.one(e.stdout, s, s.text)
				}
				if err != nil {
					return told(ctx, err)
				}
			}
			return nil
		})
	}
	return cmd
}

// text shows a value under a line that says which it is.
func (s setting) text(w io.Writer) (err error) {
	if s.Gone {
		_, err = fmt.Fprintf(w, "# %s: gone\n", printable(s.Path))
	} else {
		_, err = fmt.Fprintf(w, "# %s: version %d\n%s\n", printable(s.Path), s.Version, printableText(string(s.data)))
	}
	return err
}

// settings yields a value, and every change of it, until ctx ends.
func settings(ctx context.Context, c *client.Client, path string) iter.Seq2[setting, error] {
	return func(yield func(setting, error) bool) {
		if _, err := c.Get(ctx, path); err != nil && !errors.Is(err, client.ErrNoNode) {
			yield(setting{}, err) // a cache would wait for a permission; who asks wants to know
			return
		}
		cache := recipes.NewNodeCache(c, path)
		defer cache.Close()
		last := setting{}
		for snap, err := range cache.Changes(ctx) {
			if err != nil {
				yield(setting{}, err)
				return
			}
			s := setting{Path: path, Gone: true}
			if node, there := snap.Root(); there {
				s = newSetting(path, node.Data, node.Stat)
			}
			if last.Path != "" && s.Gone == last.Gone && s.Zxid == last.Zxid {
				continue // of the node something else than its data has changed
			}
			if last = s; !yield(s, nil) {
				return
			}
		}
	}
}
