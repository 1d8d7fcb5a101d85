package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// rawVerbs are the operations on znodes, one by one and many at once.
func rawVerbs(e env) []*cobra.Command {
	return append(nodeVerbs(e), shellVerb(e), exportVerb(e), importVerb(e), benchVerb(e))
}

// nodeVerbs are those that the shell has, too.
func nodeVerbs(e env) []*cobra.Command {
	return []*cobra.Command{
		getVerb(e), setVerb(e), createVerb(e), deleteVerb(e), lsVerb(e), treeVerb(e), statVerb(e), watchVerb(e), aclVerb(e), syncVerb(e), txnVerb(e),
	}
}

// znode is a node as the raw verbs print it.
type znode struct {
	Path string   `json:"path"`
	Data []byte   `json:"data"` // base64 in JSON, as all bytes
	Stat nodeStat `json:"stat"`
}

func newZnode(n client.Node) znode { return znode{n.Path, n.Data, nodeStat(n.Stat)} }

// optionalArgs checks that there is what needed names, and no more than that and one more argument.
func optionalArgs(needed []string, more string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		names := slices.Clone(needed)
		if len(args) > len(needed) {
			names = append(names, more)
		}
		return exactArgs(names...)(cmd, args)
	}
}

// path returns the path that an argument means: in a shell relative to where it stands, else from the root on.
func (r *remote) path(arg string) string {
	if r.attached == nil {
		return rooted("/", arg)
	}
	return r.attached.path(arg)
}

// path is where an argument leads to from the current node; . and .. are no names of nodes, so they can be steps.
func (a *attachment) path(arg string) string {
	from := a.cwd
	if strings.HasPrefix(arg, "/") {
		from = "/"
	}
	p := from
	for step := range strings.SplitSeq(arg, "/") {
		switch step {
		case "", ".":
		case "..":
			p = parentOf(p)
		default:
			p = rooted(p, step)
		}
	}
	return p
}

// rooted joins a path and what is below it. A slash at the end is left off.
func rooted(from, below string) string {
	p := strings.TrimSuffix(from, "/") + "/" + strings.TrimPrefix(below, "/")
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

// parentOf returns the path of the node above; that of / is /.
func parentOf(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 1)]
}

// maxData bounds what is read as the data of one node. Servers take about 1 MiB unless they are configured otherwise.
const maxData = 64 << 20

// data returns the bytes that an argument stands for: itself, the content of @FILE, or stdin for -.
func (e env) data(ctx context.Context, arg string) ([]byte, error) {
	switch {
	case arg == "-" && e.attached != nil:
		return nil, usagef("-: a shell has no further input; use @FILE")
	case arg == "-":
		return readData(e.input(ctx), "stdin")
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, usageError(err)
		}
		defer f.Close()
		return readData(f, arg[1:])
	}
	return []byte(arg), nil
}

func readData(r io.Reader, name string) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxData+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if n > maxData {
		return nil, usagef("%s: more than %d MiB, which no node holds", name, maxData>>20)
	}
	return b.Bytes(), nil
}

// addVersion gives a verb --version.
func addVersion(cmd *cobra.Command, of string) *int32 {
	return cmd.Flags().Int32("version", -1, "only if this `number` is the version of "+of+", else exit with 75")
}
