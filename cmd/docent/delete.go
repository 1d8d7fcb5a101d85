package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

const (
	deleteBatch = 500 // deletions that are sent in one go
	// deleteRounds bounds how often a node is found with children again, because somebody goes on creating some.
	deleteRounds = 100
)

func deleteVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete PATH",
		Short: "delete a znode, or a whole subtree",
		Long: `Deletes a znode that has no children. With --recursive all below it go first,
and the number of nodes deleted is printed; on a terminal, docent asks before.
Exits with 75 if --version is not that of the node. What fails halfway can be
done again. With --recursive, --timeout is for each answer.`,
		Example: "  docent delete /jobs/88123\n  docent delete --recursive --yes /jobs",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	version := addVersion(cmd, "the data")
	recursive := cmd.Flags().Bool("recursive", false, "the nodes below it, too")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := r.path(args[0])
		switch {
		case *recursive && *version != -1:
			return usagef("--recursive and --version exclude each other")
		case path == "/":
			return usagef("/ cannot be deleted; name what is below it")
		}
		if err := out.check(); err != nil {
			return err
		}
		if !*recursive {
			return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
				if err := c.Delete(ctx, path, *version); err != nil {
					return err
				}
				return out.one(e.stdout, deleted{path, 1}, func(io.Writer) error { return nil })
			})
		}
		ctx, life, cancel := timeout.lifeSigns(cmd.Context())
		defer cancel()
		return r.use(ctx, func(c *client.Client) error {
			if !*yes {
				if err := confirmDelete(ctx, life, e, c, path); err != nil {
					return err
				}
			}
			p := newProgress(e, "nodes deleted")
			d := deletion{c: c, told: func(n int) { life.alive(); p.add(n) }}
			err := d.subtree(ctx, path)
			p.done()
			if err != nil {
				return fmt.Errorf("after %d nodes: %w", d.deleted, inWords(ctx, err))
			}
			return out.one(e.stdout, deleted{path, d.deleted}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "deleted %d nodes\n", d.deleted)
				return err
			})
		})
	}
	return cmd
}

// deleted is what a deletion did, as JSON and templates have it.
type deleted struct {
	Path    string `json:"path"`
	Deleted int    `json:"deleted"` // how many nodes
}

// confirmDelete asks a person at a terminal. Scripts are not asked.
func confirmDelete(ctx context.Context, p *lifeSign, e env, c *client.Client, path string) error {
	ask, asked := e.question(ctx)
	if !asked {
		return nil
	}
	n, err := c.CountDescendants(ctx, path)
	if err != nil {
		return err
	}
	p.rest()
	defer p.alive()
	answer, err := ask(fmt.Sprintf("delete %s and the %d nodes below it? [y/N] ", printable(path), n))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
		return errors.New("nothing deleted")
	}
	return nil
}

// question returns how to ask, if there is somebody to be asked.
func (e env) question(ctx context.Context) (ask func(string) (string, error), ok bool) {
	if e.attached != nil {
		return e.attached.more, e.attached.interactive
	}
	_, ok = terminal(e.stdin)
	return func(text string) (string, error) {
		fmt.Fprint(e.stderr, text)
		return bufio.NewReader(e.input(ctx)).ReadString('\n')
	}, ok
}

// deletion deletes subtrees, and holds no more in memory than the lists of children on the way down.
type deletion struct {
	c       *client.Client
	deleted int
	told    func(n int) // gets the number of nodes just deleted
}

// subtree deletes a node and all below it. It is an error if there is none; those below may go by themselves.
func (d *deletion) subtree(ctx context.Context, path string) error {
	if err := d.below(ctx, path); err != nil {
		return err
	}
	for range deleteRounds {
		left, err := d.nodes(ctx, []string{path})
		if err != nil || len(left) == 0 {
			return err
		}
		if err := d.below(ctx, path); err != nil && !errors.Is(err, client.ErrNoNode) {
			return err
		}
	}
	return &client.OpError{Op: "delete", Path: path, Err: client.ErrNotEmpty}
}

// below deletes all below a node: leaves at once, and what turns out to have children behind these.
func (d *deletion) below(ctx context.Context, path string) error {
	names, _, err := d.c.Children(ctx, path)
	if err != nil {
		return err
	}
	d.told(0)
	for chunk := range slices.Chunk(names, deleteBatch) {
		paths := make([]string, len(chunk))
		for i, name := range chunk {
			paths[i] = rooted(path, name)
		}
		left, err := d.nodes(ctx, paths)
		if err != nil {
			return err
		}
		for _, p := range left {
			if err := d.subtree(ctx, p); err != nil && !errors.Is(err, client.ErrNoNode) {
				return err
			}
		}
	}
	return nil
}

// nodes deletes nodes in one go, and returns those that have children. What is gone already counts as deleted by somebody
// else, or by an attempt of ours whose answer was lost.
func (d *deletion) nodes(ctx context.Context, paths []string) (left []string, err error) {
	for {
		s, err := d.c.Session(ctx)
		if err != nil {
			return nil, err
		}
		b := s.Batch()
		results := make([]interface{ Get() (struct{}, error) }, len(paths))
		for i, p := range paths {
			results[i] = b.Delete(p, -1)
		}
		lost := b.Do(ctx)
		var again []string
		n := 0
		for i, f := range results {
			switch _, err := f.Get(); {
			case err == nil:
				n++
			case errors.Is(err, client.ErrNotEmpty):
				left = append(left, paths[i])
			case errors.Is(err, client.ErrNoNode):
			case unanswered(err) && ctx.Err() == nil:
				again = append(again, paths[i])
			default:
				return nil, err
			}
		}
		d.deleted += n
		d.told(n)
		if lost == nil || len(again) == 0 {
			return left, nil
		}
		paths = again
	}
}

// unanswered holds for operations that no server has refused: those that are safe to do twice may be done again.
func unanswered(err error) bool {
	var code client.Code
	return !errors.As(err, &code) || code == client.ErrSessionExpired
}
