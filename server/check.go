package server

import (
	"io"

	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/tree"
)

// DataInfo says what a data folder holds.
type DataInfo struct {
	Member, Starts, Term  uint64
	Segments, Snapshots   int
	FirstEntry, LastEntry uint64 // of the log, 0 if it is empty
	Nodes, Sessions       int    // in the newest snapshot, 0 if there is none
	Zxid                  int64  // of the newest snapshot
}

// CheckData verifies the data folder of a server that does not run: the log down to every transaction, the snapshots up
// to the trees they make, and the stable store. It changes nothing. The error tells all that is wrong, with file and
// offset; a folder in use is an error, too.
func CheckData(dir string) (DataInfo, error) {
	var info DataInfo
	var x tree.Txn
	r, err := replica.Check(dir, func(r io.Reader) error {
		t, err := tree.Restore(r)
		if err == nil && t.Zxid() >= info.Zxid {
			info.Zxid, info.Nodes, info.Sessions = t.Zxid(), t.Counts().Nodes, t.Counts().Sessions
		}
		return err
	}, x.Decode)
	info.Member, info.Starts, info.Term = r.Member, r.Incarnation, r.Term
	info.Segments, info.Snapshots, info.FirstEntry, info.LastEntry = r.Segments, r.Snapshots, r.First, r.Last
	return info, err
}
