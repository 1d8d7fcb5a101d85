package main

import (
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
)

func closeSession(e *env, dir string) {
	c, other := e.dial(e.addr), e.dial(e.other)
	var gone []<-chan zk.Event
	for i := range 3 {
		n := must(c.Create(fmt.Sprintf("%s/e%d", dir, i), nil, zk.FlagEphemeral, all()))
		must(other.Sync(n))
		there, _, ch, x := other.ExistsW(n)
		must0(x)
		e.eq("ephemeral: seen by the other client, "+fmt.Sprint(i), there, true)
		gone = append(gone, ch)
	}
	e.eq("ephemeral: taken for another session", err(other.Create(dir+"/e0", nil, zk.FlagEphemeral, all())), zk.ErrNodeExists)
	c.Close()
	for i, ch := range gone {
		e.eq("closeSession: deletes ephemeral "+fmt.Sprint(i), next(ch), fmt.Sprintf("EventNodeDeleted %s/e%d", dir, i))
	}
	names, st, x := other.Children(dir)
	must0(x)
	e.eq("closeSession: the parent counts three deletes", fmt.Sprint(len(names), st.Cversion), "0 6")
}

// reattach cuts a connection, changes what it watched, and lets it come back through the other server.
func reattach(e *env, dir string) {
	l := newLink(e.addr)
	c, w := e.connect(l), e.dial(e.addr)
	path := func(name string) string { return dir + "/" + name }
	for _, n := range []string{"data", "deleted", "parent", "quiet"} {
		must(c.Create(path(n), nil, 0, all()))
	}
	eph := must(c.Create(path("eph"), nil, zk.FlagEphemeral, all()))
	session := c.SessionID()
	watch := func(_ any, _ any, ch <-chan zk.Event, x error) <-chan zk.Event {
		must0(x)
		return ch
	}
	getW := func(n string) <-chan zk.Event { d, s, ch, x := c.GetW(path(n)); return watch(d, s, ch, x) }
	existsW := func(n string) <-chan zk.Event { d, s, ch, x := c.ExistsW(path(n)); return watch(d, s, ch, x) }
	childrenW := func(n string) <-chan zk.Event { d, s, ch, x := c.ChildrenW(path(n)); return watch(d, s, ch, x) }
	data, deleted, created, parent, goneKids := getW("data"), existsW("deleted"), existsW("created"), childrenW("parent"), childrenW("deleted")
	quiet, quietKids, absent := getW("quiet"), childrenW("quiet"), existsW("absent")

	l.cut("")
	e.eq("re-attach: disconnected", l.until(zk.StateDisconnected), zk.StateDisconnected)
	must(w.Set(path("data"), nil, -1))
	must0(w.Delete(path("deleted"), -1))
	must(w.Create(path("created"), nil, 0, all()))
	must(w.Create(path("parent")+"/kid", nil, 0, all()))
	l.lead(e.other)
	e.eq("re-attach: has its session again", l.until(zk.StateHasSession), zk.StateHasSession)
	e.eq("re-attach: the same one", c.SessionID(), session)
	e.eq("setWatches: data changed meanwhile", next(data), "EventNodeDataChanged "+path("data"))
	e.eq("setWatches: deleted meanwhile", next(deleted), "EventNodeDeleted "+path("deleted"))
	e.eq("setWatches: deleted meanwhile, child watch", next(goneKids), "EventNodeDeleted "+path("deleted"))
	e.eq("setWatches: created meanwhile", next(created), "EventNodeCreated "+path("created"))
	e.eq("setWatches: child came meanwhile", next(parent), "EventNodeChildrenChanged "+path("parent"))
	e.eq("setWatches: what did not change stays silent", len(quiet)+len(quietKids)+len(absent), 0)
	must(w.Create(path("quiet")+"/kid", nil, 0, all()))
	e.eq("setWatches: child watch is armed again", next(quietKids), "EventNodeChildrenChanged "+path("quiet"))
	must(w.Set(path("quiet"), nil, -1))
	e.eq("setWatches: data watch is armed again", next(quiet), "EventNodeDataChanged "+path("quiet"))
	must(w.Create(path("absent"), nil, 0, all()))
	e.eq("setWatches: exist watch is armed again", next(absent), "EventNodeCreated "+path("absent"))
	there, st, x := c.Exists(eph)
	must0(x)
	e.eq("re-attach: the ephemeral is kept", fmt.Sprint(there, st.EphemeralOwner), fmt.Sprint(true, session))
	e.eq("re-attach: and it can write", must(c.Set(eph, nil, 0)).Version, 1)
}

