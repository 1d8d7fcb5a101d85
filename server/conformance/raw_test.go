package conformance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// patience is how long an answer is waited for.
const patience = 20 * time.Second

// raw is a client that says exactly what it is told to, and hides nothing of what it hears.
type raw struct {
	t        *testing.T
	nc       net.Conn
	addr     string
	root     string // cut off from the paths of events
	xid      int32
	session  int64
	password []byte
	timeout  int32
	zxid     int64 // of the last reply
	last     wire.ReplyHeader
	rest     int      // bytes behind the header of the last reply
	events   []string // heard and not yet asked for
	headers  []wire.ReplyHeader
}

func dial(t *testing.T, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t: t, nc: nc, addr: addr}
}

func (r *raw) send(payload []byte) {
	r.t.Helper()
	r.write(wire.EndFrame(append(wire.BeginFrame(nil), payload...), 0))
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

func (r *raw) read() ([]byte, error) {
	if err := r.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	return wire.ReadFrame(r.nc, nil, 64<<20)
}

func (r *raw) frame() []byte {
	r.t.Helper()
	f, err := r.read()
	if err != nil {
		r.t.Fatalf("no frame: %v", err)
	}
	return f
}

// end says how the connection ends: "closed", or what came instead. Events on the way are kept.
func (r *raw) end() string {
	for {
		f, err := r.read()
		if err == nil {
			if !r.event(f) {
				return fmt.Sprintf("frame %x", f)
			}
			continue
		}
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return "open"
		}
		return "closed"
	}
}

// event keeps a notification, and tells whether the frame is one.
func (r *raw) event(f []byte) bool {
	dec := wire.NewReader(f)
	var h wire.ReplyHeader
	h.Decode(dec)
	if h.Xid != wire.XidNotification {
		return false
	}
	var e wire.WatcherEvent
	e.Decode(dec)
	text := fmt.Sprintf("%v %s", e.Type, strings.TrimPrefix(e.Path, r.root))
	if dec.Err() != nil || dec.Len() > 0 || e.State != wire.StateSyncConnected || h.Err != wire.OK {
		text = fmt.Sprintf("odd notification %x", f)
	}
	r.events, r.headers = append(r.events, text), append(r.headers, h)
	return true
}

// heard returns the events that have come, in order, and forgets them.
func (r *raw) heard() string {
	s := strings.Join(r.events, ", ")
	r.events, r.headers = nil, nil
	return s
}

// now returns what has been heard when everything before is surely there.
func (r *raw) now() string {
	r.t.Helper()
	r.sync("/")
	return r.heard()
}

func (r *raw) handshake(req wire.ConnectRequest) wire.ConnectResponse {
	r.t.Helper()
	r.send(req.Append(nil))
	var resp wire.ConnectResponse
	dec := wire.NewReader(r.frame())
	if resp.Decode(dec); dec.Err() != nil || dec.Len() > 0 {
		r.t.Fatalf("connect response: %v, %d bytes more", dec.Err(), dec.Len())
	}
	r.session, r.password, r.timeout = resp.SessionID, resp.Password, resp.Timeout
	return resp
}

// attach takes the session of r over by a new connection to the server at addr.
func (r *raw) attach(addr string) *raw {
	r.t.Helper()
	n := dial(r.t, addr)
	n.root = r.root
	n.handshake(wire.ConnectRequest{LastZxidSeen: r.zxid, Timeout: r.timeout, SessionID: r.session, Password: r.password, HasReadOnly: true})
	if n.session != r.session {
		r.t.Fatalf("session %#x was not re-attached, got %#x", r.session, n.session)
	}
	n.zxid = r.zxid
	return n
}

// request sends a request and returns its xid.
func (r *raw) request(op wire.Op, body []byte) int32 {
	r.t.Helper()
	r.xid++
	r.requestAs(r.xid, op, body)
	return r.xid
}

func (r *raw) requestAs(xid int32, op wire.Op, body []byte) {
	r.t.Helper()
	r.send(append(wire.RequestHeader{Xid: xid, Op: op}.Append(nil), body...))
}

// reply reads the next reply, which must have this xid, and the events before it.
func (r *raw) reply(xid int32) (wire.Code, *wire.Reader) {
	r.t.Helper()
	for {
		f := r.frame()
		if r.event(f) {
			continue
		}
		dec := wire.NewReader(f)
		r.last.Decode(dec)
		if r.last.Xid != xid || dec.Err() != nil {
			r.t.Fatalf("reply has xid %d (%v), want %d", r.last.Xid, dec.Err(), xid)
		}
		if r.last.Zxid > 0 {
			r.zxid = r.last.Zxid
		}
		r.rest = dec.Len()
		return r.last.Err, dec
	}
}

// do sends a request and reads its reply.
func (r *raw) do(op wire.Op, body []byte) (wire.Code, *wire.Reader) {
	r.t.Helper()
	return r.reply(r.request(op, body))
}

func (r *raw) code(op wire.Op, body []byte) wire.Code {
	r.t.Helper()
	code, _ := r.do(op, body)
	return code
}

