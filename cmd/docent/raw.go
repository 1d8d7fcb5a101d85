package main

import "github.com/spf13/cobra"

// rawVerbs are the operations on znodes, one by one and many at once.
func rawVerbs(e env) []*cobra.Command {
	return []*cobra.Command{getVerb(e)}
}
