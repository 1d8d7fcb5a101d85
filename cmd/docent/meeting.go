package main

import "github.com/spf13/cobra"

func meetingVerbs(env) []*cobra.Command {
	return nil
}
