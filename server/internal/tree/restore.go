package tree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/internal/zpath"
)

// Restore reads a snapshot, or a backup, which is the same, to the end of r. Whatever is damaged or missing is an error that
// says where.
func Restore(r io.Reader) (*Tree, error) {
	re := restorer{t: empty(), br: blockReader{r: r}}
	if err := re.run(); err != nil {
		return nil, fmt.Errorf("restore tree: block %d, ending at byte %d: %w", re.br.blocks, re.br.offset, err)
	}
	return re.t, nil
}

type restorer struct {
	t        *Tree
	br       blockReader
	r        wire.Reader
	acls     []*aclList
	sessions int64
	end      bool
}

var errRecord = errors.New("the records are not in order")

func (re *restorer) run() error {
	if err := re.br.begin(); err != nil {
		return err
	}
	for !re.end {
		content, err := re.br.next()
		if err != nil {
			return cut(err)
		}
		re.r.Reset(content)
		for first := re.br.blocks == 1; re.r.Len() > 0; first = false {
			if err := re.record(first); err != nil {
				return err
			}
			if err := re.r.Err(); err != nil {
				return err
			}
		}
	}
	if err := re.check(); err != nil {
		return err
	}
	return re.digest()
}

// digest compares the digest behind the end with that of the records. Old snapshots have none.
func (re *restorer) digest() error {
	content, err := re.br.next()
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	re.r.Reset(content)
	kind, version, want := re.r.Byte(), re.r.Byte(), uint64(re.r.Int64())
	if err := re.r.Err(); err != nil {
		return err
	}
	if kind != recordDigest || re.r.Len() > 0 {
		return errRecord
	}
	if have := re.t.Digest(); version == DigestVersion && have != want {
		return fmt.Errorf("%w: %016x, not %016x", ErrDigest, have, want)
	}
	switch _, err := re.br.next(); err {
	case io.EOF:
		return nil
	case nil:
		return errTrailing
	default:
		return err
	}
}

func (re *restorer) record(first bool) error {
	kind := re.r.Byte()
	if first != (kind == recordHead) || re.end {
		return errRecord
	}
	switch kind {
	case recordHead:
		re.t.zxid = re.r.Int64()
	case recordSession:
		return re.session()
	case recordNode:
		return re.node()
	case recordPart:
		re.t.staged.id = re.r.Int64()
		re.t.staged.parts = append(re.t.staged.parts, bytes.Clone(re.r.Buffer()))
	case recordEnd:
		re.end = true
		if s, n := re.r.Int64(), re.r.Int64(); s != re.sessions || n != int64(len(re.t.index)) {
			return fmt.Errorf("%d sessions and %d nodes instead of %d and %d", re.sessions, len(re.t.index), s, n)
		}
	default:
		return fmt.Errorf("unknown record %q", kind)
	}
	return nil
}

func (re *restorer) session() error {
	s := &session{Session: Session{
		ID: re.r.Int64(), Timeout: re.r.Int32(), Epoch: re.r.Int32(), Password: bytes.Clone(re.r.Buffer()), Used: re.r.Int64(),
	}}
	if re.r.Err() == nil && (!isEphemeral(s.ID) || re.t.sessions[s.ID] != nil || len(re.t.nodes) > 0) {
		return fmt.Errorf("session %#x is not possible here", s.ID)
	}
	re.sessions++
	re.t.sessions[s.ID] = s
	re.t.digest += s.digest()
	return nil
}

