package main

import "github.com/spf13/cobra"

func wrappingVerbs(e env) []*cobra.Command {
	return []*cobra.Command{lockVerb(e), semVerb(e), electVerb(e), onceVerb(e)}
}
