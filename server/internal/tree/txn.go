package tree

import (
	"errors"
	"fmt"

	"github.com/docent-io/docent/internal/wire"
)

// OpAttach is the transaction by which a connection takes over a session that exists: from its apply on, transactions
// of the session's older connections fail with wire.ErrSessionMoved. It never comes from a client.
const OpAttach wire.Op = -100

// OpMembers is the transaction that writes the list of members into /zookeeper/config, as its proposer knows it. It never
// comes from a client.
const OpMembers wire.Op = -102

// Features says what the server that took a request has switched on. It travels in the log, so that every replica
// decides alike whatever its own configuration says.
type Features uint8

// The features.
const (
	FeatureTTL   Features = 1 << iota // nodes with a time to live (extendedTypesEnabled); else they fail with -6
	FeatureX509                       // the ACL scheme x509; else it is an invalid ACL
	FeatureQuota                      // hard quotas are enforced (enforceQuota); else they are only counted
)

// Txn is one request as it stands in the log: what was asked, by whom, over which connection.
type Txn struct {
	Session  int64     // 0 only for OpDeleteContainer, OpRestore and OpMembers
	Epoch    int32     // of the connection it came by; closeSession proposed by the leader: the epoch it saw
	IDs      []wire.ID // identities of that connection, for ACL checks: ip, digest, super and so on
	Features Features
	// Op is one of OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpSetData, OpSetACL, OpMulti, OpSync,
	// OpCreateSession, OpAttach, OpCloseSession, OpDeleteContainer, OpRestore and OpMembers.
	Op    wire.Op
	One   wire.MultiOp       // creates, delete, setData; OpDeleteContainer: Check.Path. Its own Op is not looked at.
	Multi []wire.MultiOp     // multi
	ACL   wire.SetACLRequest // setACL
	// Timeout is the session's, in ms, for OpCreateSession and OpAttach. For OpDeleteContainer: containers that were
	// never used may go once they are that many ms old, 0: never.
	Timeout  int32
	Password []byte // OpCreateSession: chosen by the server that proposes it; OpAttach: shown by the client
	// Seen is set when the leader asks for OpCloseSession, because it has not heard the session: the last transaction it
	// knew of then. If the session has written since, it stays. OpMembers: the mzxid of the list it is to replace.
	Seen    int64
	Part    Part   // OpRestore
	Members string // OpMembers: one line for each
}

// Result is what came of a transaction.
type Result struct {
	Zxid int64
	// Err is the protocol's code; ErrSessionMoved means that the connection has to be closed without an answer.
	// OpCreateSession fails with ErrNodeExists if the id is in use, OpAttach with ErrSessionExpired if the session is
	// unknown or the password wrong.
	Err      wire.Code
	Path     string             // creates: with the sequence suffix
	Stat     wire.Stat          // creates, setData, setACL, OpMembers
	Multi    []wire.MultiResult // ready for wire.AppendMultiResults, also when the multi failed: then Err is OK
	Epoch    int32              // OpCreateSession, OpAttach: of the connection that holds the session now
	Timeout  int32              // OpCreateSession, OpAttach
	Password []byte             // OpCreateSession, OpAttach
	// OverQuota is the path of a quota whose soft limit the transaction was the first to pass.
	OverQuota string
}

// Event is a change that watches may wait for.
type Event struct {
	Type wire.EventType
	Path string
	Zxid int64
	ACL  []wire.ACL // whoever may not READ by it is not told: the node's own, or the parent's for EventChildrenChanged
}

const (
	txnVersion = 1
	aclOpen    = -2 // in the place of an ACL's length: OpenACL, which nearly all are
)

var errTrailing = errors.New("bytes behind the end")

// Append appends the transaction's encoding.
func (x *Txn) Append(b []byte) []byte {
	b = append(b, txnVersion, byte(x.Features))
	b = wire.AppendInt32(b, int32(x.Op))
	b = wire.AppendInt64(b, x.Session)
	b = wire.AppendInt32(b, x.Epoch)
	b = wire.AppendIDs(b, x.IDs)
	switch x.Op {
	case wire.OpMulti:
		b = wire.AppendInt32(b, int32(len(x.Multi)))
		for i := range x.Multi {
			b = wire.AppendInt32(b, int32(x.Multi[i].Op))
			b = appendOne(b, x.Multi[i].Op, &x.Multi[i])
		}
	case wire.OpSetACL:
		b = appendACL(wire.AppendString(b, x.ACL.Path), x.ACL.ACL)
		b = wire.AppendInt32(b, x.ACL.Version)
	case wire.OpCreateSession, OpAttach:
		b = wire.AppendBuffer(wire.AppendInt32(b, x.Timeout), x.Password)
	case wire.OpCloseSession:
		b = wire.AppendInt64(b, x.Seen)
	case wire.OpDeleteContainer:
		b = wire.AppendInt32(wire.AppendString(b, x.One.Check.Path), x.Timeout)
	case OpRestore:
		b = x.Part.append(b)
	case OpMembers:
		b = wire.AppendString(wire.AppendInt64(b, x.Seen), x.Members)
	default:
		b = appendOne(b, x.Op, &x.One)
	}
	return b
}

