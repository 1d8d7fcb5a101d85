package interop_test

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/interop/peers"
)

// cClient runs the checks of ZooKeeper's C client, by its shell. Every read it sends sets a watch.
func cClient(t *testing.T, at target) {
	id := filepath.Join(t.TempDir(), "session")
	c := &cShell{t: t, root: "/interop-c-" + rand.Text()[:12]}
	c.cli = peers.CClient(t, at.addr, id)
	c.other = peers.CClient(t, at.other, "")
	c.client, c.version = "C", c.cli.Version()
	c.nodes()
	c.kinds()
	c.watches()
	c.requests()
	c.sessions(at, id)
	c.done(t, at)
}

type cShell struct {
	report
	t          *testing.T
	root       string
	cli, other *peers.CLI // of one ensemble
}

// do runs a command on a path below the root and compares what it prints, but for times and zxids. $ is the root.
func (c *cShell) do(name, command, want string) {
	c.t.Helper()
	c.is(c.t, name, c.lines(c.cli, command), strings.ReplaceAll(want, "$", c.root))
}

func (c *cShell) lines(cli *peers.CLI, command string) (lines []string) {
	c.t.Helper()
	for _, line := range cli.Do(strings.ReplaceAll(command, "$", c.root)) {
		line = strings.TrimSpace(line)
		changing := strings.HasPrefix(line, "Creating ") || strings.HasPrefix(line, "ctime") || strings.HasPrefix(line, "mtime") ||
			strings.HasPrefix(line, "czxid") || strings.HasPrefix(line, "mzxid") || line == "Stat:"
		if !changing {
			lines = append(lines, strings.ReplaceAll(line, "\t", " "))
		}
	}
	return lines
}

// event compares the next event of the shell.
func (c *cShell) event(name, want string) {
	c.t.Helper()
	c.is(c.t, name, c.cli.Event(), strings.ReplaceAll(want, "$", c.root))
}

func (c *cShell) nodes() {
	c.do("create", "create $", "[$]: rc = 0 | name = $")
	c.do("create: exists", "create $", "[$]: rc = -110")
	c.do("create: no parent", "create $/gap/x", "[$/gap/x]: rc = -101")
	c.do("create: no such path", "create bad", "Path must start with /, found: bad")
	c.do("create: an empty name", "create $//x", "Error -8 for $//x")
	c.do("get", "get $", "$: rc = 0 | value_len = 3 | new | version=0 aversion=0 | ephemeralOwner = 0")
	c.do("get: no node", "get $/none", "$/none: rc = -101 | null")
	c.do("exists: no node", "exists $/none", "Error -101 for $/none")
	c.do("set", "set $ two words", "$: rc = 0 Stat: | version=1 aversion=0 | ephemeralOwner = 0")
	c.event("set: fires the watch of get", "CHANGED $")
	c.do("get: read back", "get $", "$: rc = 0 | value_len = 9 | two words | version=1 aversion=0 | ephemeralOwner = 0")
	c.do("set: no node", "set $/none x", "$/none: rc = -101 Stat: | null")
	c.do("create: a child", "create $/kid", "[$/kid]: rc = 0 | name = $/kid")
	c.do("ls", "ls $", "$: rc = 0 | kid")
	c.do("ls: no node", "ls $/none", "$/none: rc = -101")
	c.do("delete: not empty", "delete $", "$: rc = -111")
	c.do("delete", "delete $/kid", "$/kid: rc = 0")
	c.event("delete: fires the watch of ls", "CHILD $")
	c.do("delete: no node", "delete $/kid", "$/kid: rc = -101")
	c.do("delete: a reserved node", "delete /zookeeper", "/zookeeper: rc = -8")
	c.do("sync", "sync $", "[$]: rc = 0 | name = $")
	c.is(c.t, "sync: the other server has it", append(c.lines(c.other, "sync $")[:1], c.lines(c.other, "get $")[2]),
		"["+c.root+"]: rc = 0 | two words")
}

