package history_test

import (
	"encoding/binary"
	"testing"

	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// endConn makes the bytes that a client writes and reads.
type endConn struct{ history.End }

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func newEndConn(lastZxid int64) *endConn {
	c := new(endConn)
	c.Sent(framed((&wire.ConnectRequest{LastZxidSeen: lastZxid, Timeout: 1000, Password: make([]byte, 16)}).Append(nil)))
	c.Got(framed((&wire.ConnectResponse{Timeout: 1000, SessionID: 1, Password: make([]byte, 16)}).Append(nil)))
	return c
}

func (c *endConn) ask(xids ...int32) {
	for _, xid := range xids {
		c.Sent(framed(wire.RequestHeader{Xid: xid, Op: wire.OpSync}.Append(nil)))
	}
}

func (c *endConn) reply(xid int32, zxid int64) {
	b := framed(wire.ReplyHeader{Xid: xid, Zxid: zxid}.Append(nil))
	c.Got(b[:7]) // TCP cuts where it likes
	c.Got(b[7:])
}

func (c *endConn) event(zxid int64) { c.reply(wire.XidNotification, zxid) }

func TestEnd(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(c *endConn)
		wrong string
	}{
		"right": {func(c *endConn) {
			c.ask(1, 2)
			c.reply(1, 5)
			c.event(6)
			c.event(6)
			c.reply(2, 6)
			c.event(7)
		}, ""},
		"told while away":        {func(c *endConn) { c.ask(1); c.event(-1); c.reply(1, 5) }, ""},
		"in the wrong order":     {func(c *endConn) { c.ask(1, 2); c.reply(2, 5) }, "where 1 (sync) was due"},
		"an answer too many":     {func(c *endConn) { c.ask(1); c.reply(1, 5); c.reply(2, 5) }, "all were answered"},
		"back":                   {func(c *endConn) { c.ask(1, 2); c.reply(1, 5); c.reply(2, 4) }, "behind 0x5"},
		"behind what it had":     {func(c *endConn) { c.ask(1); c.reply(1, 3) }, "behind 0x4"},
		"an event behind answer": {func(c *endConn) { c.ask(1); c.reply(1, 5); c.event(5) }, "behind an answer"},
		"an event behind others": {func(c *endConn) { c.event(7); c.event(6) }, "behind one of 0x7"},
		"an answer behind event": {func(c *endConn) { c.ask(1); c.event(7); c.reply(1, 6) }, "behind 0x7"},
	} {
		end := newEndConn(4)
		c.do(end)
		expect(t, name, end.Check(), c.wrong)
	}
}

func TestBells(t *testing.T) {
	// The writer of version 3 does not know what became of it.
	writes := []history.Versioned{{"/b", 1, 10}, {"/b", 2, 20}, {"/b", 4, 40}, {"/b", 5, 50}}
	ring := func(zxids ...int64) (es []history.StreamEvent) {
		for _, z := range zxids {
			e := history.StreamEvent{Type: wire.EventDataChanged, Path: "/b", Zxid: z}
			if z == 0 {
				e = history.StreamEvent{Type: wire.EventNone}
			}
			es = append(es, e)
		}
		return es
	}
	for name, c := range map[string]struct {
		events []history.StreamEvent
		until  int64
		wrong  string
	}{
		"right":                      {ring(10, 20, 30, 40, 50), 50, ""},
		"right, from later":          {ring(30, 40, 50), 50, ""},
		"right, with a gap":          {ring(10, 20, 0, 40, 50), 50, ""},
		"told while away":            {ring(10, -1, 40, 50), 50, ""},
		"one lost":                   {ring(10, 30, 40, 50), 50, "no event for version 2"},
		"one lost that nobody knows": {ring(10, 20, 40, 50), 50, "1 events from version 2"},
		"invented":                   {ring(10, 20, 25, 30, 40), 40, "3 events from version 2"},
		"doubled":                    {ring(10, 20, 20, 30, 40), 40, "behind that of 0x14"},
		"out of order":               {ring(10, 30, 20, 40), 40, "behind that of 0x1e"},
		"the last one lost":          {ring(10, 20, 30, 40), 50, "no event for version 5"},
		"of another kind":            {append(ring(10), history.StreamEvent{Type: wire.EventDeleted, Path: "/b", Zxid: 11}), 11, "nobody did that"},
	} {
		expect(t, name, history.Bells(writes, []history.Stream{{Name: "s", Path: "/b", Events: c.events, Until: c.until}}), c.wrong)
	}
	expect(t, "versions go back", history.Bells(append(writes, history.Versioned{Path: "/b", Version: 3, Zxid: 60}), nil), "version 5 was written at 0x32")
	expect(t, "a version twice", history.Bells(append(writes, history.Versioned{Path: "/b", Version: 5, Zxid: 60}), nil), "version 5 was written at 0x32")
}

func TestKept(t *testing.T) {
	acked, unknown := []string{"a", "b"}, []string{"c"}
	expect(t, "right", history.Kept("/d", acked, unknown, []string{"b", "a"}), "")
	expect(t, "right, and an unknown one", history.Kept("/d", acked, unknown, []string{"c", "b", "a"}), "")
	expect(t, "lost", history.Kept("/d", acked, unknown, []string{"a", "c"}), "/d/b was acknowledged and is not there")
	expect(t, "out of thin air", history.Kept("/d", acked, unknown, []string{"a", "b", "x"}), "/d/x is there, and nobody has created it")
}
