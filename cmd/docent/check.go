package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/docent-io/docent/server"
)

const checkHelp = `usage: docent check FOLDER

Verifies the data folder of a server that is not running: every checksum, every
transaction of the log, and that each snapshot makes a tree. It changes nothing.
What is damaged is named, with file and offset, and the exit code is 1.
`

// checkData verifies a data folder.
func checkData(_ context.Context, e env) error {
	dir, err := parseOne(flag.NewFlagSet("check", flag.ContinueOnError), e, checkHelp)
	if err != nil {
		return err
	}
	info, err := server.CheckData(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, `docent: %s is whole
member %d, started %d times, term %d
log: entries %d to %d in %d segments
snapshots: %d; the newest has %d nodes and %d sessions up to zxid 0x%x
`, dir, info.Member, info.Starts, info.Term, info.FirstEntry, info.LastEntry, info.Segments,
		info.Snapshots, info.Nodes, info.Sessions, info.Zxid)
	return err
}
