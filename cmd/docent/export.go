package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/docent-io/docent/client"
)

// exportFormat is the number of the format; another one may not be understood by this program.
const exportFormat = 1

// exportAhead is how many nodes are read at once. With at most about 1 MiB in each it bounds the memory, too.
const exportAhead = 32

// exportHead is the first line of an export.
type exportHead struct {
	Export int    `json:"docent-export"` // the format
	Root   string `json:"root"`          // what was exported
}

// exportRecord is a node of an export. Parents come before their children.
type exportRecord struct {
	Path      string   `json:"path"` // below what was exported, which is / itself
	Data      []byte   `json:"data"` // null and empty are different data
	ACL       []string `json:"acl,omitempty"`
	Container bool     `json:"container,omitempty"`
	TTL       string   `json:"ttl,omitempty"`     // as 1h30m
	Counter   int32    `json:"counter,omitempty"` // the number that the next sequential child would have got
}

// exportTail is the last line: without it the export is cut off.
type exportTail struct {
	End *exportCount `json:"end"`
}

// exportCount says what became of the nodes.
type exportCount struct {
	Nodes      int `json:"nodes"`
	Ephemerals int `json:"ephemerals"` // left out: they belong to sessions
	Vanished   int `json:"vanished"`   // left out: deleted during the export
	Denied     int `json:"denied"`     // left out with all below, or without the passwords of the ACL, by --skip-denied
}

func exportVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [PATH]",
		Short: "write a subtree to stdout, as JSON lines",
		Long: `Writes a znode and all below it to stdout, one JSON object a line, for docent
import: data, ACLs and sequence counters. Ephemerals are left out and counted.
Nodes that change meanwhile are written as before or after (docent backup has
one moment of all). Which nodes are containers, only docent's servers tell, at
--admin; what has a time to live, nobody: add "ttl":"1h" to a line if need be.
--timeout is for each answer.`,
		Example: "  docent export --dsn zk://old:2181 /app > app.jsonl",
		Args:    optionalArgs(nil, "PATH"),
	}
	r := addRemote(cmd, e)
	o := &operator{getenv: e.getenv, sends: "application/json"}
	cmd.Flags().StringVar(&o.admin, "admin", "", "`address` for operators of a docent server; or DOCENT_ADMIN")
	skip := cmd.Flags().Bool("skip-denied", false, "leave out what the ACL refuses, and count it")
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := r.config()
		if err != nil {
			return err
		}
		ctx, life, cancel := timeout.lifeSigns(cmd.Context())
		defer cancel()
		containers, err := exportContainers(ctx, o, r, cfg.Chroot)
		if err != nil {
			return err
		}
		p := newProgress(e, "nodes exported")
		w := exportWalk{containers: containers, root: r.path(optional(args, 0)), system: cfg.Chroot == "", skipDenied: *skip, told: func(n int) { life.alive(); p.add(n) }}
		err = r.use(ctx, func(c *client.Client) error {
			w.c = c
			return w.write(ctx, e.stdout)
		})
		p.done()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stderr, "docent export: %s\n", w.count)
		return err
	}
	return cmd
}

