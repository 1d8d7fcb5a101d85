package wire

// PasswordLen is the length of a session's password.
const PasswordLen = 16

// ConnectRequest opens a connection: it asks for a new session (SessionID 0) or re-attaches one.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	Timeout         int32 // milliseconds
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	HasReadOnly     bool // the byte was there; it is optional, and the reply has it only if the request had
}

// Append appends the request.
func (m *ConnectRequest) Append(b []byte) []byte {
	b = AppendInt32(b, m.ProtocolVersion)
	b = AppendInt64(b, m.LastZxidSeen)
	b = AppendInt32(b, m.Timeout)
	b = AppendInt64(b, m.SessionID)
	b = AppendBuffer(b, m.Password)
	if m.HasReadOnly {
		b = AppendBool(b, m.ReadOnly)
	}
	return b
}

// Decode reads the request.
func (m *ConnectRequest) Decode(r *Reader) {
	*m = ConnectRequest{
		ProtocolVersion: r.Int32(), LastZxidSeen: r.Int64(), Timeout: r.Int32(), SessionID: r.Int64(), Password: r.Buffer(),
	}
	if r.Len() > 0 {
		m.HasReadOnly, m.ReadOnly = true, r.Bool()
	}
}

// ConnectResponse answers a ConnectRequest. Timeout 0 with SessionID 0 means the session is gone.
type ConnectResponse struct {
	ProtocolVersion int32
	Timeout         int32 // milliseconds, negotiated
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	HasReadOnly     bool
}

// Append appends the response.
func (m *ConnectResponse) Append(b []byte) []byte {
	b = AppendInt32(b, m.ProtocolVersion)
	b = AppendInt32(b, m.Timeout)
	b = AppendInt64(b, m.SessionID)
	b = AppendBuffer(b, m.Password)
	if m.HasReadOnly {
		b = AppendBool(b, m.ReadOnly)
	}
	return b
}

// Decode reads the response.
func (m *ConnectResponse) Decode(r *Reader) {
	*m = ConnectResponse{ProtocolVersion: r.Int32(), Timeout: r.Int32(), SessionID: r.Int64(), Password: r.Buffer()}
	if r.Len() > 0 {
		m.HasReadOnly, m.ReadOnly = true, r.Bool()
	}
}

// AuthRequest adds an identity to a connection.
type AuthRequest struct {
	Type   int32 // 0, ignored
	Scheme string
	Auth   []byte
}

// Append appends the request.
func (m *AuthRequest) Append(b []byte) []byte {
	return AppendBuffer(AppendString(AppendInt32(b, m.Type), m.Scheme), m.Auth)
}

// Decode reads the request.
func (m *AuthRequest) Decode(r *Reader) {
	*m = AuthRequest{Type: r.Int32(), Scheme: r.String(), Auth: r.Buffer()}
}
