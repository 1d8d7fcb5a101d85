// Package watch knows which watcher waits for which path on this server (§6 of the protocol reference, as ZooKeeper 3.9
// does it). Watches belong to a connection, are not replicated and do not outlive it.
package watch
