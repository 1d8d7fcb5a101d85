package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// Each check is shown a history that is right, and then what can be wrong with it, one thing at a time.

// expect tells whether a check found what is wrong, or nothing if nothing is.
func expect(t *testing.T, name string, err error, wrong string) {
	t.Helper()
	switch {
	case wrong == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case wrong != "" && err == nil:
		t.Errorf("%s: not found", name)
	case wrong != "" && !strings.Contains(err.Error(), wrong):
		t.Errorf("%s: found %q, want %q", name, err, wrong)
	}
}

func created(path string) history.Change { return history.Change{Type: wire.EventCreated, Path: path} }
func changed(path string) history.Change {
	return history.Change{Type: wire.EventDataChanged, Path: path}
}
func deleted(path string) history.Change { return history.Change{Type: wire.EventDeleted, Path: path} }
func children(path string) history.Change {
	return history.Change{Type: wire.EventChildrenChanged, Path: path}
}

// log makes a log of transactions of session 1, one for each list of changes.
func log(changes ...[]history.Change) *history.Log {
	l := new(history.Log)
	for i, c := range changes {
		l.Applied(1, history.Txn{Zxid: int64(i + 1), Session: 1, Op: "setData", Changes: c})
	}
	return l
}

func TestLog(t *testing.T) {
	set := func(zxid int64, path string) history.Txn {
		return history.Txn{Zxid: zxid, Session: 1, Op: "setData", Changes: []history.Change{changed(path)}}
	}
	for name, c := range map[string]struct {
		do    func(l *history.Log)
		wrong string
	}{
		"right": {func(l *history.Log) {
			l.Applied(2, set(1, "/a"))
			l.Restarted(1)
			l.Applied(1, set(1, "/a"))
		}, ""},
		"a leap by snapshot":  {func(l *history.Log) { l.Applied(2, set(2, "/b")) }, ""},
		"replicas differ":     {func(l *history.Log) { l.Applied(2, set(1, "/b")) }, "where another one had"},
		"carried out twice":   {func(l *history.Log) { l.Applied(1, set(2, "/b")) }, "behind"},
		"one that nobody has": {func(l *history.Log) { l.Applied(1, set(4, "/b")) }, "no server carried out zxid 0x3"},
	} {
		l := log([]history.Change{changed("/a")}, []history.Change{changed("/b")})
		c.do(l)
		expect(t, name, l.Check(), c.wrong)
	}
}

// wireConn records frames as a server sees them.
type wireConn struct{ history.Conn }

func newWireConn(lastZxid int64) *wireConn {
	c := new(wireConn)
	c.Received((&wire.ConnectRequest{LastZxidSeen: lastZxid, Timeout: 1000, Password: make([]byte, 16)}).Append(nil))
	c.Sent((&wire.ConnectResponse{Timeout: 1000, SessionID: 1, Password: make([]byte, 16)}).Append(nil))
	return c
}

func (c *wireConn) request(xid int32, op wire.Op, body func([]byte) []byte) {
	c.Received(body(wire.RequestHeader{Xid: xid, Op: op}.Append(nil)))
}

func (c *wireConn) reply(xid int32, zxid int64) {
	c.Sent(wire.ReplyHeader{Xid: xid, Zxid: zxid}.Append(nil))
}

func (c *wireConn) event(zxid int64, ch history.Change) {
	b := wire.ReplyHeader{Xid: wire.XidNotification, Zxid: zxid}.Append(nil)
	c.Sent((&wire.WatcherEvent{Type: ch.Type, State: wire.StateSyncConnected, Path: ch.Path}).Append(b))
}

// watchAt sets a watch by getData, which is answered at zxid.
func (c *wireConn) watchAt(xid int32, path string, zxid int64) {
	c.request(xid, wire.OpGetData, (&wire.PathWatchRequest{Path: path, Watch: true}).Append)
	c.reply(xid, zxid)
}

func (c *wireConn) lasting(xid int32, path string, mode wire.WatchMode, zxid int64) {
	c.request(xid, wire.OpAddWatch, (&wire.AddWatchRequest{Path: path, Mode: mode}).Append)
	c.reply(xid, zxid)
}

func (c *wireConn) pingAt(zxid int64) {
	c.request(wire.XidPing, wire.OpPing, func(b []byte) []byte { return b })
	c.reply(wire.XidPing, zxid)
}

