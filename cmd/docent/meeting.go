package main

import "github.com/spf13/cobra"

func meetingVerbs(e env) []*cobra.Command {
	return []*cobra.Command{rendezvousVerb(e), barrierVerb(e), groupVerb(e), svcVerb(e), configVerb(e)}
}
