package interop_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/interop/peers"
)

// zkCLI runs the checks of ZooKeeper's command-line client. Its client below a chroot goes through a proxy, for zkCli
// cannot be told to lose its connection.
func zkCLI(t *testing.T, d peers.Distribution, at target) {
	root := "/interop-zkcli-" + rand.Text()[:12]
	proxy := peers.NewProxy(t, at.addr)
	z := &zkcli{t: t, at: at, root: root, proxy: proxy, java: d}
	z.bare = d.ZkCLI(t, at.other, sessionTimeout)
	z.is("create: a root for the chroot", z.bare.Do("create "+root), "Created "+root)
	z.bare.Do("sync " + root)
	z.cli = d.ZkCLI(t, proxy.Addr+root, sessionTimeout)
	z.client, z.version = "zkCli", z.cli.Version()
	z.nodes()
	z.sequences()
	z.acls()
	z.watches()
	z.persistentWatches()
	z.reattach()
	z.sessionEnds()
	z.done(t, at)
}

type zkcli struct {
	report
	t     *testing.T
	at    target
	java  peers.Distribution
	root  string
	proxy *peers.Proxy
	cli   *peers.CLI // its paths begin at root
	bare  *peers.CLI // without chroot, through the other server
}

// is is one check: what a command printed, or an event.
func (z *zkcli) is(name string, got any, want string) {
	z.t.Helper()
	z.report.is(z.t, name, got, want)
}

// do runs a command and compares what it prints.
func (z *zkcli) do(name, command, want string) {
	z.t.Helper()
	z.is(name, z.cli.Do(command), want)
}

// stat runs a command that ends with a Stat and returns its fields by the names zkCli prints.
func (z *zkcli) stat(command string) map[string]string {
	fields := make(map[string]string)
	for _, line := range z.cli.Do(command) {
		if name, value, ok := strings.Cut(line, " = "); ok {
			fields[name] = value
		}
	}
	return fields
}

// fields joins some fields of a Stat.
func fields(st map[string]string, names ...string) string {
	var out []string
	for _, n := range names {
		out = append(out, st[n])
	}
	return strings.Join(out, " ")
}

func (z *zkcli) nodes() {
	z.do("create", "create /a one", "Created /a")
	z.do("get", "get /a", "one")
	st := z.stat("get -s /a")
	z.is("get -s: versions, length, children, owner",
		fields(st, "dataVersion", "cversion", "aclVersion", "dataLength", "numChildren", "ephemeralOwner"), "0 0 0 3 0 0x0")
	z.is("get -s: mZxid and pZxid of a new node", fields(st, "mZxid", "pZxid"), fields(st, "cZxid", "cZxid"))
	z.is("get -s: mtime of a new node", st["mtime"], st["ctime"])
	z.is("stat: the same", fmt.Sprint(z.stat("stat /a")), fmt.Sprint(st))
	z.do("create: exists", "create /a x", "Node already exists: /a")
	z.do("create: no parent", "create /gap/a x", "Node does not exist: /gap/a")
	z.do("get: no node", "get /none", "Node does not exist: /none")
	z.do("stat: no node", "stat /none", "Node does not exist: /none")
	z.do("set", "set /a second", "")
	z.do("set: read back", "get /a", "second")
	set := z.stat("set -s -v 1 /a third")
	z.is("set -v: the right version", fields(set, "dataVersion", "dataLength", "cZxid", "pZxid"), "2 5 "+fields(st, "cZxid", "pZxid"))
	z.is("set -v: mZxid moved on", set["mZxid"] != st["mZxid"], "true")
	z.do("set -v: a wrong version", "set -v 1 /a x", "version No is not valid : /a")
	z.do("set: no node", "set /none x", "Node does not exist: /none")
	z.do("create: without data", "create /null", "Created /null")
	z.do("get: null is not empty", "get /null", "null")
	z.do("create: a child", "create /a/kid x", "Created /a/kid")
	z.do("delete: not empty", "delete /a", "Node not empty: /a")
	z.do("delete -v: a wrong version", "delete -v 3 /a/kid", "version No is not valid : /a/kid")
	z.do("delete -v: the right version", "delete -v 0 /a/kid", "")
	z.do("delete: gone", "get /a/kid", "Node does not exist: /a/kid")
	z.do("delete: no node", "delete /a/kid", "Node does not exist: /a/kid")
	after := z.stat("stat /a")
	z.is("parent: cversion and children after a create and a delete", fields(after, "cversion", "numChildren", "dataVersion"), "2 0 2")
	z.is("parent: pZxid moved, mZxid did not", fmt.Sprint(after["pZxid"] != st["pZxid"], after["mZxid"] == set["mZxid"]), "true true")
	z.do("create -c: a container", "create -c /box b", "Created /box")
	z.is("create -c: no owner shown", z.stat("stat /box")["ephemeralOwner"], "0x0")
	z.do("create -c: has children", "create /box/kid x", "Created /box/kid")
	z.do("sync", "sync /a", "Sync is OK")
	z.is("sync: the other server has it", []string{z.bare.Do("sync " + z.root)[0], z.bare.Do("get " + z.root + "/a")[0]}, "Sync is OK | third")
}