func (re *restorer) node() error {
	r := &re.r
	n := &Node{
		path: r.String(), data: bytes.Clone(r.Buffer()), // in the order of the record
		czxid: r.Int64(), mzxid: r.Int64(), pzxid: r.Int64(), ctime: r.Int64(), mtime: r.Int64(), owner: r.Int64(),
		version: r.Int32(), aversion: r.Int32(), creates: uint32(r.Int32()), children: r.Int32(),
	}
	if n.acl = re.acl(); n.acl == nil {
		return cmp.Or(r.Err(), errRecord)
	}
	n.setData(n.data)
	parentPath, _ := zpath.Split(n.path)
	parent, known := re.t.index[parentPath]
	switch root := n.path == "/"; {
	case zpath.Validate(n.path) != nil:
		return fmt.Errorf("node %q: not a path", n.path)
	case root != (len(re.t.nodes) == 0), !root && !known:
		return fmt.Errorf("node %q: stands before its parent", n.path)
	case n.creates > exhausted || n.children < 0 || root && n.owner != 0:
		return fmt.Errorf("node %q: counters out of range", n.path)
	case isEphemeral(n.owner) && re.t.sessions[n.owner] == nil:
		return fmt.Errorf("node %q: its session %#x is missing", n.path, n.owner)
	}
	if re.t.attach(n, parent); len(re.t.index) < len(re.t.nodes) { // cheaper than to look first
		return fmt.Errorf("node %q: is there twice", n.path)
	}
	return nil
}

// acl returns nil if there is none.
func (re *restorer) acl() *aclList {
	i := re.r.Int32()
	if i >= 0 && int(i) < len(re.acls) {
		l := re.acls[i]
		l.refs++
		return l
	}
	list := re.r.ACLs()
	if int(i) != len(re.acls) || len(list) == 0 {
		return nil
	}
	if isOpen(list) {
		list = openACL
	}
	l := re.t.acls.retain(list)
	re.acls = append(re.acls, l)
	return l
}

// check compares what every node says of its children with the children there are.
func (re *restorer) check() error {
	t := re.t
	for _, name := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		if t.Node(name) == nil || len(t.nodes) == 0 {
			return fmt.Errorf("node %q is missing", name)
		}
	}
	for i, n := range t.nodes {
		count := int32(0)
		for c := t.links[i].first; c != 0; c = t.links[c].next {
			count++
		}
		if count != n.children {
			return fmt.Errorf("node %q: %d children instead of %d", n.path, count, n.children)
		}
		if count > 0 && isEphemeral(n.owner) {
			return fmt.Errorf("node %q: is ephemeral and has children", n.path)
		}
	}
	return nil
}

// blockReader reads what blockWriter wrote.
type blockReader struct {
	r      io.Reader
	buf    bytes.Buffer
	crc    uint32
	blocks int
	offset int64
}

func (br *blockReader) begin() error {
	head := make([]byte, len(magic))
	if err := br.full(head); err != nil {
		return err
	}
	if last := len(magic) - 1; string(head[:last]) != magic[:last] {
		return errors.New("not a snapshot of docent")
	} else if head[last] != magic[last] {
		return fmt.Errorf("format version %d, know %d", head[last], magic[last])
	}
	br.crc = crc32.Checksum(head, castagnoli)
	return nil
}

// next returns the content of the next block, valid until the next call; io.EOF if there is none. Memory grows with the
// bytes that come, not with the length that is claimed.
func (br *blockReader) next() ([]byte, error) {
	br.blocks++
	var head [blockHead]byte
	if n, err := io.ReadFull(br.r, head[:]); err != nil {
		br.offset += int64(n)
		return nil, err
	}
	br.offset += blockHead
	br.buf.Reset()
	n, err := io.CopyN(&br.buf, br.r, int64(binary.BigEndian.Uint32(head[:])))
	br.offset += n
	if err != nil {
		return nil, cut(err)
	}
	br.crc = crc32.Update(br.crc, castagnoli, br.buf.Bytes())
	if br.crc != binary.BigEndian.Uint32(head[4:]) {
		return nil, errors.New("checksum does not match")
	}
	return br.buf.Bytes(), nil
}

func (br *blockReader) full(p []byte) error {
	n, err := io.ReadFull(br.r, p)
	br.offset += int64(n)
	return cut(err)
}

func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