func (c *wireConn) again(rel, zxid int64, data ...string) func(...history.Change) {
	m := wire.SetWatchesRequest{RelativeZxid: rel, Data: data}
	c.request(wire.XidSetWatches, wire.OpSetWatches, func(b []byte) []byte { return m.Append(b, wire.OpSetWatches) })
	return func(told ...history.Change) {
		for _, ch := range told {
			c.event(-1, ch)
		}
		c.reply(wire.XidSetWatches, zxid)
	}
}

func TestConn(t *testing.T) {
	l := log([]history.Change{created("/a"), children("/")}, []history.Change{changed("/a")}, []history.Change{changed("/a")},
		[]history.Change{created("/a/b"), children("/a")}, []history.Change{deleted("/a/b"), children("/a")})
	for name, c := range map[string]struct {
		do    func(c *wireConn)
		wrong string
	}{
		"right, one-shot": {func(c *wireConn) {
			c.watchAt(1, "/a", 1)
			c.event(2, changed("/a"))
			c.pingAt(3)
		}, ""},
		"right, at its end":       {func(c *wireConn) { c.watchAt(1, "/a", 1) }, ""},
		"doubled":                 {func(c *wireConn) { c.watchAt(1, "/a", 1); c.event(2, changed("/a")); c.event(2, changed("/a")) }, "no watch waits for"},
		"one-shot twice":          {func(c *wireConn) { c.watchAt(1, "/a", 1); c.event(2, changed("/a")); c.event(3, changed("/a")) }, "no watch waits for"},
		"lost":                    {func(c *wireConn) { c.watchAt(1, "/a", 1); c.pingAt(2) }, "before the event"},
		"late":                    {func(c *wireConn) { c.watchAt(1, "/a", 1); c.pingAt(2); c.event(2, changed("/a")) }, "behind an answer"},
		"out of thin air":         {func(c *wireConn) { c.pingAt(1); c.event(2, changed("/a")) }, "no watch waits for"},
		"another one than it was": {func(c *wireConn) { c.watchAt(1, "/a", 1); c.event(2, deleted("/a")) }, "no watch waits for"},
		"of before it was set":    {func(c *wireConn) { c.watchAt(1, "/a", 2); c.event(2, changed("/a")) }, "behind an answer"},
		"answers in the wrong order": {func(c *wireConn) {
			c.request(2, wire.OpSync, func(b []byte) []byte { return b })
			c.watchAt(1, "/a", 1)
		}, "was due"},
		"an answer too many":          {func(c *wireConn) { c.watchAt(1, "/a", 1); c.reply(1, 1) }, "all were answered"},
		"zxids go back":               {func(c *wireConn) { c.pingAt(3); c.pingAt(2) }, "behind 0x3"},
		"behind what the client knew": {func(c *wireConn) { c.pingAt(0x0); c.reply(0, 0) }, "all were answered"},
		"right, persistent": {func(c *wireConn) {
			c.lasting(1, "/a", wire.WatchPersistent, 1)
			c.event(2, changed("/a"))
			c.event(3, changed("/a"))
			c.event(4, children("/a"))
			c.event(5, children("/a"))
			c.pingAt(5)
		}, ""},
		"right, recursive": {func(c *wireConn) {
			c.lasting(1, "/", wire.WatchPersistentRecursive, 1)
			c.event(2, changed("/a"))
			c.event(3, changed("/a"))
			c.event(4, created("/a/b"))
			c.event(5, deleted("/a/b"))
			c.pingAt(5)
		}, ""},
		"persistent, one lost": {func(c *wireConn) {
			c.lasting(1, "/a", wire.WatchPersistent, 1)
			c.event(3, changed("/a"))
		}, "no event for data changed /a of 0x2"},
		"recursive, out of order": {func(c *wireConn) {
			c.lasting(1, "/", wire.WatchPersistentRecursive, 1)
			c.event(3, changed("/a"))
			c.event(2, changed("/a"))
		}, "no watch waits for"},
		"set again, it had changed":   {func(c *wireConn) { c.again(1, 3, "/a")(changed("/a")); c.pingAt(4) }, ""},
		"set again, nothing happened": {func(c *wireConn) { c.again(3, 3, "/a")(); c.pingAt(5) }, ""},
		"set again, and not told":     {func(c *wireConn) { c.again(1, 3, "/a")() }, "due were"},
		"set again, and told wrongly": {func(c *wireConn) { c.again(3, 3, "/a")(changed("/a")) }, "due were"},
	} {
		conn := newWireConn(1)
		c.do(conn)
		expect(t, name, conn.Check(l.Timeline()), c.wrong)
	}
	behind := newWireConn(4)
	behind.pingAt(3)
	expect(t, "a server behind its client", behind.Check(l.Timeline()), "behind 0x4")
}

