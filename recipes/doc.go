// Package recipes holds what every recipe needs and none owns, for authors of further recipes.
//
//	Line, Ticket   a place in an ordered line. The Rule, whom do I wait for?, is all that differs between lines.
//	Hold           something owned through a session: a context with a cause, a token, one verb to let go
//	Presence       an ephemeral node that is kept there from session to session
//	Cache          a local copy of a node, of its children, or of a subtree
//	Follow         read with a watch, act, wait, again
//	Codec          bytes and values
//
// A line is a directory of ephemeral sequential nodes:
//
//	/line/_c_9f…-lock-0000000041   first: waits for nobody
//	/line/_c_27…-lock-0000000042   waits for 41, and watches nothing else
//	/line/readme                   a stranger: ignored
//
// # Guarantees
//
//	R1  While clocks run at about one rate, at most one [Hold] of a line of strict turns has a live context (on
//	    docent's server; what Apache ZooKeeper leaves to the token is told at client.Session.Deadline).
//	R2  Tokens grow from holder to holder, whatever the clocks do.
//	R3  Who gives up leaves nothing behind: its node is deleted even if its context is over or the connection is
//	    down, at the latest with its session.
//	R4  Who leaves wakes one: a place is watched by the one that waits for it, and the directory by nobody.
//	R5  Nothing is done for a session on another session. Whatever outlives sessions says so.
//	R6  A [Cache], a [Presence] and [Follow] reach the present state again after whatever was missed: an event only
//	    says "look again", and what was not looked at successfully stays to be looked at.
package recipes

import "errors"

// The errors of this package. Those of the client come through as well.
var (
	// ErrGone: our node was deleted by somebody else, or taken away with its directory.
	ErrGone = errors.New("our node is gone")
	// ErrReleased is the cause of a context that ended because its owner let go.
	ErrReleased = errors.New("released")
	// ErrBusy: it was not our turn, and we were not to wait.
	ErrBusy = errors.New("not our turn")
	// ErrSequenceExhausted: the directory's sequence numbers are used up. Delete it once it is empty.
	ErrSequenceExhausted = errors.New("sequence numbers of the directory are exhausted")
	// ErrWrongKind: the directory is in use by another recipe, which would not see us.
	ErrWrongKind = errors.New("directory belongs to another recipe")
	// ErrNotAlive: the program did not say that it is alive; see Line.Alive.
	ErrNotAlive = errors.New("program is not alive")
	// ErrTaken: the node of a presence exists and belongs to somebody else.
	ErrTaken = errors.New("node belongs to another session")
)
