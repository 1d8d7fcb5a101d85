package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// importCount says what an import did, or would do.
type importCount struct {
	Created  int  `json:"created"`
	Same     int  `json:"same"`     // there already, as imported
	Replaced int  `json:"replaced"` // there already with other data or another ACL
	Kept     int  `json:"kept"`     // there already, and left as it is
	Lesser   int  `json:"lesser"`   // created, but not as a container or with a time to live, which the server does not know
	Left     int  `json:"left"`     // ephemerals of the source, left out
	DryRun   bool `json:"dryRun,omitempty"`
}

func (n importCount) String() string {
	verb := "created"
	if n.DryRun {
		verb = "to be created"
	}
	text := fmt.Sprintf("%d nodes %s", n.Created, verb)
	for _, other := range []struct {
		n    int
		what string
	}{{n.Same, "there already"}, {n.Replaced, "replaced"}, {n.Kept, "left as they are"}, {n.Lesser, "without the end of life that the server does not know"}, {n.Left, "ephemerals left out"}} {
		if other.n > 0 {
			text += fmt.Sprintf(", %d %s", other.n, other.what)
		}
	}
	return text
}

// importFlags is how an import is to be done.
type importFlags struct {
	from, fromPath, conflict string
	dry, openACL, counters   bool
}

func importVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import [PATH]",
		Short: "create what export wrote, or what another ensemble has",
		Long: `Creates the znodes of an export on stdin, or those of the ensemble at --from, as
PATH and below it. It may be broken off and done again: what is there as it
should be counts as done. What differs is a conflict: by --on-conflict, docent
fails (1), skips or replaces it. --timeout is for each answer.`,
		Example: "  docent import --dsn zk://new:2181 /app < app.jsonl\n  docent import --from zk://old:2181 --dry-run /app",
		Args:    optionalArgs(nil, "PATH"),
	}
	r, out, f := addRemote(cmd, e), addOutput(cmd), importFlags{}
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "", "`URL` of an ensemble to import from, as --dsn")
	fs.StringVar(&f.fromPath, "from-path", "", "its `PATH` to import, if it is another one")
	fs.StringVar(&f.conflict, "on-conflict", "fail", "`what` to do: fail, skip or replace")
	completeFlag(cmd, "on-conflict", "fail", "skip", "replace")
	fs.BoolVar(&f.openACL, "open-acl", false, "let everybody do everything, whatever the ACLs were")
	fs.BoolVar(&f.counters, "counters", false, "move sequence counters to where they were")
	fs.BoolVar(&f.dry, "dry-run", false, "change nothing, and tell what would be done")
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(f.check(), out.check()); err != nil {
			return err
		}
		path := r.path(optional(args, 0))
		ctx, life, cancel := timeout.lifeSigns(cmd.Context())
		defer cancel()
		stdin := e.input(ctx)
		stdin.waits, stdin.goesOn = life.rest, life.alive
		source, err := f.source(stdin, r, path)
		if err != nil {
			return err
		}
		p := newProgress(e, "nodes imported")
		m := importRun{flags: f, root: path, told: func(n int) { life.alive(); p.add(n) }}
		m.count.DryRun = f.dry
		err = r.use(ctx, func(c *client.Client) error {
			m.c = c
			return m.run(ctx, source)
		})
		p.done()
		if err != nil {
			return fmt.Errorf("after %s: %w", m.count, err)
		}
		return out.one(e.stdout, m.count, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, m.count)
			return err
		})
	}
	return cmd
}

func (f *importFlags) check() error {
	switch {
	case !slices.Contains([]string{"fail", "skip", "replace"}, f.conflict):
		return usagef("--on-conflict %q: want fail, skip or replace", f.conflict)
	case f.fromPath != "" && f.from == "":
		return usagef("--from-path needs --from")
	}
	return nil
}

// importSource gives records to yield, and says what was left out.
type importSource func(ctx context.Context, told func(n int), yield func(exportRecord) error) (exportCount, error)

// source returns where the records come from.
func (f *importFlags) source(stdin io.Reader, r *remote, path string) (importSource, error) {
	if f.from == "" {
		return func(_ context.Context, _ func(int), yield func(exportRecord) error) (exportCount, error) {
			return readExport(stdin, yield)
		}, nil
	}
	r.oneOfTwo = true
	from := *r
	from.dsn = f.from
	theirs, err := from.config()
	if err != nil {
		return nil, &refusal{err, "--from: " + strings.TrimPrefix(err.Error(), "--dsn: ")}
	}
	ours, err := r.config()
	if err != nil {
		return nil, err
	}
	x := exportWalk{root: path, system: theirs.Chroot == ""}
	if f.fromPath != "" {
		x.root = r.path(f.fromPath)
	}
	below := strings.HasPrefix(rooted(ours.Chroot, path)+"/", strings.TrimSuffix(rooted(theirs.Chroot, x.root), "/")+"/")
	if below && slices.ContainsFunc(ours.Servers, func(s string) bool { return slices.Contains(theirs.Servers, s) }) {
		return nil, usagef("--from: %s is within what is to be imported, %s of the same ensemble", path, x.root)
	}
	return func(ctx context.Context, told func(int), yield func(exportRecord) error) (exportCount, error) {
		c, err := from.dialConfig(ctx, theirs)
		if err != nil {
			return exportCount{}, fmt.Errorf("--from: %w", err)
		}
		defer c.Close()
		x.c, x.told = c, func(int) { told(0) }
		err = x.walk(ctx, yield)
		return x.count, err
	}, nil
}

// checkRecord tells what is wrong with a record.
func checkRecord(r *exportRecord) error {
	if !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("the path %q does not begin with /", r.Path)
	}
	if r.TTL != "" && r.Container {
		return fmt.Errorf("%s: a container has no time to live", r.Path)
	}
	if _, err := r.options(false); err != nil {
		return fmt.Errorf("%s: %w", r.Path, err)
	}
	return nil
}

// options returns how to create the node; plain leaves out what not every server knows.
func (r *exportRecord) options(plain bool) (o []client.CreateOption, err error) {
	acl, err := r.acl()
	if err != nil {
		return nil, err
	}
	o = append(o, client.WithACL(acl))
	if r.Container && !plain {
		o = append(o, client.Container())
	}
	if r.TTL != "" {
		d, err := time.ParseDuration(r.TTL)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("time to live %q: want one such as 1h", r.TTL)
		}
		if !plain {
			o = append(o, client.TTL(d))
		}
	}
	return o, nil
}

// acl returns the ACL. A record without one is open to everybody.
func (r *exportRecord) acl() ([]client.ACL, error) {
	if len(r.ACL) == 0 {
		return client.WorldACL(client.PermAll), nil
	}
	var acl []client.ACL
	for _, text := range r.ACL {
		a, ok := parseEntry(text)
		if !ok {
			return nil, fmt.Errorf("ACL %q: want SCHEME:ID:PERMISSIONS", text)
		}
		acl = append(acl, a)
	}
	return acl, nil
}
