package wire

import "fmt"

// MultiHeader stands before every operation of a multi, and every result.
type MultiHeader struct {
	Op   Op
	Done bool
	Err  Code
}

// Append appends the header.
func (h MultiHeader) Append(b []byte) []byte {
	return AppendInt32(AppendBool(AppendInt32(b, int32(h.Op)), h.Done), int32(h.Err))
}

// Decode reads the header.
func (h *MultiHeader) Decode(r *Reader) {
	*h = MultiHeader{Op: Op(r.Int32()), Done: r.Bool(), Err: Code(r.Int32())}
}

var multiEnd = MultiHeader{Op: OpError, Done: true, Err: -1}

// MultiOp is one operation of a multi or a multiRead. Op says which of the records counts.
type MultiOp struct {
	Op     Op
	Create CreateRequest      // OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL
	Check  PathVersionRequest // OpDelete, OpCheck
	Set    SetDataRequest     // OpSetData
	Read   PathWatchRequest   // OpGetData, OpGetChildren: multiRead only
}

// MultiOpError is the error of an operation that a multi cannot hold.
type MultiOpError struct{ Op Op }

func (e *MultiOpError) Error() string { return fmt.Sprintf("wire: %v inside a multi", e.Op) }

// Append appends the operation without its header.
func (m *MultiOp) Append(b []byte) []byte {
	switch m.Op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		return m.Create.Append(b, m.Op)
	case OpDelete, OpCheck:
		return m.Check.Append(b)
	case OpSetData:
		return m.Set.Append(b)
	case OpGetData, OpGetChildren:
		return m.Read.Append(b)
	}
	return b
}

func (m *MultiOp) decode(r *Reader, read bool) {
	switch op := m.Op; {
	case read && (op == OpGetData || op == OpGetChildren):
		m.Read.Decode(r)
	case read:
		r.fail(&MultiOpError{op})
	case op == OpCreate || op == OpCreate2 || op == OpCreateContainer || op == OpCreateTTL:
		m.Create.Decode(r, op)
	case op == OpDelete || op == OpCheck:
		m.Check.Decode(r)
	case op == OpSetData:
		m.Set.Decode(r)
	default:
		r.fail(&MultiOpError{op})
	}
}

// AppendMulti appends the request of a multi or multiRead.
func AppendMulti(b []byte, ops []MultiOp) []byte {
	for i := range ops {
		b = MultiHeader{Op: ops[i].Op, Err: -1}.Append(b)
		b = ops[i].Append(b)
	}
	return multiEnd.Append(b)
}

// MultiOps reads the request of a multi, or of a multiRead if op is OpMultiRead. An operation that does not belong
// there is an error.
func (r *Reader) MultiOps(op Op) []MultiOp {
	var ops []MultiOp
	for r.err == nil {
		var h MultiHeader
		h.Decode(r)
		if h.Done {
			break
		}
		var m MultiOp
		m.Op = h.Op
		m.decode(r, op == OpMultiRead)
		ops = append(ops, m)
	}
	if r.err != nil {
		return nil
	}
	return ops
}

// MultiResult is the result of one operation. Op is OpError with the code in Err when the transaction failed: OK for
// the operations before the failing one, its own code there, ErrRuntimeInconsistency for those behind.
type MultiResult struct {
	Op    Op
	Err   Code
	Path  string   // creates
	Stat  Stat     // OpCreate2, OpSetData, OpGetData
	Data  []byte   // OpGetData
	Names []string // OpGetChildren
}

// AppendMultiResults appends the body of the reply.
func AppendMultiResults(b []byte, results []MultiResult) []byte {
	for i := range results {
		b = results[i].append(b)
	}
	return multiEnd.Append(b)
}

func (m *MultiResult) append(b []byte) []byte {
	if m.Op == OpError {
		return AppendInt32(MultiHeader{Op: OpError, Err: m.Err}.Append(b), int32(m.Err))
	}
	b = MultiHeader{Op: m.Op}.Append(b)
	switch m.Op {
	case OpCreate:
		b = AppendString(b, m.Path)
	case OpCreate2:
		b = m.Stat.Append(AppendString(b, m.Path))
	case OpSetData:
		b = m.Stat.Append(b)
	case OpGetData:
		b = m.Stat.Append(AppendBuffer(b, m.Data))
	case OpGetChildren:
		b = AppendStrings(b, m.Names)
	}
	return b
}

// MultiResults reads the body of the reply.
func (r *Reader) MultiResults() []MultiResult {
	var results []MultiResult
	for r.err == nil {
		var h MultiHeader
		h.Decode(r)
		if h.Done {
			break
		}
		m := MultiResult{Op: h.Op}
		m.decode(r)
		results = append(results, m)
	}
	if r.err != nil {
		return nil
	}
	return results
}

func (m *MultiResult) decode(r *Reader) {
	switch m.Op {
	case OpError:
		m.Err = Code(r.Int32())
	case OpCreate:
		m.Path = r.String()
	case OpCreate2:
		m.Path = r.String()
		m.Stat.Decode(r)
	case OpSetData:
		m.Stat.Decode(r)
	case OpGetData:
		m.Data = r.Buffer()
		m.Stat.Decode(r)
	case OpGetChildren:
		m.Names = r.Strings()
	case OpDelete, OpCheck:
	default:
		r.fail(&MultiOpError{m.Op})
	}
}