// done fails the test unless the reply was read to its end.
func (r *raw) done(dec *wire.Reader) {
	r.t.Helper()
	if dec.Err() != nil || dec.Len() != 0 {
		r.t.Fatalf("reply %+v: %v, %d bytes not read", r.last, dec.Err(), dec.Len())
	}
}

var openACL = []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}

// node is what a create asks for; the zero value is a persistent node, open to all, with empty data.
type node struct {
	data  []byte
	null  bool // null data
	acl   []wire.ACL
	flags int32
	ttl   int64
}

func (n node) body(op wire.Op, path string) []byte {
	if n.acl == nil {
		n.acl = openACL
	}
	if n.data == nil && !n.null {
		n.data = []byte{}
	}
	return (&wire.CreateRequest{Path: path, Data: n.data, ACL: n.acl, Flags: n.flags, TTL: n.ttl}).Append(nil, op)
}

// make creates nodes that the test needs.
func (r *raw) make(paths ...string) {
	r.t.Helper()
	for _, p := range paths {
		if code := r.create(p, node{}); code != wire.OK {
			r.t.Fatalf("create %s: %v", p, code)
		}
	}
}

func (r *raw) create(path string, n node) wire.Code {
	r.t.Helper()
	code, _, _ := r.createBy(wire.OpCreate, path, n)
	return code
}

// createBy returns what the reply to that kind of create says; the plain one has no Stat.
func (r *raw) createBy(op wire.Op, path string, n node) (wire.Code, string, wire.Stat) {
	r.t.Helper()
	code, dec := r.do(op, n.body(op, path))
	if code != wire.OK {
		return code, "", wire.Stat{}
	}
	made := dec.String()
	var s wire.Stat
	if op != wire.OpCreate {
		s.Decode(dec)
	}
	r.done(dec)
	return code, strings.TrimPrefix(made, r.root), s
}

func (r *raw) delete(path string, version int32) wire.Code {
	r.t.Helper()
	return r.code(wire.OpDelete, (&wire.PathVersionRequest{Path: path, Version: version}).Append(nil))
}

func setBody(path string, data []byte, version int32) []byte {
	return (&wire.SetDataRequest{Path: path, Data: data, Version: version}).Append(nil)
}

func (r *raw) set(path, data string, version int32) (wire.Code, wire.Stat) {
	r.t.Helper()
	return r.stat(r.do(wire.OpSetData, setBody(path, []byte(data), version)))
}

// setCode is set for those who need the code alone.
func (r *raw) setCode(path, data string, version int32) wire.Code {
	r.t.Helper()
	code, _ := r.set(path, data, version)
	return code
}

func (r *raw) setACL(path string, acl []wire.ACL, version int32) (wire.Code, wire.Stat) {
	r.t.Helper()
	return r.stat(r.do(wire.OpSetACL, (&wire.SetACLRequest{Path: path, ACL: acl, Version: version}).Append(nil)))
}

func (r *raw) stat(code wire.Code, dec *wire.Reader) (wire.Code, wire.Stat) {
	r.t.Helper()
	var s wire.Stat
	if code == wire.OK {
		s.Decode(dec)
		r.done(dec)
	}
	return code, s
}

func watchBody(path string, watch bool) []byte {
	return (&wire.PathWatchRequest{Path: path, Watch: watch}).Append(nil)
}

func (r *raw) exists(path string, watch bool) (wire.Code, wire.Stat) {
	r.t.Helper()
	return r.stat(r.do(wire.OpExists, watchBody(path, watch)))
}

// statOf returns the Stat of a node that exists.
func (r *raw) statOf(path string) wire.Stat {
	r.t.Helper()
	code, _, s := r.get(path, false)
	if code != wire.OK {
		r.t.Fatalf("get %s: %v", path, code)
	}
	return s
}

// has asks whether a node exists.
func (r *raw) has(path string) wire.Code {
	r.t.Helper()
	code, _ := r.exists(path, false)
	return code
}

func (r *raw) get(path string, watch bool) (wire.Code, []byte, wire.Stat) {
	r.t.Helper()
	code, dec := r.do(wire.OpGetData, watchBody(path, watch))
	if code != wire.OK {
		return code, nil, wire.Stat{}
	}
	var m wire.GetDataResponse
	m.Decode(dec)
	r.done(dec)
	return code, m.Data, m.Stat
}

// getCode is get for those who need the code alone.
func (r *raw) getCode(path string, watch bool) wire.Code {
	r.t.Helper()
	code, _, _ := r.get(path, watch)
	return code
}

// children returns the names, sorted, in one string.
func (r *raw) children(path string, watch bool) (wire.Code, string) {
	r.t.Helper()
	code, dec := r.do(wire.OpGetChildren, watchBody(path, watch))
	if code != wire.OK {
		return code, ""
	}
	names := dec.Strings()
	r.done(dec)
	slices.Sort(names)
	return code, strings.Join(names, " ")
}

