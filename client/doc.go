// Package client talks to an ensemble that speaks ZooKeeper's protocol: docent's own servers or Apache ZooKeeper.
//
//	c, err := client.Dial(ctx, client.Config{Servers: []string{"a:2181", "b:2181", "c:2181"}})
//	...
//	defer c.Close()
//	node, err := c.Get(ctx, "/config/rate")
//
// A [Client] keeps one connection and one session, and replaces either when it is lost. Its methods wait for a session
// and repeat what is safe to repeat; use them for work that does not care which session does it. A [Session] is pinned:
// it ends, and never turns into the next one. Whatever depends on ephemeral nodes or watches belongs on a Session, in
// a visible loop: get a session, work on it, it ended, again.
//
// Paths are relative to the chroot of the client; a leading slash may be left out, and is always there in what comes
// back.
//
// # Guarantees
//
//	C1  A request is sent at most once unless it cannot change anything, or provably never left this process. A write
//	    that was sent and not answered fails with [OpError].MaybeApplied, and is not repeated, except for [Protected]
//	    creates, which find out first.
//	C2  Requests of one goroutine are carried out in their order, and an answer is given to its own request only.
//	C3  A watch ends exactly once: with an event, with the end of its session, or closed. It survives reconnects, and
//	    what changed meanwhile fires at once.
//	C4  [Session.Deadline] is never later than the moment the server may give the session's ephemerals to others, while
//	    clocks run at about one rate. (On Apache ZooKeeper followers: with the reserve of a third of the timeout only.)
//	C5  After a session has ended nothing is sent on it, all that waited has got an error, and its Context tells why.
//	C6  Whatever blocks takes a context and returns at once when that ends. Close is bounded and leaves no goroutine.
package client
