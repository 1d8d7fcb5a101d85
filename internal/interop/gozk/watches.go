package main

import (
	"fmt"

	"github.com/go-zookeeper/zk"
)

func watches(e *env, dir string) {
	c, w, n := e.dial(e.addr), e.dial(e.addr), dir+"/n"
	_, _, exist, x := c.ExistsW(n)
	must0(x)
	must(w.Create(n, nil, 0, all()))
	e.eq("watch: created", next(exist), "EventNodeCreated "+n)
	e.eq("watch: one-shot", next(exist), "channel closed")
	_, _, data, x := c.GetW(n)
	must0(x)
	must(w.Set(n, nil, -1))
	e.eq("watch: data changed", next(data), "EventNodeDataChanged "+n)
	_, _, exist, x = c.ExistsW(n)
	must0(x)
	must(w.Set(n, nil, -1))
	e.eq("watch: exists sees data change", next(exist), "EventNodeDataChanged "+n)
	_, _, kids, x := c.ChildrenW(n)
	must0(x)
	must(w.Set(n, nil, -1))
	must(w.Create(n+"/a", nil, 0, all()))
	e.eq("watch: a child came", next(kids), "EventNodeChildrenChanged "+n)
	_, _, kids, x = c.ChildrenW(n)
	must0(x)
	must(w.Set(n+"/a", nil, -1))
	must0(w.Delete(n+"/a", -1))
	e.eq("watch: a child went", next(kids), "EventNodeChildrenChanged "+n)

	_, _, kids, x = c.ChildrenW(n)
	must0(x)
	_, _, data, x = c.GetW(n)
	must0(x)
	_, _, exist, x = c.ExistsW(n)
	must0(x)
	must0(w.Delete(n, -1))
	deleted := "EventNodeDeleted " + n
	e.eq("watch: deleted, for all three kinds", []string{next(kids), next(data), next(exist)}, []string{deleted, deleted, deleted})
}

// watchOrder looks at the events of one connection in the order they came.
func watchOrder(e *env, dir string) {
	l := newLink(e.addr)
	c, w := e.connect(l), e.dial(e.addr)
	for i := range 50 {
		_, _, _, x := c.ExistsW(fmt.Sprintf("%s/%d", dir, i))
		must0(x)
	}
	var got, want []string
	for i := range 50 {
		n := fmt.Sprintf("%s/%d", dir, (i*7)%50)
		must(w.Create(n, nil, 0, all()))
		want = append(want, "EventNodeCreated "+n)
	}
	for range want {
		got = append(got, l.next())
	}
	e.eq("order: 50 events as the writes were made", got, want)

	n := dir + "/x"
	_, _, _, x := c.ExistsW(n)
	must0(x)
	_, _, _, x = c.ChildrenW(dir)
	must0(x)
	must(c.Create(n, nil, 0, all()))
	// The reply to the create is behind both events on the connection, so they are here when it is.
	e.eq("order: own events come before the reply", len(l.events), 2)
	e.eq("order: the node's before its parent's", []string{l.next(), l.next()},
		[]string{"EventNodeCreated " + n, "EventNodeChildrenChanged " + dir})

	_, _, _, x = c.GetW(n)
	must0(x)
	_, _, _, x = c.ChildrenW(n)
	must0(x)
	_, _, _, x = c.ExistsW(dir + "/marker")
	must0(x)
	must0(w.Delete(n, -1))
	must(w.Create(dir+"/marker", nil, 0, all()))
	e.eq("order: one deleted event for data and child watch", []string{l.next(), l.next()},
		[]string{"EventNodeDeleted " + n, "EventNodeCreated " + dir + "/marker"})

	if _, _, _, x = c.GetW(n); x != zk.ErrNoNode {
		panic(fmt.Sprint("getData of a deleted node: ", x))
	}
	_, _, _, x = c.ExistsW(dir + "/marker2")
	must0(x)
	_, x = w.Multi(
		&zk.CreateRequest{Path: n, Acl: all()},
		&zk.CreateRequest{Path: dir + "/marker2", Acl: all()})
	must0(x)
	e.eq("order: a failed getData left no watch", l.next(), "EventNodeCreated "+dir+"/marker2")
}
