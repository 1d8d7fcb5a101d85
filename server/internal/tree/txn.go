package tree

import "github.com/docent-io/docent/internal/wire"

// OpAttach is the transaction by which a connection takes over a session that exists: from its apply on, transactions
// of the session's older connections fail with wire.ErrSessionMoved. It never comes from a client.
const OpAttach wire.Op = -100

// Features says what the server that took a request has switched on. It travels in the log, so that every replica
// decides alike whatever its own configuration says.
type Features uint8

const (
	FeatureTTL  Features = 1 << iota // nodes with a time to live (extendedTypesEnabled); else they fail with -6
	FeatureX509                      // the ACL scheme x509; else it is an invalid ACL
)

// Txn is one request as it stands in the log: what was asked, by whom, over which connection.
type Txn struct {
	Session  int64     // 0 only for OpDeleteContainer
	Epoch    int32     // of the connection it came by; closeSession proposed by the leader: the epoch it saw
	IDs      []wire.ID // identities of that connection, for ACL checks: ip, digest, super and so on
	Features Features
	// Op is one of OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpSetData, OpSetACL, OpMulti, OpSync,
	// OpCreateSession, OpAttach, OpCloseSession and OpDeleteContainer.
	Op    wire.Op
	One   wire.MultiOp       // creates, delete, setData; OpDeleteContainer: Check.Path. Its own Op is not looked at.
	Multi []wire.MultiOp     // multi
	ACL   wire.SetACLRequest // setACL
	// Timeout is the session's, in ms, for OpCreateSession and OpAttach. For OpDeleteContainer: containers that were
	// never used may go once they are that many ms old, 0: never.
	Timeout  int32
	Password []byte // OpCreateSession: chosen by the server that proposes it; OpAttach: shown by the client
}

// Result is what came of a transaction.
type Result struct {
	Zxid int64
	// Err is the protocol's code; ErrSessionMoved means that the connection has to be closed without an answer.
	// OpCreateSession fails with ErrNodeExists if the id is in use, OpAttach with ErrSessionExpired if the session is
	// unknown or the password wrong.
	Err      wire.Code
	Path     string             // creates: with the sequence suffix
	Stat     wire.Stat          // creates, setData, setACL
	Multi    []wire.MultiResult // ready for wire.AppendMultiResults, also when the multi failed: then Err is OK
	Epoch    int32              // OpCreateSession, OpAttach: of the connection that holds the session now
	Timeout  int32              // OpCreateSession, OpAttach
	Password []byte             // OpCreateSession, OpAttach
}

// Event is a change that watches may wait for.
type Event struct {
	Type wire.EventType
	Path string
	Zxid int64
	ACL  []wire.ACL // whoever may not READ by it is not told: the node's own, or the parent's for EventChildrenChanged
}

// Append appends the transaction's encoding.
func (x *Txn) Append(b []byte) []byte { return b }

// Decode reads what Append wrote, and fails on anything else. The slices of x are used again. Data, passwords and
// nothing else point into b.
func (x *Txn) Decode(b []byte) error { return nil }
