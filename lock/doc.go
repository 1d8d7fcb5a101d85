// Package lock lets processes take turns. (Curator: InterProcessMutex and friends.)
//
//	/locks/orders/_c_9f…-lock-0000000041   the holder
//	/locks/orders/_c_27…-lock-0000000042   waits for 41, and watches nothing else
//
//	/locks/index/_c_3b…-__READ__0000000007   holds
//	/locks/index/_c_51…-__READ__0000000008   holds
//	/locks/index/_c_8e…-__WRIT__0000000009   waits for 8
//	/locks/index/_c_d0…-__READ__0000000010   waits for 9
//
// [Mutex] is the first, [RWMutex] the second, [Semaphore] draws its own; [LockAll] takes several mutexes at once. The
// directory is a container: it is made when it is missing, and the servers delete it some time after it has run empty.
//
// The names are Curator's, so Curator and go-zookeeper take turns with us on the same path, and kazoo if it is given
// extra_lock_patterns=["lock-"]; a mutex honours contenders of kazoo's own naming too (see [Compat]). A node's data are
// {"id": who, "note": why} as JSON.
//
// # Guarantees
//
//	L1  While clocks run at about one rate, at most one [Held] has a live context (on docent's server; on Apache
//	    ZooKeeper a server cut off from its leader may answer longer than any margin covers: let the token be checked).
//	    A holder whom somebody breaks, or whose session somebody ends by force, learns of it afterwards.
//	L2  Tokens grow from holder to holder, whatever the clocks do, and also when the directory is made anew.
//	L3  Who gives up leaves nothing behind. A deletion that cannot be confirmed goes on in the background.
//	L4  Whoever came first goes first; a release wakes one waiter. Taking a free lock costs one round trip,
//	    releasing it another; [Mutex.Relock] does both in one.
//	L5  A Held never comes back to life, and what it lost is never mistaken for the next one's: every Lock makes a
//	    contender of its own.
//	L6  Readers share; a writer shares with nobody. A downgrade lets no writer in between.
//	L7  A semaphore never has more permits out than there are, and gives no slot twice at a time.
//	L8  LockAll does not deadlock with LockAll.
//
// A lock without fencing is a hint. A holder that was stopped for longer than its session lives wakes up believing it
// holds; only the resource can refuse it, by the token: see package fence, and docs/what-a-lock-gives-you.md.
package lock