// exportContainers asks an address for operators, if there is one, which nodes are containers.
func exportContainers(ctx context.Context, o *operator, r *remote, chroot string) (map[string]bool, error) {
	o.auth = r.auth
	if o.admin == "" && o.getenv("DOCENT_ADMIN") == "" {
		return nil, nil
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	resp, err := o.request(ctx, http.MethodGet, "containers", nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Containers []string `json:"containers"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: what it answers is no list of containers: %w", o.admin, err)
	}
	set := make(map[string]bool, len(answer.Containers))
	for _, path := range answer.Containers {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(rooted("/", chroot), "/")); ok && strings.HasPrefix(rest+"/", "/") {
			set[rooted("/", rest)] = true
		}
	}
	return set, nil
}

func (n exportCount) String() string {
	text := fmt.Sprintf("%d nodes", n.Nodes)
	for _, skipped := range []struct {
		n    int
		what string
	}{{n.Ephemerals, "ephemerals left out"}, {n.Vanished, "deleted meanwhile"}, {n.Denied, "denied"}} {
		if skipped.n > 0 {
			text += fmt.Sprintf(", %d %s", skipped.n, skipped.what)
		}
	}
	return text
}

// exportWalk reads a subtree.
type exportWalk struct {
	c          *client.Client
	root       string
	system     bool // paths begin at the root of the ensemble, where /zookeeper is the servers' own
	skipDenied bool
	containers map[string]bool
	told       func(n int) // gets the number of nodes just read
	count      exportCount
}

// write writes the export.
func (x *exportWalk) write(ctx context.Context, to io.Writer) error {
	w := bufio.NewWriterSize(to, 1<<16)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	begun := false
	err := x.walk(ctx, func(r exportRecord) error {
		if !begun {
			begun = true
			if err := lines.Encode(exportHead{exportFormat, x.root}); err != nil {
				return err
			}
		}
		return lines.Encode(r)
	})
	if err == nil {
		err = lines.Encode(exportTail{&x.count})
	}
	return errors.Join(err, w.Flush())
}

// walk gives the records of the subtree to yield, parents before their children.
func (x *exportWalk) walk(ctx context.Context, yield func(exportRecord) error) error {
	root, err := x.read(ctx, "/")
	if err != nil {
		return err
	}
	if root.stat.EphemeralOwner != 0 {
		return fmt.Errorf("%s is an ephemeral, which is not exported", x.root)
	}
	if err := x.give(root, yield); err != nil {
		return err
	}
	return x.below(ctx, "/", yield)
}

// below gives the children of a node, and then what is below these.
func (x *exportWalk) below(ctx context.Context, path string, yield func(exportRecord) error) error {
	names, _, err := x.c.Children(ctx, x.full(path))
	if err != nil {
		return x.passOver(err)
	}
	slices.Sort(names)
	var parents []string
	for chunk := range slices.Chunk(names, exportAhead) {
		found := make([]exportNode, len(chunk))
		g, gctx := errgroup.WithContext(ctx)
		for i, name := range chunk {
			g.Go(func() (err error) {
				found[i], err = x.read(gctx, rooted(path, name))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, n := range found {
			if err := x.give(n, yield); err != nil {
				return err
			}
			if n.err == nil && n.stat.NumChildren > 0 && n.stat.EphemeralOwner == 0 {
				parents = append(parents, n.record.Path)
			}
		}
	}
	for _, p := range parents {
		if err := x.below(ctx, p, yield); err != nil {
			return err
		}
	}
	return nil
}

func (x *exportWalk) full(path string) string { return rooted(x.root, path) }

// exportNode is a node as it was read, or why it is left out.
type exportNode struct {
	record exportRecord
	stat   client.Stat
	err    error
	masked bool // its ACL came without the hashes of passwords
}

// errSystem leaves out what belongs to the servers.
var errSystem = errors.New("of the servers")

// read reads a node. That a child is gone or refused is left to who gives it away.
func (x *exportWalk) read(ctx context.Context, path string) (n exportNode, err error) {
	full := x.full(path)
	n.record.Path = path
	if x.system && full == "/zookeeper" {
		n.err = errSystem
		return n, nil
	}
	if !utf8.ValidString(path) {
		return n, fmt.Errorf("%q: the name is not UTF-8", full)
	}
	node, err := x.c.Get(ctx, full)
	var acl []client.ACL
	if err == nil {
		acl, _, err = x.c.GetACL(ctx, full)
	}
	if path != "/" && (errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrNoAuth) && x.skipDenied) {
		n.err = err
		return n, nil
	}
	if err != nil {
		return n, err
	}
	n.stat, n.record.Data, n.record.Container = node.Stat, node.Data, x.containers[full]
	if !slices.Equal(acl, client.WorldACL(client.PermAll)) {
		n.record.ACL = formatACL(acl)
		n.masked = slices.ContainsFunc(acl, func(a client.ACL) bool { return a.Scheme == "digest" && strings.HasSuffix(a.ID, ":x") })
	}
	n.record.Counter = counterOf(node.Stat)
	return n, nil
}

// give gives a node away, or counts why it is left out.
func (x *exportWalk) give(n exportNode, yield func(exportRecord) error) error {
	x.told(1)
	switch {
	case n.err == errSystem:
		return nil
	case n.err != nil:
		return x.passOver(n.err)
	case n.stat.EphemeralOwner != 0:
		x.count.Ephemerals++
		return nil
	case n.masked && !x.skipDenied:
		return &exit{code: exitDenied, err: fmt.Errorf("%s: its ACL is shown in full only to who may set it: --auth, or --skip-denied", x.full(n.record.Path))}
	case n.masked:
		x.count.Denied++
		return nil
	}
	x.count.Nodes++
	return yield(n.record)
}

// passOver counts what is left out, and returns what must not be.
func (x *exportWalk) passOver(err error) error {
	switch {
	case errors.Is(err, client.ErrNoNode):
		x.count.Vanished++
	case errors.Is(err, client.ErrNoAuth) && x.skipDenied:
		x.count.Denied++
	default:
		return err
	}
	return nil
}