func TestRegisters(t *testing.T) {
	op := func(kind history.Kind, value string, expect int32, out history.Outcome, version int32, call, ret int64) history.Op {
		return history.Op{Path: "/r", Kind: kind, Value: value, Expect: expect, Outcome: out, Version: version, Call: call, Return: ret}
	}
	first := op(history.Create, "a", 0, history.OK, 0, 1, 2)
	for name, c := range map[string]struct {
		ops   []history.Op
		wrong bool
	}{
		"right":                        {[]history.Op{first, op(history.Set, "b", -1, history.OK, 1, 3, 4), op(history.Read, "b", 0, history.OK, 1, 5, 6)}, false},
		"lost write":                   {[]history.Op{first, op(history.Set, "b", -1, history.OK, 1, 3, 4), op(history.Set, "c", -1, history.OK, 1, 5, 6)}, true},
		"stale read":                   {[]history.Op{first, op(history.Set, "b", -1, history.OK, 1, 3, 4), op(history.Read, "a", 0, history.OK, 0, 5, 6)}, true},
		"old, but at the same time":    {[]history.Op{first, op(history.Set, "b", -1, history.OK, 1, 3, 6), op(history.Read, "a", 0, history.OK, 0, 4, 5)}, false},
		"back and forth":               {[]history.Op{first, op(history.Set, "b", -1, history.OK, 1, 3, 9), op(history.Read, "b", 0, history.OK, 1, 4, 5), op(history.Read, "a", 0, history.OK, 0, 6, 7)}, true},
		"unknown, carried out later":   {[]history.Op{first, op(history.Set, "b", -1, history.Unknown, 0, 3, 4), op(history.Read, "a", 0, history.OK, 0, 5, 6), op(history.Read, "b", 0, history.OK, 1, 7, 8)}, false},
		"unknown, carried out twice":   {[]history.Op{first, op(history.Set, "b", -1, history.Unknown, 0, 3, 4), op(history.Read, "b", 0, history.OK, 2, 5, 6)}, true},
		"unknown, never carried out":   {[]history.Op{first, op(history.Delete, "", -1, history.Unknown, 0, 3, 4), op(history.Set, "b", 0, history.OK, 1, 5, 6)}, false},
		"out of thin air":              {[]history.Op{first, op(history.Read, "z", 0, history.OK, 0, 3, 4)}, true},
		"two win one compare-and-set":  {[]history.Op{first, op(history.Set, "b", 0, history.OK, 1, 3, 4), op(history.Set, "c", 0, history.OK, 1, 3, 4)}, true},
		"refused without a reason":     {[]history.Op{first, op(history.Set, "b", 0, history.BadVersion, 0, 3, 4)}, true},
		"refused, as it must be":       {[]history.Op{first, op(history.Set, "b", 7, history.BadVersion, 0, 3, 4)}, false},
		"created although it is there": {[]history.Op{first, op(history.Create, "b", 0, history.OK, 0, 3, 4)}, true},
		"gone without a delete":        {[]history.Op{first, op(history.Read, "", 0, history.NoNode, 0, 3, 4)}, true},
	} {
		v, err := history.Registers(c.ops, 0)
		if (err != nil) != c.wrong || v.Histories != 1 || v.Undecided != 0 {
			t.Errorf("%s: %v, %+v", name, err, v)
		}
	}
}

func TestWrites(t *testing.T) {
	l := log([]history.Change{created("/a")}, []history.Change{changed("/a"), changed("/b")}, []history.Change{changed("/b")})
	l.Applied(1, history.Txn{Zxid: 4, Session: 1, Op: "setData", Err: -103})
	w := func(zxid, session, call, ret int64, c ...history.Change) history.Write {
		return history.Write{Zxid: zxid, Session: session, Call: call, Return: ret, Changes: c}
	}
	for name, c := range map[string]struct {
		writes []history.Write
		wrong  string
	}{
		"right":                   {[]history.Write{w(1, 1, 1, 2, created("/a")), w(2, 1, 3, 4, changed("/a"), changed("/b"))}, ""},
		"at the same time":        {[]history.Write{w(2, 1, 1, 4, changed("/a")), w(1, 1, 2, 3, created("/a"))}, ""},
		"lost":                    {[]history.Write{w(9, 1, 1, 2, changed("/a"))}, "no server has it"},
		"half of a transaction":   {[]history.Write{w(3, 1, 1, 2, changed("/a"), changed("/b"))}, "acknowledged with data changed /a"},
		"somebody else's":         {[]history.Write{w(1, 7, 1, 2, created("/a"))}, "acknowledged to session 0x7"},
		"failed and acknowledged": {[]history.Write{w(4, 1, 1, 2)}, "acknowledged to session 0x1"},
		"late commit":             {[]history.Write{w(2, 1, 1, 2, changed("/a")), w(1, 1, 3, 4, created("/a"))}, "was called when 0x2 had returned"},
	} {
		expect(t, name, history.Writes(c.writes, l.Timeline()), c.wrong)
	}
}

