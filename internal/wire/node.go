package wire

import "encoding/binary"

// StatLen is the length of a Stat.
const StatLen = 68

// Stat is what the protocol tells of a node beside its data (§5 of the protocol reference).
type Stat struct {
	Czxid          int64 // of the transaction that created the node
	Mzxid          int64 // of the last one that set its data
	Ctime          int64 // milliseconds since 1970
	Mtime          int64
	Version        int32 // of the data
	Cversion       int32 // of the list of children
	Aversion       int32 // of the ACL
	EphemeralOwner int64 // the session an ephemeral belongs to, else 0
	DataLength     int32
	NumChildren    int32
	Pzxid          int64 // of the last transaction that created or deleted a child
}

// Append appends the 68 bytes.
func (s *Stat) Append(b []byte) []byte {
	b = AppendInt64(b, s.Czxid)
	b = AppendInt64(b, s.Mzxid)
	b = AppendInt64(b, s.Ctime)
	b = AppendInt64(b, s.Mtime)
	b = AppendInt32(b, s.Version)
	b = AppendInt32(b, s.Cversion)
	b = AppendInt32(b, s.Aversion)
	b = AppendInt64(b, s.EphemeralOwner)
	b = AppendInt32(b, s.DataLength)
	b = AppendInt32(b, s.NumChildren)
	return AppendInt64(b, s.Pzxid)
}

// Decode reads the 68 bytes.
func (s *Stat) Decode(r *Reader) {
	p := r.take(StatLen)
	if p == nil {
		*s = Stat{}
		return
	}
	be := binary.BigEndian
	*s = Stat{
		Czxid: int64(be.Uint64(p)), Mzxid: int64(be.Uint64(p[8:])), Ctime: int64(be.Uint64(p[16:])), Mtime: int64(be.Uint64(p[24:])),
		Version: int32(be.Uint32(p[32:])), Cversion: int32(be.Uint32(p[36:])), Aversion: int32(be.Uint32(p[40:])),
		EphemeralOwner: int64(be.Uint64(p[44:])), DataLength: int32(be.Uint32(p[52:])), NumChildren: int32(be.Uint32(p[56:])),
		Pzxid: int64(be.Uint64(p[60:])),
	}
}

// CreateRequest is the request of create, create2, createContainer and, with TTL, createTTL.
type CreateRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
	TTL   int64 // milliseconds; on the wire for createTTL only
}

// Append appends the request as operation op has it.
func (m *CreateRequest) Append(b []byte, op Op) []byte {
	b = AppendString(b, m.Path)
	b = AppendBuffer(b, m.Data)
	b = AppendACLs(b, m.ACL)
	b = AppendInt32(b, m.Flags)
	if op == OpCreateTTL {
		b = AppendInt64(b, m.TTL)
	}
	return b
}

// Decode reads the request as operation op has it.
func (m *CreateRequest) Decode(r *Reader, op Op) {
	*m = CreateRequest{Path: r.String(), Data: r.Buffer(), ACL: r.ACLs(), Flags: r.Int32()}
	if op == OpCreateTTL {
		m.TTL = r.Int64()
	}
}

// Create2Response answers the creates that return a Stat. The plain create returns the path alone: PathRecord.
type Create2Response struct {
	Path string
	Stat Stat
}

// Append appends the response.
func (m *Create2Response) Append(b []byte) []byte { return m.Stat.Append(AppendString(b, m.Path)) }

// Decode reads the response.
func (m *Create2Response) Decode(r *Reader) {
	m.Path = r.String()
	m.Stat.Decode(r)
}

// PathRecord is a path alone: the request of getACL, sync and getAllChildrenNumber, the answer of create and sync.
type PathRecord struct{ Path string }

// Append appends the record.
func (m *PathRecord) Append(b []byte) []byte { return AppendString(b, m.Path) }

// Decode reads the record.
func (m *PathRecord) Decode(r *Reader) { m.Path = r.String() }

// PathWatchRequest is the request of exists, getData, getChildren and getChildren2.
type PathWatchRequest struct {
	Path  string
	Watch bool
}

// Append appends the request.
func (m *PathWatchRequest) Append(b []byte) []byte {
	return AppendBool(AppendString(b, m.Path), m.Watch)
}

// Decode reads the request.
func (m *PathWatchRequest) Decode(r *Reader) {
	*m = PathWatchRequest{Path: r.String(), Watch: r.Bool()}
}

// PathVersionRequest is the request of delete and check; version -1 matches every one.
type PathVersionRequest struct {
	Path    string
	Version int32
}

// Append appends the request.
func (m *PathVersionRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, m.Path), m.Version)
}

// Decode reads the request.
func (m *PathVersionRequest) Decode(r *Reader) {
	*m = PathVersionRequest{Path: r.String(), Version: r.Int32()}
}

// SetDataRequest replaces a node's data; version -1 matches every one. The answer is a Stat.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32
}

// Append appends the request.
func (m *SetDataRequest) Append(b []byte) []byte {
	return AppendInt32(AppendBuffer(AppendString(b, m.Path), m.Data), m.Version)
}

// Decode reads the request.
func (m *SetDataRequest) Decode(r *Reader) {
	*m = SetDataRequest{Path: r.String(), Data: r.Buffer(), Version: r.Int32()}
}

// GetDataResponse answers getData.
type GetDataResponse struct {
	Data []byte
	Stat Stat
}

// Append appends the response.
func (m *GetDataResponse) Append(b []byte) []byte { return m.Stat.Append(AppendBuffer(b, m.Data)) }

// Decode reads the response.
func (m *GetDataResponse) Decode(r *Reader) {
	m.Data = r.Buffer()
	m.Stat.Decode(r)
}

// ChildrenResponse answers getChildren2; getChildren returns the names alone, a vector of strings.
type ChildrenResponse struct {
	Names []string
	Stat  Stat
}

// Append appends the response.
func (m *ChildrenResponse) Append(b []byte) []byte { return m.Stat.Append(AppendStrings(b, m.Names)) }

// Decode reads the response.
func (m *ChildrenResponse) Decode(r *Reader) {
	m.Names = r.Strings()
	m.Stat.Decode(r)
}

// GetEphemeralsRequest asks for the ephemerals of the calling session below a prefix; null reads as "".
type GetEphemeralsRequest struct{ Prefix string }

// Append appends the request.
func (m *GetEphemeralsRequest) Append(b []byte) []byte { return AppendString(b, m.Prefix) }

// Decode reads the request.
func (m *GetEphemeralsRequest) Decode(r *Reader) { m.Prefix, _ = r.NullString() }

// ReconfigRequest changes the membership of an ensemble. kazoo sends null for empty lists; they read as "".
type ReconfigRequest struct {
	Joining, Leaving, NewMembers string
	ConfigID                     int64
}

// Append appends the request.
func (m *ReconfigRequest) Append(b []byte) []byte {
	b = AppendString(AppendString(AppendString(b, m.Joining), m.Leaving), m.NewMembers)
	return AppendInt64(b, m.ConfigID)
}

// Decode reads the request.
func (m *ReconfigRequest) Decode(r *Reader) {
	m.Joining, _ = r.NullString()
	m.Leaving, _ = r.NullString()
	m.NewMembers, _ = r.NullString()
	m.ConfigID = r.Int64()
}
