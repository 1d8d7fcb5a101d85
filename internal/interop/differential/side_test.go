package differential

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// patience is how long a reply may take.
const patience = 10 * time.Second

// settleXid is the xid of questions asked to see what has come before their answer.
const settleXid = 1 << 30

// A side is one of the servers compared, with the sessions there. What it says is turned into words that do not depend
// on what may differ: times are left out, and zxids and sessions have names in the order in which they turn up.
type side struct {
	name     string
	addr     string
	sessions []*session
	zxids    map[int64]string
	owners   map[int64]string
	took     time.Duration // for all replies
}

// A session is one of a side's, on its present connection.
type session struct {
	nc       net.Conn
	r        *bufio.Reader
	buf      []byte
	xid      int32
	id       int64
	password []byte
	zxid     int64    // the last one heard
	events   []string // heard, not yet asked for
}

func newSide(t *testing.T, name, addr string, sessions int) *side {
	t.Helper()
	s := &side{name: name, addr: addr, zxids: map[int64]string{0: "z0"}, owners: map[int64]string{0: "nobody"}}
	t.Cleanup(func() {
		for _, c := range s.sessions {
			c.nc.Close()
		}
	})
	for i := range sessions {
		s.sessions = append(s.sessions, &session{})
		if got := s.connect(i); got != "attached" {
			t.Fatalf("%s: first connection of session %d: %s", name, i, got)
		}
	}
	return s
}

// connect attaches session i by a new connection, and begins a new session if it has ended, or has not begun.
func (s *side) connect(i int) string {
	c := s.sessions[i]
	if c.nc != nil {
		c.nc.Close()
	}
	var err error
	if c.nc, err = net.Dial("tcp", s.addr); err != nil {
		return fmt.Sprintf("dial: %v", err)
	}
	c.r, c.events = bufio.NewReader(c.nc), nil
	req := wire.ConnectRequest{Timeout: 60000, SessionID: c.id, Password: c.password, LastZxidSeen: c.zxid, HasReadOnly: true}
	if err := c.send(req.Append(nil)); err != nil {
		return fmt.Sprintf("send handshake: %v", err)
	}
	frame, err := c.frame()
	if err != nil {
		return fmt.Sprintf("handshake: %v", err)
	}
	var resp wire.ConnectResponse
	dec := wire.NewReader(frame)
	resp.Decode(dec)
	if dec.Err() != nil || resp.Timeout == 0 {
		c.id, c.password = 0, nil
		return "expired"
	}
	c.id, c.password = resp.SessionID, slices.Clone(resp.Password)
	if _, ok := s.owners[c.id]; !ok {
		s.owners[c.id] = fmt.Sprintf("session %d of %d", i, len(s.owners))
	}
	return "attached"
}

func (c *session) send(payload []byte) error {
	_, err := c.nc.Write(wire.EndFrame(append(wire.BeginFrame(nil), payload...), 0))
	return err
}

func (c *session) frame() ([]byte, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	frame, err := wire.ReadFrame(c.r, c.buf, 16<<20)
	if err == nil && cap(frame) > cap(c.buf) {
		c.buf = frame
	}
	return frame, err
}

// next returns the next frame that is no notification; those are kept.
func (c *session) next() (wire.ReplyHeader, *wire.Reader, error) {
	for {
		frame, err := c.frame()
		if err != nil {
			return wire.ReplyHeader{}, nil, err
		}
		var h wire.ReplyHeader
		dec := wire.NewReader(frame)
		if h.Decode(dec); dec.Err() != nil {
			return h, nil, dec.Err()
		}
		if h.Xid != wire.XidNotification {
			return h, dec, nil
		}
		var e wire.WatcherEvent
		e.Decode(dec)
		text := fmt.Sprintf("%v %q", e.Type, e.Path)
		if dec.Err() != nil || dec.Len() > 0 || e.State != wire.StateSyncConnected || h.Err != wire.OK {
			text = fmt.Sprintf("odd notification %x", frame)
		}
		c.events = append(c.events, text)
	}
}

// step sends one request of session i and returns the reply, and what the sessions hear of it.
func (s *side) step(i int, q request) (reply, events string) {
	begin := time.Now()
	defer func() { s.took += time.Since(begin) }()
	return s.ask(i, q), s.settle(q.op == wire.OpCloseSession)
}

// ask sends one request of session i and returns the reply in words.
func (s *side) ask(i int, q request) string {
	c := s.sessions[i]
	c.xid++
	xid := c.xid
	if q.xid != 0 {
		xid = q.xid
	}
	if err := c.send(append(wire.RequestHeader{Xid: xid, Op: q.op}.Append(nil), q.body(s, i)...)); err != nil {
		return s.ended(i, err)
	}
	h, dec, err := c.next()
	if err != nil {
		return s.ended(i, err)
	}
	order := ""
	switch {
	case h.Xid != xid:
		order = fmt.Sprintf("reply to xid %d instead of %d: ", h.Xid, xid)
	case h.Zxid > 0 && h.Zxid < c.zxid:
		order = fmt.Sprintf("zxid %#x behind %#x: ", h.Zxid, c.zxid)
	}
	c.zxid = max(c.zxid, h.Zxid)
	if h.Err == wire.OK && writes[q.op] {
		s.zxid(h.Zxid) // gets its name here, whoever sees it first
	}
	if h.Err == wire.ErrUnimplemented || h.Err == wire.ErrAuthFailed || q.op == wire.OpCloseSession {
		order += s.end(i)
	}
	if h.Err != wire.OK {
		return fmt.Sprintf("%serror %d, %d bytes", order, h.Err, dec.Len())
	}
	return order + s.describe(q, h, dec)
}