func (c *cShell) kinds() {
	c.do("create +s", "create +s $/s-", "[$/s-]: rc = 0 | name = $/s-0000000001")
	c.do("create +c: a container", "create +c $/box", "[$/box]: rc = 0 | name = $/box")
	c.do("create +c: has children", "create $/box/kid", "[$/box/kid]: rc = 0 | name = $/box/kid")
	owner := strings.Fields(c.lines(c.cli, "create2 +e $/e")[3])[2]
	c.do("create2 +es: the Stat, with the same owner", "create2 +es $/es-",
		"[$/es-]: rc = 0 | name = $/es-0000000004 | version=0 aversion=0 | ephemeralOwner = "+owner)
	c.do("create: under an ephemeral", "create $/e/kid", "[$/e/kid]: rc = -108")
	c.do("create2: the Stat", "create2 $/two", "[$/two]: rc = 0 | name = $/two | version=0 aversion=0 | ephemeralOwner = 0")
	c.do("create: an unknown kind", "create +q $/q", "Unknown option: q")
}

func (c *cShell) watches() {
	c.do("wexists: no node yet", "wexists $/later", "Error -101 for $/later")
	c.lines(c.other, "create $/later")
	c.event("wexists: created", "CREATED $/later")
	c.lines(c.cli, "wexists $/later")
	c.lines(c.other, "set $/later x")
	c.event("wexists: changed", "CHANGED $/later")
	c.lines(c.other, "set $/later y")
	c.lines(c.cli, "sync $\nget $/later")
	c.lines(c.cli, "ls $/later")
	c.lines(c.other, "create $/later/kid")
	c.event("ls: a child; and none of the spent watches", "CHILD $/later")
	c.lines(c.other, "delete $/later/kid")
	c.lines(c.other, "delete $/later")
	c.event("get: deleted", "DELETED $/later")
}

// requests: several under way, and those of the administrator, which nobody has allowed.
func (c *cShell) requests() {
	c.do("async: answers in the order of the requests", "acreate $/a\naset $/a 1\naget $/a\nadelete $/a",
		"[$/a]: rc = 0 | name = $/a | $/a: rc = 0 Stat: | version=1 aversion=0 | ephemeralOwner = 0 | "+
			"$/a: rc = 0 | value_len = 1 | 1 | version=1 aversion=0 | ephemeralOwner = 0 | $/a: rc = 0")
	c.is(c.t, "async: the watch of the get", c.cli.Event(), "DELETED "+c.root+"/a")
	c.do("ls: /zookeeper", "ls /zookeeper", "/zookeeper: rc = 0 | config | quota")
	c.is(c.t, "config: may be read", c.lines(c.cli, "config")[0], "/zookeeper/config: rc = 0")
	c.do("addauth", "addauth digest u:p", "")
	c.do("addauth: goes on", "sync $", "[$]: rc = 0 | name = $")
}

func (c *cShell) sessions(at target, id string) {
	c.lines(c.other, "sync $\nwexists $/e")
	c.cli.Kill()
	again := peers.CClient(c.t, at.other, id)
	c.is(c.t, "session: a new process comes back to it, at the other server", c.lines(again, "set $/e mine")[0], c.root+"/e: rc = 0 Stat:")
	c.is(c.t, "session: its ephemeral is there still", c.other.Event(), "CHANGED "+c.root+"/e")
	mayfly := peers.CClient(c.t, at.addr, "")
	c.lines(mayfly, "create +e $/mayfly")
	c.lines(c.other, "sync $\nwexists $/mayfly")
	mayfly.Send("quit") // keeps a session that came from a file
	c.is(c.t, "session: its end deletes the ephemeral", c.other.Event(), "DELETED "+c.root+"/mayfly")
	liar := peers.CClient(c.t, at.addr, "")
	liar.Send("addauth moon x")
	c.is(c.t, "addauth: an unknown scheme ends the client", liar.Event(), "AUTH_FAILED")
}
