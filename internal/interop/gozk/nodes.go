package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

func nodes(e *env, dir string) {
	c, n := e.dial(e.addr), dir+"/n"
	e.eq("create: answers the path", must(c.Create(n, []byte("one"), 0, all())), n)
	data, st, x := c.Get(n)
	must0(x)
	e.eq("getData: the data", string(data), "one")
	e.eq("getData: versions of a new node", []int32{st.Version, st.Cversion, st.Aversion}, []int32{0, 0, 0})
	e.eq("getData: czxid, mzxid and pzxid are one", []int64{st.Mzxid, st.Pzxid}, []int64{st.Czxid, st.Czxid})
	e.eq("getData: dataLength, numChildren, ephemeralOwner",
		[]int64{int64(st.DataLength), int64(st.NumChildren), st.EphemeralOwner}, []int64{3, 0, 0})
	e.eq("getData: ctime is mtime, near the present",
		st.Ctime == st.Mtime && time.Since(time.UnixMilli(st.Ctime)).Abs() < time.Minute, true)
	e.eq("create: node exists", err(c.Create(n, nil, 0, all())), zk.ErrNodeExists)
	e.eq("create: no parent", err(c.Create(dir+"/gap/n", nil, 0, all())), zk.ErrNoNode)
	e.eq("create: without an ACL", err(c.Create(dir+"/noacl", nil, 0, nil)), zk.ErrInvalidACL)
	e.eq("create: a forbidden character", err(c.Create(dir+"/\U0001F600", nil, 0, all())), zk.ErrBadArguments)
	e.eq("getData: no node", err2(c.Get(dir+"/none")), zk.ErrNoNode)
	there, found, x := c.Exists(n)
	must0(x)
	e.eq("exists: true, and the Stat of getData", fmt.Sprint(there, *found), fmt.Sprint(true, *st))
	there, _, x = c.Exists(dir + "/none")
	e.eq("exists: false", fmt.Sprint(there, x), "false <nil>")

	set := must(c.Set(n, []byte("second"), 0))
	e.eq("setData: version and dataLength", []int32{set.Version, set.DataLength}, []int32{1, 6})
	e.eq("setData: mzxid grows, czxid and pzxid stay",
		set.Mzxid > st.Mzxid && set.Czxid == st.Czxid && set.Pzxid == st.Pzxid, true)
	e.eq("setData: bad version", err(c.Set(n, nil, 0)), zk.ErrBadVersion)
	e.eq("setData: any version", must(c.Set(n, []byte{}, -1)).Version, 2)
	e.eq("setData: no node", err(c.Set(dir+"/none", nil, -1)), zk.ErrNoNode)
	data, _, x = c.Get(n)
	must0(x)
	e.eq("setData: empty is not null", data != nil && len(data) == 0, true)
	must(c.Set(n, nil, -1))
	data, _, x = c.Get(n)
	must0(x)
	e.eq("setData: null is not empty", data == nil, true)

	must(c.Create(n+"/kid", nil, 0, all()))
	e.eq("delete: not empty", c.Delete(n, -1), zk.ErrNotEmpty)
	e.eq("delete: bad version", c.Delete(n+"/kid", 3), zk.ErrBadVersion)
	e.eq("delete: the right version", c.Delete(n+"/kid", 0), nil)
	e.eq("delete: no node", c.Delete(n+"/kid", -1), zk.ErrNoNode)
	e.eq("delete: reserved", c.Delete("/zookeeper", -1), zk.ErrBadArguments)
}

func kinds(e *env, dir string) {
	c := e.dial(e.addr)
	eph := must(c.Create(dir+"/e", nil, zk.FlagEphemeral, all()))
	_, st, x := c.Get(eph)
	must0(x)
	e.eq("ephemeral: owner", st.EphemeralOwner, c.SessionID())
	e.eq("ephemeral: no children", err(c.Create(eph+"/kid", nil, 0, all())), zk.ErrNoChildrenForEphemerals)
	e.eq("ephemeral: sequential", must(c.Create(dir+"/es-", nil, zk.FlagEphemeral|zk.FlagSequence, all())), dir+"/es-0000000001")

	box := must(c.CreateContainer(dir+"/box", []byte("b"), zk.FlagContainer, all()))
	e.eq("container: path", box, dir+"/box")
	data, st, x := c.Get(box)
	must0(x)
	e.eq("container: data, and no owner on the wire", fmt.Sprint(string(data), st.EphemeralOwner), "b0")
	e.eq("container: has children", must(c.Create(box+"/kid", nil, 0, all())), box+"/kid")

	prot := must(c.CreateProtectedEphemeralSequential(dir+"/p-", nil, all()))
	e.eq("protected: name", strings.HasPrefix(prot, dir+"/_c_") && strings.HasSuffix(prot, "-p-0000000003"), true)
}

