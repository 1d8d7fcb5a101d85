package tree

import (
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// ConfigPath is the node that tells clients who belongs to the ensemble.
const ConfigPath = "/zookeeper/config"

// members writes the list of members, if it still is the one that the proposer wants to replace; else it fails with
// ErrBadVersion. The list's version is the transaction that wrote it, as in ZooKeeper, and the node's is always -1.
func (a *application) members() Result {
	n := a.t.Node(ConfigPath)
	if n.mzxid != a.x.Seen {
		return Result{Err: wire.ErrBadVersion}
	}
	data := fmt.Appendf(nil, "%s\nversion=%x", a.x.Members, a.zxid)
	n = a.t.own(n.number)
	a.t.counts.DataSize += int64(len(data) - len(n.data))
	n.setData(data)
	n.version = -1
	n.mzxid, n.mtime = a.zxid, a.now
	a.t.changed(n)
	a.emit(wire.EventDataChanged, n)
	return Result{Stat: n.Stat()}
}

// Members returns the list of members as it stands in ConfigPath, without its version, and the transaction that wrote it.
func (t *Tree) Members() (list string, mzxid int64) {
	n := t.Node(ConfigPath)
	list = string(n.data)
	if i := strings.LastIndex(list, "\nversion="); i >= 0 {
		list = list[:i]
	}
	return list, n.mzxid
}