func (z *zkcli) sequences() {
	z.do("create: a directory", "create /q", "Created /q")
	z.do("create -s: the first", "create -s /q/s-", "Created /q/s-0000000000")
	z.do("create: one between", "create /q/plain x", "Created /q/plain")
	z.do("create -s: counts every create", "create -s /q/s- x", "Created /q/s-0000000002")
	z.cli.Do("delete /q/s-0000000002")
	z.do("create -s: is not set back by a delete", "create -s /q/s- x", "Created /q/s-0000000003")
	z.do("create -e", "create -e /q/e x", "Created /q/e")
	z.do("create -s -e", "create -s -e /q/es- x", "Created /q/es-0000000005")
	owner := z.stat("stat /q/e")["ephemeralOwner"]
	z.is("create -e: an owner, the same for both",
		fmt.Sprint(owner != "0x0", z.stat("stat /q/es-0000000005")["ephemeralOwner"] == owner), "true true")
	z.do("create: under an ephemeral", "create /q/e/kid x", "Ephemerals cannot have children: /q/e/kid")
	z.do("ls", "ls /q", "[e, es-0000000005, plain, s-0000000000, s-0000000003]")
	ls := z.cli.Do("ls -s /q")
	z.is("ls -s: names, then the Stat", []string{ls[0], ls[6], ls[11]},
		"[e, es-0000000005, plain, s-0000000000, s-0000000003] | cversion = 7 | numChildren = 5")
	z.do("ls: none", "ls /q/plain", "[]")
	z.do("ls: no node", "ls /none", "Node does not exist: /none")
	z.do("ls -R", "ls -R /q", "/q | /q/e | /q/es-0000000005 | /q/plain | /q/s-0000000000 | /q/s-0000000003")
	z.is("ls: /zookeeper is listed", strings.Contains(z.bare.Do("ls /")[0], "zookeeper"), "true")
	z.do("deleteall", "deleteall /q", "")
	z.do("deleteall: gone", "stat /q", "Node does not exist: /q")
}

