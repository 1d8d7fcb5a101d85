// Package tree is the state that docent's servers replicate: nodes, ACLs, sessions and their ephemerals.
//
// It is pure: no clock, network, disk, goroutine or randomness. The same transactions with the same times give the same
// tree everywhere. A Tree is not synchronized: its owner holds a lock for writing around Apply and Snapshot, for
// reading around everything else.
//
// Nodes are numbered. The number, not a pointer, is what the index, the lists of children and the sets of ephemerals
// hold, so a node can be replaced by a copy in one place. That makes a snapshot cheap: it is a copy of the list of
// nodes; whoever changes a node of an older generation puts a copy of this generation in its place first. The rollback
// of a multi is the same thing: what it is about to change it puts aside, and on failure puts back.
package tree
