package wire

// ACL grants permissions to an identity of a scheme.
type ACL struct {
	Perms  int32 // PermRead and so on
	Scheme string
	ID     string
}

// Append appends the entry.
func (a *ACL) Append(b []byte) []byte {
	return AppendString(AppendString(AppendInt32(b, a.Perms), a.Scheme), a.ID)
}

// Decode reads the entry. A null scheme reads as "" (no scheme has that name). A null id is right for the scheme auth,
// which ignores it and for which kazoo sends null; elsewhere it is an error.
func (a *ACL) Decode(r *Reader) {
	a.Perms = r.Int32()
	a.Scheme, _ = r.NullString()
	var ok bool
	if a.ID, ok = r.NullString(); ok {
		return
	}
	switch a.Scheme {
	case "world", "digest", "ip", "x509", "sasl":
		r.fail(ErrNull)
	}
}

// AppendACLs appends a list of entries; nil is an empty list.
func AppendACLs(b []byte, list []ACL) []byte {
	b = AppendInt32(b, int32(len(list)))
	for i := range list {
		b = list[i].Append(b)
	}
	return b
}

// ACLs reads a list of entries; null reads as nil.
func (r *Reader) ACLs() []ACL {
	n, ok := r.Count(12)
	if !ok {
		return nil
	}
	list := make([]ACL, n)
	for i := range list {
		list[i].Decode(r)
	}
	if r.err != nil {
		return nil
	}
	return list
}

// GetACLResponse answers getACL.
type GetACLResponse struct {
	ACL  []ACL
	Stat Stat
}

// Append appends the response.
func (m *GetACLResponse) Append(b []byte) []byte { return m.Stat.Append(AppendACLs(b, m.ACL)) }

// Decode reads the response.
func (m *GetACLResponse) Decode(r *Reader) {
	m.ACL = r.ACLs()
	m.Stat.Decode(r)
}

// SetACLRequest replaces a node's ACL; Version is compared with the ACL's version, -1 matches every one.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32
}

// Append appends the request.
func (m *SetACLRequest) Append(b []byte) []byte {
	return AppendInt32(AppendACLs(AppendString(b, m.Path), m.ACL), m.Version)
}

// Decode reads the request.
func (m *SetACLRequest) Decode(r *Reader) {
	*m = SetACLRequest{Path: r.String(), ACL: r.ACLs(), Version: r.Int32()}
}

// ID is an identity under which a connection is known.
type ID struct{ Scheme, ID string }

// AppendIDs appends a list of identities (the answer to whoAmI).
func AppendIDs(b []byte, ids []ID) []byte {
	b = AppendInt32(b, int32(len(ids)))
	for _, id := range ids {
		b = AppendString(AppendString(b, id.Scheme), id.ID)
	}
	return b
}

// IDs reads a list of identities.
func (r *Reader) IDs() []ID {
	n, ok := r.Count(8)
	if !ok {
		return nil
	}
	ids := make([]ID, n)
	for i := range ids {
		ids[i].Scheme, _ = r.NullString()
		ids[i].ID, _ = r.NullString()
	}
	if r.err != nil {
		return nil
	}
	return ids
}