func (z *zkcli) acls() {
	z.cli.Do("create /acl x")
	z.do("getAcl: open by default", "getAcl /acl", "'world,'anyone | : cdrwa")
	st := z.stat("stat /acl")
	set := z.stat("setAcl -s /acl world:anyone:ra")
	z.is("setAcl -s: aclVersion moves, mZxid does not", fields(set, "aclVersion", "dataVersion", "mZxid"), "1 0 "+st["mZxid"])
	z.do("getAcl: read back", "getAcl /acl", "'world,'anyone | : ra")
	z.is("getAcl -s: the Stat", z.stat("getAcl -s /acl")["aclVersion"], "1")
	z.do("setAcl -v: a wrong version", "setAcl -v 7 /acl world:anyone:cdrwa", "version No is not valid : /acl")
	z.do("setAcl: no node", "setAcl /none world:anyone:r", "Node does not exist: /none")
	z.do("setAcl: an unknown scheme", "setAcl /acl moon:x:r", "Acl is not valid : /acl")
	z.do("set: no permission", "set /acl y", "Insufficient permission : /acl")
	z.do("create: no permission on the parent", "create /acl/kid y", "Insufficient permission : /acl/kid")
	z.do("setAcl -v: the right version", "setAcl -v 1 /acl world:anyone:cdrwa", "")
	z.do("addauth", "addauth digest u:p", "")
	z.do("create: with the ACL auth", "create /mine secret auth::cdrwa", "Created /mine")
	z.do("getAcl: auth is stored as the digest", "getAcl /mine", "'digest,'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ= | : cdrwa")
	z.bare.Do("sync " + z.root)
	mine := z.root + "/mine"
	z.is("get: a stranger has no permission", z.bare.Do("get "+mine), "Insufficient permission : "+mine)
	z.do("get: the owner has", "get /mine", "secret")
}

func (z *zkcli) watches() {
	z.cli.Do("create /w x")
	z.bare.Do("sync " + z.root)
	w := z.root + "/w"
	z.do("get -w", "get -w /w", "x")
	z.bare.Do("set " + w + " y")
	z.is("get -w: the event, below the chroot", z.cli.Event(), "NodeDataChanged /w")
	z.cli.Do("stat -w /w")
	z.bare.Do("set " + w + " z")
	z.is("stat -w: the event", z.cli.Event(), "NodeDataChanged /w")
	z.bare.Do("set " + w + " zz")
	z.do("ls -w", "ls -w /w", "[]")
	z.bare.Do("create " + w + "/kid")
	z.is("ls -w: the event, and none of the spent watches", z.cli.Event(), "NodeChildrenChanged /w")
	z.do("stat -w: no node", "stat -w /ghost", "Node does not exist: /ghost")
	z.bare.Do("create " + z.root + "/ghost")
	z.is("stat -w: NodeCreated", z.cli.Event(), "NodeCreated /ghost")
	z.cli.Do("get -w /w/kid")
	z.cli.Do("ls -w /w/kid")
	z.cli.Do("ls -w /w")
	z.bare.Do("delete " + w + "/kid")
	z.is("delete: one event for get -w and ls -w, then the parent's", []string{z.cli.Event(), z.cli.Event()},
		"NodeDeleted /w/kid | NodeChildrenChanged /w")
	z.cli.Do("stat -w /own")
	z.cli.Do("create /own x")
	z.is("stat -w: an own write fires it", z.cli.Event(), "NodeCreated /own")

	z.cli.Do("get -w /w")
	z.do("removewatches -d", "removewatches -d /w", "")
	z.is("removewatches -d: the client's event", z.cli.Event(), "DataWatchRemoved /w")
	z.do("removewatches: none of this kind", "removewatches -c /w", "KeeperErrorCode = No such watcher for /w")
	z.cli.Do("ls -w /w")
	z.bare.Do("set " + w + " unwatched")
	z.bare.Do("create " + w + "/kid2")
	z.is("removewatches -d: the watch is gone", z.cli.Event(), "NodeChildrenChanged /w")
}

