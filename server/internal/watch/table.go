// Package watch knows which watcher waits for which path on this server (§6 of the protocol reference, as ZooKeeper 3.9
// does it). Watches belong to a connection, are not replicated and do not outlive it.
package watch

import (
	"iter"

	"github.com/docent-io/docent/internal/wire"
)

// Kind is what a watch waits for. Kinds stack: one watcher may have all of them on one path.
type Kind uint8

const (
	Data       Kind = 1 << iota // one event: the node is created, its data changes, or it is deleted
	Child                       // one event: a child comes or goes, or the node is deleted
	Persistent                  // all that Data and Child wait for, until removed
	Recursive                   // creation, change and deletion of the node and all below it, until removed
)

// Table holds the watches of watchers of type W, which the server takes for connections. All methods may be called at
// once.
type Table[W comparable] struct{}

// New returns an empty table.
func New[W comparable]() *Table[W] { return &Table[W]{} }

// Add adds a watch. One that is there already stays.
func (t *Table[W]) Add(w W, path string, k Kind) {}

// Check tells whether w has a watch of that type at exactly this path.
func (t *Table[W]) Check(w W, path string, typ wire.WatcherType) bool { return false }

// Remove removes the watches of that type that w has at exactly this path, and tells whether there were any.
func (t *Table[W]) Remove(w W, path string, typ wire.WatcherType) bool { return false }

// Drop removes all watches of w.
func (t *Table[W]) Drop(w W) {}

// Fire hands an event to everyone who waits for it, once to each, and removes the one-shot watches it met. deliver is
// called under the table's lock and must not call back.
func (t *Table[W]) Fire(typ wire.EventType, path string, deliver func(w W, typ wire.EventType, path string)) {
}

// Counts are the sizes of a table as ZooKeeper tells them.
type Counts struct {
	Watches                              int // data and child watches; a persistent one counts as both (zk_watch_count)
	DataWatchers, DataPaths, DataWatches int // without child watches (wchs)
}

// Counts returns the sizes of the table.
func (t *Table[W]) Counts() Counts { return Counts{} }

// Len returns the number of paths that w watches.
func (t *Table[W]) Len(w W) int { return 0 }

// ByPath ranges over the watched paths, sorted, with their watchers; child watches do not count (wchp).
func (t *Table[W]) ByPath() iter.Seq2[string, []W] { return func(func(string, []W) bool) {} }

// ByWatcher ranges over the watchers with the paths they watch, sorted; child watches do not count (wchc).
func (t *Table[W]) ByWatcher() iter.Seq2[W, []string] { return func(func(W, []string) bool) {} }
