package tree

// SetCreates sets a node's counter of creates, which takes long to reach by creating.
func SetCreates(t *Tree, path string, n uint32) { t.own(t.index[path]).creates = n }

// SetVersion sets the version of a node's data.
func SetVersion(t *Tree, path string, v int32) { t.own(t.index[path]).version = v }

// ACLs returns the number of distinct ACLs.
func ACLs(t *Tree) int { return len(t.acls.lists) }
