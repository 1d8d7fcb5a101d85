package main

import "github.com/spf13/cobra"

func wrappingVerbs(env) []*cobra.Command {
	return nil
}
