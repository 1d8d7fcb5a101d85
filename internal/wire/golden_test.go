package wire_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/wire"
)

// golden are the bytes of §1.1 of the protocol reference, captured between the Java 3.8 client and server, as parts of
// which each has its value here.
var golden = []struct {
	name, hex string
	parts     []any // pointers to messages
}{
	{"connect request", "00000000 0000000000000000 00002710 0000000000000000 00000010 00000000000000000000000000000000 00",
		[]any{&wire.ConnectRequest{Timeout: 10000, Password: make([]byte, 16), HasReadOnly: true}}},
	{"connect response", "00000000 00002710 0100000dd95e0060 00000010 e9ce8fa4493abb5594bcf3f83aef4122 00",
		[]any{&wire.ConnectResponse{Timeout: 10000, SessionID: 0x0100000dd95e0060, Password: unhex("e9ce8fa4493abb5594bcf3f83aef4122"), HasReadOnly: true}}},
	{"expired", "00000000 00000000 0000000000000000 00000010 00000000000000000000000000000000 00",
		[]any{&wire.ConnectResponse{Password: make([]byte, 16), HasReadOnly: true}}},
	{"create", "00000001 00000001 00000003 2f6a31 00000000 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000000",
		[]any{&wire.RequestHeader{Xid: 1, Op: wire.OpCreate}, &createOf{wire.OpCreate, wire.CreateRequest{Path: "/j1", Data: []byte{}, ACL: open}}}},
	{"create reply", "00000001 000000000000014c 00000000 00000003 2f6a31",
		[]any{&wire.ReplyHeader{Xid: 1, Zxid: 0x14c}, &wire.PathRecord{Path: "/j1"}}},
	{"exists miss", "00000008 00000003 00000003 2f6a78 01",
		[]any{&wire.RequestHeader{Xid: 8, Op: wire.OpExists}, &wire.PathWatchRequest{Path: "/jx", Watch: true}}},
	{"exists miss reply", "00000008 000000000000014f ffffff9b",
		[]any{&wire.ReplyHeader{Xid: 8, Zxid: 0x14f, Err: wire.ErrNoNode}}},
	{"auth", "fffffffc 00000064 00000000 00000006 646967657374 00000003 753a70",
		[]any{&wire.RequestHeader{Xid: wire.XidAuth, Op: wire.OpAuth}, &wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}}},
	{"auth reply", "fffffffc 0000000000000000 00000000", []any{&wire.ReplyHeader{Xid: wire.XidAuth}}},
	{"notification", "ffffffff ffffffffffffffff 00000000 00000004 00000003 00000001 2f",
		[]any{&wire.ReplyHeader{Xid: wire.XidNotification, Zxid: -1},
			&wire.WatcherEvent{Type: wire.EventChildrenChanged, State: wire.StateSyncConnected, Path: "/"}}},
	{"multi fail", "0000000c 0000000000000152 00000000 ffffffff 00 00000000 00000000 ffffffff 00 ffffff99 ffffff99 ffffffff 01 ffffffff",
		[]any{&wire.ReplyHeader{Xid: 12, Zxid: 0x152},
			&results{{Op: wire.OpError}, {Op: wire.OpError, Err: wire.ErrBadVersion}}}},
	{"ping", "fffffffe 0000000b", []any{&wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}}},
	{"ping reply", "fffffffe 0000000000000153 00000000", []any{&wire.ReplyHeader{Xid: wire.XidPing, Zxid: 0x153}}},
}

var open = []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err) // a constant of this file is wrong
	}
	return b
}

// message is what every message can do, some with the help of the types below.
type message interface {
	Append(b []byte) []byte
	Decode(r *wire.Reader)
}

// createOf is a create as a given operation has it.
type createOf struct {
	op wire.Op
	m  wire.CreateRequest
}

func (c *createOf) Append(b []byte) []byte { return c.m.Append(b, c.op) }
func (c *createOf) Decode(r *wire.Reader)  { c.m.Decode(r, c.op) }

// watchesOf is a setWatches as a given operation has it.
type watchesOf struct {
	op wire.Op
	m  wire.SetWatchesRequest
}

func (w *watchesOf) Append(b []byte) []byte { return w.m.Append(b, w.op) }
func (w *watchesOf) Decode(r *wire.Reader)  { w.m.Decode(r, w.op) }

// multiOf is a multi or multiRead.
type multiOf struct {
	op  wire.Op
	ops []wire.MultiOp
}

func (m *multiOf) Append(b []byte) []byte { return wire.AppendMulti(b, m.ops) }
func (m *multiOf) Decode(r *wire.Reader)  { m.ops = r.MultiOps(m.op) }

// results are those of a multi.
type results []wire.MultiResult

func (m *results) Append(b []byte) []byte { return wire.AppendMultiResults(b, *m) }
func (m *results) Decode(r *wire.Reader)  { *m = r.MultiResults() }

// identities answer whoAmI.
type identities []wire.ID

func (m *identities) Append(b []byte) []byte { return wire.AppendIDs(b, *m) }
func (m *identities) Decode(r *wire.Reader)  { *m = r.IDs() }

func TestGolden(t *testing.T) {
	for _, g := range golden {
		want := unhex(g.hex)
		var got []byte
		r := wire.NewReader(want)
		for _, part := range g.parts {
			m := part.(message)
			got = m.Append(got)
			decoded := fresh(m)
			decoded.Decode(r)
			if !reflect.DeepEqual(decoded, m) {
				t.Errorf("%s: decoded %+v, want %+v", g.name, decoded, m)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: encoded\n%x, want\n%x", g.name, got, want)
		}
		if r.Err() != nil || r.Len() > 0 {
			t.Errorf("%s: %v, %d bytes left", g.name, r.Err(), r.Len())
		}
	}
}

// fresh returns an empty message of m's type, for the same operation.
func fresh(m message) message {
	switch m := m.(type) {
	case *createOf:
		return &createOf{op: m.op}
	case *watchesOf:
		return &watchesOf{op: m.op}
	case *multiOf:
		return &multiOf{op: m.op}
	}
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
}
