package main

import "github.com/spf13/cobra"

func lookingVerbs(env) []*cobra.Command {
	return nil
}