func (z *zkcli) persistentWatches() {
	z.cli.Do("create /p x")
	z.cli.Do("create /p/kid x")
	z.bare.Do("sync " + z.root)
	p := z.root + "/p"
	z.do("addWatch -m PERSISTENT", "addWatch -m PERSISTENT /p", "")
	z.bare.Do("set " + p + " 1")
	z.bare.Do("set " + p + " 2")
	z.bare.Do("set " + p + "/kid 1")
	z.bare.Do("create " + p + "/kid2")
	z.is("addWatch: stays, and sees the node and its children's names",
		[]string{z.cli.Event(), z.cli.Event(), z.cli.Event()}, "NodeDataChanged /p | NodeDataChanged /p | NodeChildrenChanged /p")
	z.do("removewatches: a persistent one", "removewatches /p", "")
	z.is("removewatches: the client's event", z.cli.Event(), "PersistentWatchRemoved /p")

	z.cli.Do("create /r x")
	z.cli.Do("create /r/kid x")
	z.bare.Do("sync " + z.root)
	r := z.root + "/r"
	z.do("addWatch -m PERSISTENT_RECURSIVE", "addWatch -m PERSISTENT_RECURSIVE /r", "")
	z.bare.Do("set " + r + "/kid 2")
	z.bare.Do("create " + r + "/kid/grandkid")
	z.bare.Do("delete " + r + "/kid/grandkid")
	z.is("addWatch: recursive sees the subtree, without child events", []string{z.cli.Event(), z.cli.Event(), z.cli.Event()},
		"NodeDataChanged /r/kid | NodeCreated /r/kid/grandkid | NodeDeleted /r/kid/grandkid")
}

// reattach cuts the connection under watches of all kinds (the recursive one of /r among them) and leads the client to
// the other server.
func (z *zkcli) reattach() {
	z.cli.Do("create -e /kept x")
	owner := z.stat("stat /kept")["ephemeralOwner"]
	for _, n := range []string{"/data", "/parent", "/deleted"} {
		z.cli.Do("create " + n + " x")
	}
	z.bare.Do("sync " + z.root)
	z.cli.Do("get -w /data")
	z.cli.Do("ls -w /parent")
	z.cli.Do("stat -w /deleted")
	z.cli.Do("stat -w /created")
	z.proxy.Cut("")
	z.is("re-attach: disconnected", z.cli.Event(), "Disconnected")
	z.bare.Do("set " + z.root + "/data y")
	z.bare.Do("create " + z.root + "/parent/kid")
	z.bare.Do("delete " + z.root + "/deleted")
	z.bare.Do("create " + z.root + "/created")
	z.proxy.Lead(z.at.other)
	z.is("re-attach: connected again", z.cli.Event(), "SyncConnected")
	z.is("setWatches2: what changed meanwhile",
		slices.Sorted(slices.Values([]string{z.cli.Event(), z.cli.Event(), z.cli.Event(), z.cli.Event()})),
		"NodeChildrenChanged /parent | NodeCreated /created | NodeDataChanged /data | NodeDeleted /deleted")
	z.bare.Do("set " + z.root + "/r/kid again")
	z.is("setWatches2: the recursive watch is armed again", z.cli.Event(), "NodeDataChanged /r/kid")
	z.is("re-attach: the ephemeral is the session's still", z.stat("stat /kept")["ephemeralOwner"], owner)
	z.do("re-attach: the client authenticates again", "get /mine", "secret")
	z.do("re-attach: and writes", "set -v 0 /kept y", "")
}

func (z *zkcli) sessionEnds() {
	kept := z.root + "/kept"
	z.bare.Do("sync " + z.root)
	z.bare.Do("stat -w " + kept)
	z.cli.Send("close")
	z.is("close: the ephemeral goes with its session", z.bare.Event(), "NodeDeleted "+kept)

	second := z.java.ZkCLI(z.t, z.proxy.Addr+z.root, sessionTimeout)
	z.is("expiry: an ephemeral of another session", second.Do("create -e /doomed"), "Created /doomed")
	doomed := z.root + "/doomed"
	z.bare.Do("sync " + z.root)
	z.bare.Do("stat -w " + doomed)
	z.is("expiry: its name is taken", z.bare.Do("create -e "+doomed), "Node already exists: "+doomed)
	z.proxy.Cut("")
	z.is("expiry: the client is cut off", second.Event(), "Disconnected")
	z.is("expiry: the ephemeral is deleted", z.bare.Event(), "NodeDeleted "+doomed)
	z.proxy.Lead(z.at.addr)
	z.is("expiry: the client is told", second.Event(), "Expired")
	z.is("expiry: the name is free", z.bare.Do("create -e "+doomed), "Created "+doomed)
}
