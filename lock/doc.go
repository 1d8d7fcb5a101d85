// Package lock lets processes take turns. (Curator: InterProcessMutex.)
//
//	/locks/orders/_c_9f…-lock-0000000041   the holder
//	/locks/orders/_c_27…-lock-0000000042   waits for 41, and watches nothing else
//
// The directory is a container: it is made when it is missing, and the servers delete it some time after it has run
// empty. The names are Curator's, so Curator and go-zookeeper take turns with us on the same path, and kazoo if it is
// given extra_lock_patterns=["lock-"]; contenders of kazoo's own naming are honoured too (see [Compat]). A node's data
// are {"id": who, "note": why} as JSON.
//
// # Guarantees
//
//	L1  While clocks run at about one rate, at most one [Held] has a live context (on docent's server; on Apache
//	    ZooKeeper a server cut off from its leader may answer longer than any margin covers: let the token be checked).
//	L2  Tokens grow from holder to holder, whatever the clocks do, and also when the directory is made anew.
//	L3  Who gives up leaves nothing behind. A deletion that cannot be confirmed goes on in the background.
//	L4  Whoever came first goes first; a release wakes one waiter. Taking a free lock costs two round trips.
//	L5  A Held never comes back to life, and what it lost is never mistaken for the next one's: every Lock makes a
//	    contender of its own.
//
// A lock without fencing is a hint. A holder that was stopped for longer than its session lives wakes up believing it
// holds; only the resource can refuse it, by the token: see package fence.
package lock
