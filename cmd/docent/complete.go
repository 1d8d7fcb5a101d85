package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// completeWithin is how long a person at a shell waits for names of nodes.
const completeWithin = time.Second

// completePath completes the first argument of a verb as the path of a node, for the completions of shells. What fails
// is no completion, and no message in the middle of somebody's line.
func (r *remote) completePath(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	var paths []string
	err := r.use(ctx, func(c *client.Client) (err error) {
		paths, err = r.below(ctx, c, word)
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	}
	return paths, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeFlag has shells complete a flag by the words it takes.
func completeFlag(cmd *cobra.Command, name string, choices ...string) {
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)) // it is there
}

// below returns the paths of the nodes that a word can be completed to, written as the word is: those of one level.
func (r *remote) below(ctx context.Context, c *client.Client, word string) ([]string, error) {
	dir, begun := "", word
	if i := strings.LastIndexByte(word, '/'); i >= 0 {
		dir, begun = word[:i+1], word[i+1:]
	}
	names, _, err := c.Children(ctx, r.path(dir))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range names {
		if strings.HasPrefix(name, begun) {
			paths = append(paths, dir+name)
		}
	}
	slices.Sort(paths)
	return paths, nil
}
