package client

import (
	"crypto/sha1" // the digest scheme of the protocol is made of it
	"encoding/base64"

	"github.com/docent-io/docent/internal/wire"
)

// Stat is what the server keeps of a node beside its data. Zxids are the numbers of transactions, times are
// milliseconds since 1970 on the server's clock.
type Stat struct {
	Czxid          int64 // of the transaction that created the node
	Mzxid          int64 // of the last one that set its data
	Ctime          int64
	Mtime          int64
	Version        int32 // of the data
	Cversion       int32 // of the list of children
	Aversion       int32 // of the ACL
	EphemeralOwner int64 // the session an ephemeral belongs to, else 0
	DataLength     int32
	NumChildren    int32
	Pzxid          int64 // of the last transaction that created or deleted a child
}

// Node is a node as Create made it or Get found it.
type Node struct {
	Path string // relative to the chroot, with a leading slash; the sequence number included
	Data []byte // nil if the node was created with nil: the protocol tells null and empty apart
	Stat Stat
}

// ACL grants the permissions Perms to the identity ID of a scheme.
type ACL struct {
	Perms  int32 // a sum of PermRead and so on
	Scheme string
	ID     string
}

// The permissions an ACL can grant. Create and Delete are about the children of the node.
const (
	PermRead   = wire.PermRead
	PermWrite  = wire.PermWrite
	PermCreate = wire.PermCreate
	PermDelete = wire.PermDelete
	PermAdmin  = wire.PermAdmin
	PermAll    = wire.PermAll
)

// WorldACL lets everybody do what perms says.
func WorldACL(perms int32) []ACL { return []ACL{{Perms: perms, Scheme: "world", ID: "anyone"}} }

// CreatorACL lets those do what perms says who hold an identity that the creating connection holds (see Config.Auth).
func CreatorACL(perms int32) []ACL { return []ACL{{Perms: perms, Scheme: "auth"}} }

// DigestACL lets those do what perms says who authenticated as user with password.
func DigestACL(perms int32, user, password string) []ACL {
	sum := sha1.Sum([]byte(user + ":" + password))
	return []ACL{{Perms: perms, Scheme: "digest", ID: user + ":" + base64.StdEncoding.EncodeToString(sum[:])}}
}

// Auth is an identity to authenticate with on every connection, before anything else is sent. For the scheme digest,
// Data is "user:password".
type Auth struct {
	Scheme string
	Data   []byte
}

// Ticket is what re-attaches a session: to hand it over to another process, give this to it and let go of it here.
// The password is as secret as the session is valuable.
type Ticket struct {
	SessionID int64
	Password  []byte
	LastZxid  int64 // the newest state the session has seen; the next holder will not see an older one
}

// EventType says what happened to the node a watch is on.
type EventType int32

// The events. EventResync is made by the client, for streams only: events may be missing at this place, because the
// connection was replaced or the reader of the stream fell far behind; read again whatever is derived from the stream.
const (
	EventCreated         = EventType(wire.EventCreated)
	EventDeleted         = EventType(wire.EventDeleted)
	EventDataChanged     = EventType(wire.EventDataChanged)
	EventChildrenChanged = EventType(wire.EventChildrenChanged)
	EventResync          = EventType(wire.EventNone)
)

// String returns the name of the event.
func (t EventType) String() string {
	if t == EventResync {
		return "resync"
	}
	return wire.EventType(t).String()
}

// Event wakes, it does not inform: the node may have changed again since. Read it.
type Event struct {
	Type EventType
	Path string // relative to the chroot of the client the watch came from
	Zxid int64  // of the transaction that caused it, if the server tells (ZooKeeper since 3.9), else -1
}

// WatchMode is the mode of a lasting watch.
type WatchMode int32

// The modes of AddWatch: one node (its data, its existence and its list of children), or a node and all below it
// (data and existence of each; a list of children does not count as changed).
const (
	Persistent          = WatchMode(wire.WatchPersistent)
	PersistentRecursive = WatchMode(wire.WatchPersistentRecursive)
)

// String returns the name of the mode.
func (m WatchMode) String() string {
	switch m {
	case Persistent:
		return "persistent"
	case PersistentRecursive:
		return "persistent recursive"
	}
	return "unknown mode"
}

// State is the state of a client's connection.
type State int32

// The states of a connection. They are levels, not events: see [Client.States].
const (
	Connecting State = iota // there is no session yet, or the last one has ended
	Connected               // the session is attached to a server
	Suspended               // the session lives, or may live, but is not attached; requests wait
	ReadOnly                // attached to a server without a quorum: reads only, and only if Config.AllowReadOnly
	Closed                  // by Close; for good
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Suspended:
		return "suspended"
	case ReadOnly:
		return "read-only"
	case Closed:
		return "closed"
	}
	return "unknown state"
}
