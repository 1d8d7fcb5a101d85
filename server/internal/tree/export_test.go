package tree

// SetCreates sets a node's counter of creates, which takes long to reach by creating.
func SetCreates(t *Tree, path string, n uint32) {
	node := t.own(t.index[path])
	node.creates = n
	t.changed(node)
}

// SetVersion sets the version of a node's data.
func SetVersion(t *Tree, path string, v int32) {
	node := t.own(t.index[path])
	node.version = v
	t.changed(node)
}

// ACLs returns the number of distinct ACLs.
func ACLs(t *Tree) int { return len(t.acls.lists) }

// Recompute makes the digest from all records anew.
func Recompute(t *Tree) (sum uint64) {
	for _, s := range t.sessions {
		sum += s.digest()
	}
	for _, n := range t.nodes {
		if n != nil {
			sum += n.recompute()
		}
	}
	return sum
}