// expiry keeps a client away for longer than its session's timeout.
func expiry(e *env, dir string) {
	l := newLink(e.addr)
	c, w := e.connect(l), e.dial(e.other)
	eph := must(c.Create(dir+"/eph", nil, zk.FlagEphemeral, all()))
	session := c.SessionID()
	_, _, own, x := c.GetW(dir)
	must0(x)
	must(w.Sync(eph))
	_, _, gone, x := w.ExistsW(eph)
	must0(x)
	l.cut("")
	cut := time.Now()
	e.eq("expiry: the ephemeral is deleted", next(gone), "EventNodeDeleted "+eph)
	e.eq("expiry: not before the timeout", time.Since(cut) > e.timeout/2, true)
	l.lead(e.addr)
	e.eq("expiry: the client is told", l.until(zk.StateExpired), zk.StateExpired)
	e.eq("expiry: its watch ends with it", next(own), "EventNotWatching "+dir+" "+zk.ErrSessionExpired.Error())
	e.eq("expiry: a new session begins", l.until(zk.StateHasSession), zk.StateHasSession)
	e.eq("expiry: of another id", c.SessionID() != session, true)
	e.eq("expiry: the name is free", must(c.Create(eph, nil, zk.FlagEphemeral, all())), eph)
}

func otherServer(e *env, dir string) {
	c, other := e.dial(e.addr), e.dial(e.other)
	for i := range 20 {
		must(c.Create(fmt.Sprintf("%s/%d", dir, i), []byte{byte(i)}, 0, all()))
	}
	e.eq("sync: answers the path", must(other.Sync(dir)), dir)
	names, st, x := other.Children(dir)
	must0(x)
	e.eq("sync: the other server shows every earlier write", len(names), 20)
	_, here, x := c.Exists(dir)
	must0(x)
	e.eq("sync: and the same Stat", *st, *here)
	e.eq("sync: of a missing node", must(other.Sync(dir+"/none")), dir+"/none")
	_, _, ch, x := c.GetW(dir + "/0")
	must0(x)
	must(other.Set(dir+"/0", nil, -1))
	e.eq("other server: a write there fires here", next(ch), "EventNodeDataChanged "+dir+"/0")
	_, st, x = c.Get(dir + "/0")
	must0(x)
	e.eq("other server: and is there after the event", st.Version, 1)
}

// locks runs go-zookeeper's own recipe.
func locks(e *env, dir string) {
	a, b := zk.NewLock(e.dial(e.addr), dir+"/lock", all()), zk.NewLock(e.dial(e.other), dir+"/lock", all())
	e.eq("lock: first", a.Lock(), nil)
	got := make(chan error, 1)
	go func() { got <- b.Lock() }()
	c := e.dial(e.addr)
	for end := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		names, _, x := c.Children(dir + "/lock")
		must0(x)
		if len(names) == 2 || time.Now().After(end) {
			e.eq("lock: two in line", len(names), 2)
			break
		}
	}
	e.eq("lock: the second waits", len(got), 0)
	must0(a.Unlock())
	e.eq("lock: and then has it", <-got, nil)
	e.eq("lock: given back", b.Unlock(), nil)
	must(c.Sync(dir))
	names, _, x := c.Children(dir + "/lock")
	must0(x)
	e.eq("lock: leaves nothing behind", len(names), 0)
}