func (r *raw) children2(path string, watch bool) (wire.Code, string, wire.Stat) {
	r.t.Helper()
	code, dec := r.do(wire.OpGetChildren2, watchBody(path, watch))
	if code != wire.OK {
		return code, "", wire.Stat{}
	}
	var m wire.ChildrenResponse
	m.Decode(dec)
	r.done(dec)
	slices.Sort(m.Names)
	return code, strings.Join(m.Names, " "), m.Stat
}

func (r *raw) getACL(path string) (wire.Code, string, wire.Stat) {
	r.t.Helper()
	code, dec := r.do(wire.OpGetACL, wire.AppendString(nil, path))
	if code != wire.OK {
		return code, "", wire.Stat{}
	}
	var m wire.GetACLResponse
	m.Decode(dec)
	r.done(dec)
	var list []string
	for _, a := range m.ACL {
		list = append(list, fmt.Sprintf("%s:%s:%d", a.Scheme, a.ID, a.Perms))
	}
	return code, strings.Join(list, " "), m.Stat
}

func (r *raw) sync(path string) (wire.Code, string) {
	r.t.Helper()
	code, dec := r.do(wire.OpSync, wire.AppendString(nil, path))
	if code != wire.OK {
		return code, ""
	}
	got := dec.String()
	r.done(dec)
	return code, got
}

func (r *raw) auth(scheme string, auth []byte) wire.Code {
	r.t.Helper()
	r.requestAs(wire.XidAuth, wire.OpAuth, (&wire.AuthRequest{Scheme: scheme, Auth: auth}).Append(nil))
	code, _ := r.reply(wire.XidAuth)
	return code
}

func (r *raw) ping() wire.Code {
	r.t.Helper()
	r.requestAs(wire.XidPing, wire.OpPing, nil)
	code, _ := r.reply(wire.XidPing)
	return code
}

func (r *raw) addWatch(path string, mode wire.WatchMode) wire.Code {
	r.t.Helper()
	code, dec := r.do(wire.OpAddWatch, (&wire.AddWatchRequest{Path: path, Mode: mode}).Append(nil))
	if code == wire.OK {
		if v := dec.Int32(); v != 0 {
			r.t.Errorf("addWatch answers %d, want 0", v)
		}
		r.done(dec)
	}
	return code
}

func (r *raw) checkWatches(path string, typ wire.WatcherType) wire.Code {
	r.t.Helper()
	return r.code(wire.OpCheckWatches, (&wire.RemoveWatchesRequest{Path: path, Type: typ}).Append(nil))
}

func (r *raw) removeWatches(path string, typ wire.WatcherType) wire.Code {
	r.t.Helper()
	return r.code(wire.OpRemoveWatches, (&wire.RemoveWatchesRequest{Path: path, Type: typ}).Append(nil))
}

func (r *raw) setWatches(op wire.Op, req wire.SetWatchesRequest) wire.Code {
	r.t.Helper()
	return r.code(op, req.Append(nil, op))
}

// multi returns the code of the reply and, in one string, a word for each result: its type and what is in it.
func (r *raw) multi(op wire.Op, ops ...wire.MultiOp) (wire.Code, string) {
	r.t.Helper()
	code, dec := r.do(op, wire.AppendMulti(nil, ops))
	if code != wire.OK {
		return code, ""
	}
	return code, r.results(dec)
}

// results reads the results of a multi by itself: their bytes are what the check is about.
func (r *raw) results(dec *wire.Reader) string {
	r.t.Helper()
	var words []string
	for {
		typ, done, code := dec.Int32(), dec.Byte(), dec.Int32()
		if dec.Err() != nil {
			r.t.Fatalf("multi response: %v", dec.Err())
		}
		if done != 0 {
			if typ != -1 || code != -1 {
				words = append(words, fmt.Sprintf("odd end %d %d", typ, code))
			}
			break
		}
		word := fmt.Sprintf("%d", typ)
		switch wire.Op(typ) {
		case wire.OpError:
			word = fmt.Sprintf("error %d", dec.Int32())
		case wire.OpCreate:
			word += " " + strings.TrimPrefix(dec.String(), r.root)
		case wire.OpCreate2:
			word += " " + strings.TrimPrefix(dec.String(), r.root)
			new(wire.Stat).Decode(dec)
		case wire.OpSetData:
			var s wire.Stat
			s.Decode(dec)
			word += fmt.Sprintf(" v%d", s.Version)
		case wire.OpGetData:
			word += fmt.Sprintf(" %q", dec.Buffer())
			new(wire.Stat).Decode(dec)
		case wire.OpGetChildren:
			names := dec.Strings()
			slices.Sort(names)
			word += " " + strings.Join(names, "+")
		}
		if typ != -1 && code != 0 {
			word += fmt.Sprintf(" code %d", code)
		}
		words = append(words, word)
	}
	r.done(dec)
	return strings.Join(words, ", ")
}

// word sends a four-letter word, in parts, and returns the answer.
func word(t *testing.T, addr string, parts ...string) string {
	t.Helper()
	r := dial(t, addr)
	for _, p := range parts {
		r.write([]byte(p))
	}
	if err := r.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r.nc) // a reset instead of a plain end is no difference to a client
	return string(b)
}
