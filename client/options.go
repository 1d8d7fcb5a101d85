package client

import (
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// CreateOption changes how a node is created.
type CreateOption struct {
	kind     createKind
	ttl      time.Duration
	acl      []ACL
	siblings *[]string
}

type createKind uint8

const (
	kindEphemeral createKind = iota + 1
	kindSequential
	kindContainer
	kindTTL
	kindACL
	kindParents
	kindProtected
	kindSiblings
)

// Ephemeral makes the node end with the session that creates it.
func Ephemeral() CreateOption { return CreateOption{kind: kindEphemeral} }

// Sequential makes the server append a number of ten digits to the name, which grows from child to child of one parent
// (as long as the parent lives). The path may end in a slash: then the number is the whole name.
func Sequential() CreateOption { return CreateOption{kind: kindSequential} }

// Container makes the server delete the node some time after its last child has gone.
func Container() CreateOption { return CreateOption{kind: kindContainer} }

// TTL makes the server delete the node when it has had no child and no change of data for d, which is rounded up to a
// millisecond. Apache ZooKeeper answers ErrUnimplemented unless it is switched on.
func TTL(d time.Duration) CreateOption { return CreateOption{kind: kindTTL, ttl: d} }

// WithACL sets the node's ACL, in place of what Config.ACL says. With Parents, it is the node's alone.
func WithACL(acl []ACL) CreateOption { return CreateOption{kind: kindACL, acl: acl} }

// Parents creates missing parents, as containers (as persistent nodes where the server knows no containers).
func Parents() CreateOption { return CreateOption{kind: kindParents} }

// Protected makes the create safe against a lost reply: the name gets a random part (_c_<uuid>-name, Curator's layout)
// by which the node is found again. So the create succeeds once and leaves one node, or fails and leaves none: if ctx
// ends before the outcome is known, the node is looked for and deleted in the background (see Session.Pending).
func Protected() CreateOption { return CreateOption{kind: kindProtected} }

// WithSiblings lists the children of the new node's parent in the same flight, right behind the create: names has the node
// itself among them. It is nil when there is no such list, although the create may have succeeded: it had to be found
// again after a lost reply, or the list alone was refused. Not for transactions.
func WithSiblings(names *[]string) CreateOption {
	return CreateOption{kind: kindSiblings, siblings: names}
}

// createSpec is what the options of one create come to.
type createSpec struct {
	ephemeral, sequential, container, parents, protected bool

	ttl   time.Duration
	acl   []ACL // nil: as configured
	extra bool  // more than one kind of life time was asked for

	siblings *[]string // nil: not asked for
}

func newCreateSpec(opts []CreateOption) (spec createSpec) {
	for i := range opts {
		switch o := &opts[i]; o.kind {
		case kindEphemeral:
			spec.ephemeral = true
		case kindSequential:
			spec.sequential = true
		case kindContainer:
			spec.container = true
		case kindTTL:
			spec.ttl = o.ttl
			spec.extra = spec.extra || o.ttl <= 0 || o.ttl.Milliseconds() >= wire.MaxTTL
		case kindACL:
			spec.acl = o.acl
		case kindParents:
			spec.parents = true
		case kindProtected:
			spec.protected = true
		case kindSiblings:
			spec.siblings = o.siblings
		}
	}
	return spec
}

// opFlags returns the operation and its flags; ok is false if the options contradict each other.
func (spec *createSpec) opFlags() (op wire.Op, flags int32, ok bool) {
	switch {
	case spec.extra:
		return 0, 0, false
	case spec.container:
		return wire.OpCreateContainer, wire.FlagContainer, !spec.ephemeral && !spec.sequential && spec.ttl == 0
	case spec.ttl > 0 && spec.sequential:
		return wire.OpCreateTTL, wire.FlagPersistentSequentialTTL, !spec.ephemeral
	case spec.ttl > 0:
		return wire.OpCreateTTL, wire.FlagTTL, !spec.ephemeral
	}
	if spec.ephemeral {
		flags |= wire.FlagEphemeral
	}
	if spec.sequential {
		flags |= wire.FlagSequential
	}
	return wire.OpCreate2, flags, true
}

// ReadOption changes how a read is carried out.
type ReadOption struct{ fresh bool }

// Fresh makes the server catch up with its leader first (a sync), in the same flight as the read. So the read sees
// every write that anybody had finished before it began.
func Fresh() ReadOption { return ReadOption{fresh: true} }

func fresh(opts []ReadOption) bool {
	for i := range opts {
		if opts[i].fresh {
			return true
		}
	}
	return false
}