func appendOne(b []byte, op wire.Op, m *wire.MultiOp) []byte {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		b = wire.AppendBuffer(wire.AppendString(b, m.Create.Path), m.Create.Data)
		b = wire.AppendInt32(appendACL(b, m.Create.ACL), m.Create.Flags)
		if op == wire.OpCreateTTL {
			b = wire.AppendInt64(b, m.Create.TTL)
		}
	case wire.OpDelete, wire.OpCheck:
		b = m.Check.Append(b)
	case wire.OpSetData:
		b = m.Set.Append(b)
	}
	return b
}

func appendACL(b []byte, acl []wire.ACL) []byte {
	if isOpen(acl) {
		return wire.AppendInt32(b, aclOpen)
	}
	return wire.AppendACLs(b, acl)
}

// Decode reads what Append wrote, and fails on anything else. x may be used again and again: it keeps its slices.
// Data and passwords point into b, nothing else does.
func (x *Txn) Decode(b []byte) error {
	var d decoder
	d.r.Reset(b)
	ids, multi := x.IDs, x.Multi[:0]
	if v := d.r.Byte(); d.r.Err() == nil && v != txnVersion {
		return fmt.Errorf("decode transaction: version %d, know %d", v, txnVersion)
	}
	*x = Txn{
		Features: Features(d.r.Byte()), Op: wire.Op(d.r.Int32()), Session: d.r.Int64(), Epoch: d.r.Int32(), IDs: d.ids(ids), Multi: multi,
	}
	d.body(x)
	if d.err == nil {
		d.err = d.r.Err()
	}
	if d.err == nil && d.r.Len() > 0 {
		d.err = errTrailing
	}
	if d.err != nil {
		return fmt.Errorf("decode transaction: %w", d.err)
	}
	return nil
}

type decoder struct {
	r   wire.Reader
	err error
}

func (d *decoder) body(x *Txn) {
	switch x.Op {
	case wire.OpSync:
	case wire.OpCloseSession:
		x.Seen = d.r.Int64()
	case wire.OpMulti:
		n, _ := d.r.Count(4)
		for i := 0; i < n && d.r.Err() == nil && d.err == nil; i++ {
			m := wire.MultiOp{Op: wire.Op(d.r.Int32())}
			d.one(m.Op, &m)
			x.Multi = append(x.Multi, m)
		}
	case wire.OpSetACL:
		x.ACL = wire.SetACLRequest{Path: d.r.String(), ACL: d.acl(), Version: d.r.Int32()}
	case wire.OpCreateSession, OpAttach:
		x.Timeout, x.Password = d.r.Int32(), d.r.Buffer()
	case wire.OpDeleteContainer:
		x.One.Op, x.One.Check.Path, x.Timeout = x.Op, d.r.String(), d.r.Int32()
	case OpRestore:
		x.Part.decode(&d.r)
	case OpMembers:
		x.Seen, x.Members = d.r.Int64(), d.r.String()
	case wire.OpCheck:
		d.err = &wire.MultiOpError{Op: x.Op} // only inside a multi
	default:
		x.One.Op = x.Op
		d.one(x.Op, &x.One)
	}
}

func (d *decoder) one(op wire.Op, m *wire.MultiOp) {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		m.Create = wire.CreateRequest{Path: d.r.String(), Data: d.r.Buffer(), ACL: d.acl(), Flags: d.r.Int32()}
		if op == wire.OpCreateTTL {
			m.Create.TTL = d.r.Int64()
		}
	case wire.OpDelete, wire.OpCheck:
		m.Check.Decode(&d.r)
	case wire.OpSetData:
		m.Set.Decode(&d.r)
	default:
		d.err = fmt.Errorf("unknown %v", op)
	}
}

func (d *decoder) acl() []wire.ACL {
	if p := d.r.Rest(); len(p) >= 4 && p[0] == 0xff && p[1] == 0xff && p[2] == 0xff && p[3] == 0xfe {
		d.r.Int32()
		return OpenACL()
	}
	return d.r.ACLs()
}

// ids reads the identities into the room of the old ones. Transactions of one connection follow one another, and
// their identities are the same: then no string is made anew.
func (d *decoder) ids(old []wire.ID) []wire.ID {
	n, _ := d.r.Count(8)
	ids := old[:0]
	for i := range n {
		var was wire.ID
		if i < len(old) {
			was = old[i]
		}
		ids = append(ids, wire.ID{Scheme: d.same(was.Scheme), ID: d.same(was.ID)})
	}
	return ids
}

func (d *decoder) same(old string) string {
	if p := d.r.Buffer(); string(p) != old {
		return string(p)
	}
	return old
}
