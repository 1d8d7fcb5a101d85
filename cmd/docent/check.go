package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/server"
)

func checkVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "check FOLDER",
		Short: "verify the data folder of a server that is not running",
		Long: `Verifies the data folder of a server that is not running: every checksum, every
transaction of the log, and that each snapshot makes a tree. It changes nothing.
What is damaged is named, with file and offset, and the exit code is 1.`,
		Example: "  docent check /var/lib/docent",
		Args:    exactArgs("FOLDER"),
		RunE:    func(cmd *cobra.Command, args []string) error { return checkData(args[0], cmd.OutOrStdout()) },
	}
}

// checkData verifies a data folder.
func checkData(dir string, w io.Writer) error {
	info, err := server.CheckData(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `docent: %s is whole
member %d, started %d times, term %d
log: entries %d to %d in %d segments
snapshots: %d; the newest has %d nodes and %d sessions up to zxid 0x%x
`, dir, info.Member, info.Starts, info.Term, info.FirstEntry, info.LastEntry, info.Segments,
		info.Snapshots, info.Nodes, info.Sessions, info.Zxid)
	return err
}