func TestSequences(t *testing.T) {
	n := func(tag, path string, number, call, ret int64) history.Numbered {
		return history.Numbered{Tag: tag, Path: path, Number: number, Call: call, Return: ret}
	}
	for name, c := range map[string]struct {
		creates []history.Numbered
		there   map[string]string
		wrong   string
	}{
		"right":               {[]history.Numbered{n("x", "/n-1", 1, 1, 2), n("y", "/n-2", 2, 3, 4)}, map[string]string{"/n-1": "x", "/n-2": "y"}, ""},
		"unknown, and there":  {[]history.Numbered{n("x", "", 0, 1, 2)}, map[string]string{"/n-1": "x"}, ""},
		"unknown, not there":  {[]history.Numbered{n("x", "", 0, 1, 2)}, nil, ""},
		"lost":                {[]history.Numbered{n("x", "/n-1", 1, 1, 2)}, nil, "was created with"},
		"same number":         {[]history.Numbered{n("x", "/a-1", 1, 1, 2), n("y", "/b-1", 1, 1, 2)}, map[string]string{"/a-1": "x", "/b-1": "y"}, "same number"},
		"created twice":       {[]history.Numbered{n("x", "", 0, 1, 2)}, map[string]string{"/n-1": "x", "/n-2": "x"}, "twice"},
		"nobody created it":   {nil, map[string]string{"/n-1": "x"}, "nobody has created"},
		"later, and a lesser": {[]history.Numbered{n("x", "/n-2", 2, 1, 2), n("y", "/n-1", 1, 3, 4)}, map[string]string{"/n-2": "x", "/n-1": "y"}, "was called when"},
	} {
		expect(t, name, history.Sequences(c.creates, c.there), c.wrong)
	}
}

func TestSessions(t *testing.T) {
	txn := func(zxid, session int64, op string, at int64, c ...history.Change) history.Txn {
		return history.Txn{Zxid: zxid, Session: session, Op: op, At: at, Changes: c}
	}
	node := []history.Ephemeral{{Session: 1, Path: "/e", Czxid: 1}}
	create, end := txn(1, 1, "create", 10, created("/e")), txn(2, 1, "closeSession", 20, deleted("/e"))
	for name, c := range map[string]struct {
		log   []history.Txn
		ended []history.Ended
		wrong string
	}{
		"right, it lives":              {[]history.Txn{create}, []history.Ended{{Session: 1}}, ""},
		"right, it ended":              {[]history.Txn{create, end}, []history.Ended{{Session: 1, Expired: true, Deadline: 19}}, ""},
		"deleted by its owner":         {[]history.Txn{create, txn(2, 1, "delete", 20, deleted("/e"))}, nil, ""},
		"outlives its session":         {[]history.Txn{create, txn(2, 1, "closeSession", 20)}, nil, "outlives"},
		"goes while its session lives": {[]history.Txn{create, txn(2, 7, "closeSession", 20, deleted("/e"))}, nil, "its session 0x1 lived"},
		"goes later":                   {[]history.Txn{create, txn(2, 1, "closeSession", 20), txn(3, 7, "delete", 30, deleted("/e"))}, nil, "and its session"},
		"acts after its end":           {[]history.Txn{create, end, txn(3, 1, "setData", 30, changed("/x"))}, nil, "carried out setData"},
		"ended too early":              {[]history.Txn{create, end}, []history.Ended{{Session: 1, Deadline: 21}}, "could rely on"},
		"told wrongly that it ended":   {[]history.Txn{create}, []history.Ended{{Session: 1, Expired: true}}, "and it lives"},
	} {
		l := new(history.Log)
		for _, x := range c.log {
			l.Applied(1, x)
		}
		expect(t, name, history.Sessions(node, c.ended, l.Timeline()), c.wrong)
	}
}

