package main

import "github.com/spf13/cobra"

// lookingVerbs show what there is, and change nothing. (docent lock ls stands below lock.)
func lookingVerbs(e env) []*cobra.Command {
	return []*cobra.Command{inspectVerb(e), doctorVerb(e), statusVerb(e), topVerb(e)}
}