// end waits for the end of a connection that the server is to close. It may do so a while after the reply.
func (s *side) end(i int) string {
	h, _, err := s.sessions[i].next()
	if err != nil {
		return s.ended(i, err) + " after "
	}
	return fmt.Sprintf("one more frame, %+v, and ", h)
}

// ended says in words that the connection has ended, and nothing of how: a reset and a proper end are the same.
func (s *side) ended(i int, err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "silence"
	}
	s.sessions[i].nc.Close()
	return "closed"
}

// settle returns what each session has heard, when all that was on its way is surely there: it is written before the
// answer to a question that comes later. In which order the ephemerals of a session vanish is the server's own affair.
func (s *side) settle(sorted bool) string {
	question := wire.PathWatchRequest{Path: "/"}
	for _, c := range s.sessions {
		c.send(question.Append(wire.RequestHeader{Xid: settleXid, Op: wire.OpExists}.Append(nil))) // an error shows at the answer
	}
	var b strings.Builder
	for i, c := range s.sessions {
		h, _, err := c.next()
		switch {
		case err != nil:
			fmt.Fprintf(&b, "session %d: %s; ", i, s.ended(i, err))
		case h.Xid != settleXid:
			fmt.Fprintf(&b, "session %d: xid %d in place of an answer; ", i, h.Xid)
		}
		if sorted {
			slices.Sort(c.events)
		}
		if len(c.events) > 0 {
			fmt.Fprintf(&b, "session %d hears %s; ", i, strings.Join(c.events, ", "))
			c.events = nil
		}
	}
	return b.String()
}

// writes are the requests whose zxid, that of their reply, others see in Stats.
var writes = map[wire.Op]bool{
	wire.OpCreate: true, wire.OpCreate2: true, wire.OpCreateContainer: true, wire.OpCreateTTL: true, wire.OpDelete: true, wire.OpSetData: true,
	wire.OpMulti: true, wire.OpCloseSession: true,
}

// zxid names a zxid by its order of turning up.
func (s *side) zxid(z int64) string {
	name, ok := s.zxids[z]
	if !ok {
		name = fmt.Sprintf("z%d", len(s.zxids))
		s.zxids[z] = name
	}
	return name
}

func (s *side) stat(st wire.Stat) string {
	owner, ok := s.owners[st.EphemeralOwner]
	if !ok {
		owner = fmt.Sprintf("%#x", uint64(st.EphemeralOwner)) // a container, a TTL, or a mistake
	}
	return fmt.Sprintf("{c %s m %s p %s v %d/%d/%d of %s, %d bytes, %d children}", s.zxid(st.Czxid), s.zxid(st.Mzxid), s.zxid(st.Pzxid),
		st.Version, st.Cversion, st.Aversion, owner, st.DataLength, st.NumChildren)
}

// describe reads the body of a reply without an error.
func (s *side) describe(q request, h wire.ReplyHeader, dec *wire.Reader) (text string) {
	defer func() {
		if dec.Err() != nil || dec.Len() > 0 {
			text += fmt.Sprintf(" (%v, %d bytes more)", dec.Err(), dec.Len())
		}
	}()
	stat := func() string {
		var st wire.Stat
		st.Decode(dec)
		if q.op == wire.OpSetData && st.Mzxid != h.Zxid || q.op == wire.OpCreate2 && st.Czxid != h.Zxid {
			return fmt.Sprintf("%s, not the zxid %#x of the header", s.stat(st), h.Zxid)
		}
		return s.stat(st)
	}
	names := func() string {
		list := dec.Strings()
		slices.Sort(list) // the order is the server's own affair
		return fmt.Sprintf("%q", list)
	}
	switch q.op {
	case wire.OpCreate, wire.OpSync:
		return fmt.Sprintf("%q", dec.String())
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		path := dec.String()
		return fmt.Sprintf("%q %s", path, stat())
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		return stat()
	case wire.OpGetData:
		data := dec.Buffer()
		return fmt.Sprintf("%s %s", buffer(data), stat())
	case wire.OpGetACL:
		list := dec.ACLs()
		slices.SortFunc(list, func(a, b wire.ACL) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) // auth became ids in any order
		return fmt.Sprintf("%v %s", list, stat())
	case wire.OpGetChildren, wire.OpGetEphemerals:
		return names()
	case wire.OpGetChildren2:
		return names() + " " + stat()
	case wire.OpGetAllChildrenNumber, wire.OpAddWatch:
		return fmt.Sprint(dec.Int32())
	case wire.OpWhoAmI:
		var ids []string
		for _, id := range dec.IDs() {
			ids = append(ids, id.Scheme+":"+id.ID)
		}
		slices.Sort(ids)
		return fmt.Sprintf("%q", ids)
	case wire.OpMulti, wire.OpMultiRead:
		var b strings.Builder
		for _, r := range dec.MultiResults() {
			slices.Sort(r.Names)
			fmt.Fprintf(&b, "[%v %d %q %s %s %q]", r.Op, r.Err, r.Path, s.stat(r.Stat), buffer(r.Data), r.Names)
		}
		return b.String()
	}
	rest := dec.Rest()
	return fmt.Sprintf("ok %x", rest)
}

// buffer tells null from empty.
func buffer(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}
