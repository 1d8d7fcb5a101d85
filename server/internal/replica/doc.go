// Package replica makes several processes carry out the same commands in the same order. It is the only user of
// hashicorp/raft, and knows nothing about what the commands mean: they are bytes for a [Machine].
//
// What it adds to raft: commands are joined into batches and batches into entries, so that many travel under one sync;
// a follower's batches are forwarded to the leader and, through failures, applied once and in order; a request to the
// leader is answered only when a majority confirmed that it still leads; a dead leader is noticed by its socket.
// DESIGN.md beside this file tells how.
package replica
