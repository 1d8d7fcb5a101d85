package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

func configEditVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit PATH",
		Short: "change a value in an editor",
		Long: `Opens a value in $VISUAL, $EDITOR or vi, and sets it if it was changed. If
somebody else has changed it meanwhile nothing is set, and the exit code is 75.
If it was JSON and is none any more, it is 1. What was written is then kept in a
file.`,
		Example: "  docent config edit config/appmgr/slurm",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		editor, err := findEditor(e.getenv)
		if err = errors.Join(out.check(), err); err != nil {
			return err
		}
		return r.meet(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			w, changed, err := editValue(ctx, c, e, editor, nodePath(args[0]))
			if err != nil || !changed {
				return err
			}
			st, err := w.do(ctx, c)
			if err != nil {
				return keepText(w, err)
			}
			return out.one(e.stdout, newSetting(w.path, w.data, st), func(io.Writer) error { return nil })
		})
	}
	return cmd
}

// findEditor returns the user's editor with its arguments. No shell reads them.
func findEditor(getenv func(string) string) ([]string, error) {
	words := strings.Fields(getenv("VISUAL"))
	if len(words) == 0 {
		words = strings.Fields(getenv("EDITOR"))
	}
	if len(words) == 0 {
		words = []string{"vi"}
	}
	if _, err := lookUp(words[0]); err != nil {
		return nil, err
	}
	return words, nil
}

// editValue has the user edit the value of now, and returns what to write then.
func editValue(ctx context.Context, c *client.Client, e env, editor []string, path string) (w configWrite, changed bool, err error) {
	node, err := c.Get(ctx, path, client.Fresh())
	absent := errors.Is(err, client.ErrNoNode)
	if err != nil && !absent {
		return w, false, err
	}
	w = configWrite{path: path, absent: absent}
	if !absent {
		w.version = &node.Stat.Version
	}
	if w.data, err = runEditor(ctx, e, editor, path, node.Data); err != nil {
		return w, false, err
	}
	if bytes.Equal(w.data, node.Data) {
		return w, false, nil
	}
	if json.Valid(node.Data) && !json.Valid(w.data) {
		return w, false, keepText(w, errors.New("it was JSON, and is none any more"))
	}
	return w, true, nil
}

// runEditor returns what an editor makes of data. The file is for the user's eyes only, as values may hold secrets.
func runEditor(ctx context.Context, e env, editor []string, name string, data []byte) ([]byte, error) {
	dir, err := os.MkdirTemp("", "docent-edit-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, path.Base(name))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.stdin, e.stdout, e.stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w; nothing was changed", editor[0], err)
	}
	return os.ReadFile(file)
}

// keepText puts what was not written into a file, so that no work is lost, and says where.
func keepText(w configWrite, why error) error {
	f, err := os.CreateTemp("", "docent-edit-*-"+path.Base(w.path))
	if err != nil {
		return errors.Join(why, err)
	}
	_, err = f.Write(w.data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(why, err)
	}
	return &exit{code: exitCode(why), err: fmt.Errorf("%w; what you wrote is in %s", why, f.Name())}
}
