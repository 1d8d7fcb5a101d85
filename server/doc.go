// Package server is docent's thin replicated server. It offers ZooKeeper's raw wait-free operations (create, delete,
// exists, get, set, children, sync, multi, watches, sessions with ephemeral and sequential nodes) over ZooKeeper's
// client protocol, and nothing else: every recipe is client code.
//
// One process with a server embedded is enough to start:
//
//	srv, err := server.Start(server.Config{Listen: "127.0.0.1:0"}) // in memory
//	defer srv.Close()
//	c, err := client.Dial(ctx, client.Config{Servers: []string{srv.Addr()}})
//
// With a data folder it outlives the process; with peers it is a member of an ensemble of three or five, and carries on
// while a majority of them lives.
//
// # Guarantees
//
//	S1  An acknowledged write is on the disks of a majority (in memory: in the memories).
//	S2  Writes take effect in one order everywhere, numbered by zxids that never run backwards.
//	S3  A connection's requests take effect and are answered in the order sent.
//	S4  A read shows at least what its session has seen or written; after a sync, all that was written before the sync.
//	S5  A watch event reaches a connection before any reply that shows the change.
//	S6  A session ends when it is closed, or unheard for its timeout: never before the timeout has passed since the last
//	    answered ping, connect or write was sent. All its ephemerals vanish at one zxid.
//	S7  Once a session has been re-attached, no write of its earlier connection takes effect.
//
// How it works is told in DESIGN.md.
package server