func TestMortals(t *testing.T) {
	const second = int64(time.Second)
	txn := func(zxid int64, op string, at int64, c ...history.Change) history.Txn {
		return history.Txn{Zxid: zxid, Op: op, At: at * second, Changes: c}
	}
	reaped := func(zxid, at int64) history.Txn { return txn(zxid, "deleteContainer", at, deleted("/m")) }
	container, ttl := history.Mortal{Path: "/m", Czxid: 1, Born: second}, history.Mortal{Path: "/m", Czxid: 1, Born: second, TTL: 2 * time.Second}
	create, child, childless := txn(1, "create", 1, created("/m")), txn(2, "create", 2, created("/m/c"), children("/m")), txn(3, "delete", 2, deleted("/m/c"), children("/m"))
	for name, c := range map[string]struct {
		node  history.Mortal
		jumps bool
		log   []history.Txn
		wrong string
	}{
		"right, it ran empty":           {container, false, []history.Txn{create, child, childless, reaped(4, 2)}, ""},
		"right, never used":             {container, false, []history.Txn{create, reaped(2, 6)}, ""},
		"right, its time was over":      {ttl, false, []history.Txn{create, reaped(2, 3)}, ""},
		"right, it has a child":         {container, false, []history.Txn{create, child}, ""},
		"right, its maker removed it":   {ttl, false, []history.Txn{create, txn(2, "delete", 1, deleted("/m"))}, ""},
		"right, who knows what time is": {ttl, true, []history.Txn{create, reaped(2, 1)}, ""},
		"with a child":                  {container, false, []history.Txn{create, child, reaped(3, 9)}, "with 1 children"},
		"young and never used":          {container, false, []history.Txn{create, reaped(2, 3)}, "never used"},
		"before its time":               {ttl, false, []history.Txn{create, reaped(2, 2)}, "to live"},
		"for ever":                      {container, false, []history.Txn{create, child, childless}, "still there"},
		"beyond its time":               {ttl, false, []history.Txn{create}, "still there"},
	} {
		l := new(history.Log)
		for _, x := range c.log {
			l.Applied(1, x)
		}
		expect(t, name, history.Mortals([]history.Mortal{c.node}, 5*time.Second, c.jumps, l.Timeline()), c.wrong)
	}
}

func TestStreams(t *testing.T) {
	l := log([]history.Change{created("/a")}, []history.Change{changed("/a")}, []history.Change{changed("/a")}, []history.Change{created("/a/b"), children("/a")})
	ev := func(zxid int64, c history.Change) history.StreamEvent {
		return history.StreamEvent{Type: c.Type, Path: c.Path, Zxid: zxid}
	}
	resync := history.StreamEvent{Type: wire.EventNone, Path: "/a", Zxid: -1}
	for name, c := range map[string]struct {
		recursive bool
		events    []history.StreamEvent
		until     int64
		wrong     string
	}{
		"right":                   {false, []history.StreamEvent{ev(2, changed("/a")), ev(3, changed("/a")), ev(4, children("/a"))}, 4, ""},
		"right, recursive":        {true, []history.StreamEvent{ev(3, changed("/a")), ev(4, created("/a/b"))}, 4, ""},
		"missing, and told":       {false, []history.StreamEvent{ev(1, created("/a")), resync, ev(4, children("/a"))}, 4, ""},
		"missing":                 {false, []history.StreamEvent{ev(1, created("/a")), ev(3, changed("/a"))}, 0, "no event for"},
		"doubled":                 {false, []history.StreamEvent{ev(2, changed("/a")), ev(2, changed("/a"))}, 0, "not in the log, or behind"},
		"out of order":            {false, []history.StreamEvent{ev(3, changed("/a")), ev(2, changed("/a"))}, 0, "not in the log, or behind"},
		"out of thin air":         {false, []history.StreamEvent{ev(2, deleted("/a"))}, 0, "not in the log, or behind"},
		"missing at the end":      {false, []history.StreamEvent{ev(2, changed("/a"))}, 3, "nor for what follows"},
		"heard for another watch": {false, []history.StreamEvent{resync, ev(-1, changed("/a"))}, 4, ""},
		"heard, and it never was": {false, []history.StreamEvent{resync, ev(-1, deleted("/a"))}, 4, "explains"},
	} {
		s := history.Stream{Name: "s", Path: "/a", Recursive: c.recursive, Events: c.events, Until: c.until}
		expect(t, name, history.Streams([]history.Stream{s}, l.Timeline()), c.wrong)
	}
}