func counters(e *env, dir string) {
	c := e.dial(e.addr)
	seq := func(name string) string {
		return strings.TrimPrefix(must(c.Create(dir+"/"+name, nil, zk.FlagSequence, all())), dir+"/")
	}
	_, before, x := c.Exists(dir)
	must0(x)
	e.eq("sequence: first", seq("q-"), "q-0000000000")
	must(c.Create(dir+"/plain", nil, 0, all()))
	e.eq("sequence: plain creates count", seq("q-"), "q-0000000002")
	must0(c.Delete(dir+"/q-0000000002", -1))
	e.eq("sequence: deletes do not set it back", seq("q-"), "q-0000000003")
	names, st, x := c.Children(dir)
	must0(x)
	slices.Sort(names)
	e.eq("getChildren2: names", names, []string{"plain", "q-0000000000", "q-0000000003"})
	e.eq("getChildren2: cversion and numChildren", []int32{st.Cversion, st.NumChildren}, []int32{5, 3})
	e.eq("getChildren2: pzxid grew, mzxid stayed", st.Pzxid > before.Pzxid && st.Mzxid == before.Mzxid, true)
	_, last, x := c.Exists(dir + "/q-0000000003")
	must0(x)
	e.eq("getChildren2: pzxid is the last child's czxid", st.Pzxid, last.Czxid)
	e.eq("getChildren2: no node", err2(c.Children(dir+"/none")), zk.ErrNoNode)
	empty, _, x := c.Children(dir + "/plain")
	must0(x)
	e.eq("getChildren2: none", len(empty), 0)

	var wg sync.WaitGroup
	made := make([]string, 200)
	for i := range made {
		wg.Go(func() { made[i], _ = c.Create(dir+"/plain/", nil, zk.FlagSequence, all()) })
	}
	wg.Wait()
	slices.Sort(made)
	want := make([]string, len(made))
	for i := range want {
		want[i] = fmt.Sprintf("%s/plain/%010d", dir, i)
	}
	e.eq("sequence: 200 at once are numbered without gap or repeat", made, want)
}

// large reaches the frame limit of 1048575 bytes, which a setData of this length hits exactly.
func large(e *env, dir string) {
	c := e.dial(e.addr)
	n := must(c.Create(dir+"/big", nil, 0, all()))
	room := 0xFFFFF - (8 + 4 + len(n) + 4 + 4)
	blob := bytes.Repeat([]byte("docent "), room/7+1)[:room]
	e.eq("limit: the largest frame", must(c.Set(n, blob, -1)).DataLength, room)
	data, _, x := c.Get(n)
	must0(x)
	e.eq("limit: read back", bytes.Equal(data, blob), true)
	// The server closes the connection at the header, so the client may see its own write fail.
	e.eq("limit: one byte more is refused", err(c.Set(n, append(blob, 0), -1)) != nil, true)
	_, st, x := e.conns[0].Exists(n)
	must0(x)
	e.eq("limit: and changes nothing", []int32{st.Version, st.DataLength}, []int{1, room})
}

func multi(e *env, dir string) {
	c, n := e.dial(e.addr), dir+"/m"
	got, x := c.Multi(
		&zk.CreateRequest{Path: n, Acl: all()},
		&zk.CreateRequest{Path: n + "/s-", Acl: all(), Flags: zk.FlagSequence},
		&zk.SetDataRequest{Path: n, Data: []byte("x"), Version: 0},
		&zk.CheckVersionRequest{Path: n, Version: 1},
		&zk.DeleteRequest{Path: n + "/s-0000000000", Version: -1})
	must0(x)
	e.eq("multi: paths of creates", []string{got[0].String, got[1].String}, []string{n, n + "/s-0000000000"})
	e.eq("multi: Stat of setData", got[2].Stat.Version, 1)
	_, st, x := c.Exists(n)
	must0(x)
	e.eq("multi: one zxid", st.Mzxid == st.Czxid && st.Pzxid == st.Czxid, true)

	got, x = c.Multi(
		&zk.CreateRequest{Path: n + "/s-", Acl: all(), Flags: zk.FlagSequence},
		&zk.CheckVersionRequest{Path: n, Version: 7},
		&zk.DeleteRequest{Path: n, Version: -1})
	e.eq("multi: fails with the first error", x, zk.ErrBadVersion)
	e.eq("multi: results name the guilty one", []error{got[0].Error, got[1].Error}, []error{nil, zk.ErrBadVersion})
	e.eq("multi: the rest was not tried", got[2].Error != nil && got[2].Error != zk.ErrNotEmpty, true)
	_, after, x := c.Exists(n)
	must0(x)
	e.eq("multi: nothing happened", *after, *st)
	e.eq("multi: the counter was rolled back", must(c.Create(n+"/s-", nil, zk.FlagSequence, all())), n+"/s-0000000001")
	one := func(op any) error {
		_, x := c.Multi(op)
		return x
	}
	e.eq("multi: check of no node", one(&zk.CheckVersionRequest{Path: dir + "/none"}), zk.ErrNoNode)
	e.eq("multi: create of a node that exists", one(&zk.CreateRequest{Path: n, Acl: all()}), zk.ErrNodeExists)
	e.eq("multi: delete of a full node", one(&zk.DeleteRequest{Path: n, Version: -1}), zk.ErrNotEmpty)
	e.eq("multi: check that holds", one(&zk.CheckVersionRequest{Path: n, Version: 1}), nil)
}
