package tree

// SetCreates sets a node's counter of creates, which takes long to reach by creating.
func SetCreates(t *Tree, path string, n uint32) { t.own(t.index[path]).creates = n }
