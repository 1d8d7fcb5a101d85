package memdisk

import (
	"io"
	"io/fs"
	"maps"
	pathpkg "path"
	"slices"
	"syscall"

	"github.com/docent-io/docent/server/internal/storage"
)

// Mount is the disk as one process sees it, up to a crash.
type Mount struct {
	d     *Disk
	mount int
}

var _ storage.Disk = (*Mount)(nil)

// do carries out an operation between the hook's two looks at it. failed, if not nil, is what the hook's error does.
func (m *Mount) do(op Op, f func() error, failed func()) error {
	if err := m.look(op); err != nil {
		m.d.mu.Lock()
		defer m.d.mu.Unlock()
		if failed != nil && m.mount == m.d.mount {
			failed()
		}
		return m.wrap(op, err)
	}
	m.d.mu.Lock()
	err := ErrCrashed
	if m.mount == m.d.mount {
		err = f()
	}
	m.d.mu.Unlock()
	if err == nil {
		op.Done = true
		err = m.look(op)
	}
	return m.wrap(op, err)
}

func (m *Mount) look(op Op) error {
	m.d.mu.Lock()
	hook := m.d.hook
	m.d.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op)
}

func (m *Mount) wrap(op Op, err error) error {
	if _, ok := err.(*fs.PathError); ok || err == nil || err == io.EOF {
		return err
	}
	return &fs.PathError{Op: op.Kind.String(), Path: op.Path, Err: err}
}

// Create makes or empties a file.
func (m *Mount) Create(path string) (storage.File, error) {
	path = clean(path)
	var n *node
	err := m.do(Op{Kind: Create, Path: path}, func() error {
		dir, base, err := m.d.parent(path)
		if err != nil {
			return err
		}
		if old := dir.names[base]; old != nil {
			m.d.used -= int64(len(old.live))
		}
		n = &node{name: base} // to empty a file is to put another in its place, for here nobody empties one that counts
		dir.change(change{name: base, node: n})
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return &file{m: m, n: n, dir: pathpkg.Dir(path)}, nil
}

// Open opens a file.
func (m *Mount) Open(path string) (storage.File, error) {
	path = clean(path)
	var n *node
	err := m.do(Op{Kind: Open, Path: path}, func() (err error) {
		if n, err = m.d.find(path); err == nil && n.names != nil {
			err = syscall.EISDIR
		}
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	return &file{m: m, n: n, dir: pathpkg.Dir(path)}, nil
}

// Names lists a folder.
func (m *Mount) Names(dir string) (names []string, err error) {
	dir = clean(dir)
	err = m.do(Op{Kind: Names, Path: dir}, func() error {
		n, err := m.d.find(dir)
		if err == nil {
			names = slices.Sorted(maps.Keys(n.names))
		}
		return err
	}, nil)
	return names, err
}

// Mkdir makes folders.
func (m *Mount) Mkdir(dir string) error {
	dir = clean(dir)
	return m.do(Op{Kind: Mkdir, Path: dir}, func() error {
		n := m.d.root
		for part := range parts(dir) {
			if n.names[part] == nil {
				n.change(change{name: part, node: newDir()})
			}
			if n = n.names[part]; n.names == nil {
				return syscall.ENOTDIR
			}
		}
		return nil
	}, nil)
}

// Rename gives something another name in the same folder.
func (m *Mount) Rename(from, to string) error {
	from, to = clean(from), clean(to)
	return m.do(Op{Kind: Rename, Path: from, To: to}, func() error {
		dir, base, err := m.d.parent(from)
		dirTo, baseTo, errTo := m.d.parent(to)
		switch {
		case err != nil:
			return err
		case errTo != nil:
			return errTo
		case dir != dirTo:
			return syscall.EXDEV
		case dir.names[base] == nil:
			return fs.ErrNotExist
		case dir.names[baseTo] != nil && dir.names[baseTo].names != nil:
			return fs.ErrExist
		}
		if old := dir.names[baseTo]; old != nil {
			m.d.used -= int64(len(old.live))
		}
		dir.names[base].name = baseTo
		dir.change(change{name: baseTo, node: dir.names[base], gone: base})
		return nil
	}, nil)
}

// Remove removes a file or an empty folder.
func (m *Mount) Remove(path string) error {
	path = clean(path)
	return m.do(Op{Kind: Remove, Path: path}, func() error {
		dir, base, err := m.d.parent(path)
		if err != nil {
			return err
		}
		n := dir.names[base]
		if n == nil {
			return fs.ErrNotExist
		}
		if len(n.names) > 0 {
			return syscall.ENOTEMPTY
		}
		m.d.used -= int64(len(n.live))
		dir.change(change{gone: base})
		return nil
	}, nil)
}

// SyncDir makes a folder's names durable.
func (m *Mount) SyncDir(dir string) error {
	dir = clean(dir)
	return m.do(Op{Kind: SyncDir, Path: dir}, func() error {
		n, err := m.d.find(dir)
		if err == nil {
			n.syncNames()
		}
		return err
	}, nil)
}

// lock is a lock that is held.
type lock struct {
	m    *Mount
	path string
}

// Lock takes the lock of a path.
func (m *Mount) Lock(path string) (io.Closer, error) {
	l := &lock{m, clean(path)}
	err := m.do(Op{Kind: Lock, Path: l.path}, func() error {
		if m.d.locks[l.path] != nil {
			return storage.ErrInUse
		}
		m.d.locks[l.path] = l
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Close lets go of the lock, if a crash has not.
func (l *lock) Close() error {
	l.m.d.mu.Lock()
	defer l.m.d.mu.Unlock()
	if l.m.d.locks[l.path] == l {
		delete(l.m.d.locks, l.path)
	}
	return nil
}

// file is an open file.
type file struct {
	m   *Mount
	n   *node
	dir string
}

// op is an operation on the file, under the name that it has now.
func (f *file) op(k Kind) Op {
	f.m.d.mu.Lock()
	defer f.m.d.mu.Unlock()
	return Op{Kind: k, Path: pathpkg.Join(f.dir, f.n.name)}
}

// at adds where an operation takes place.
func (o Op) at(off int64, n int) Op {
	o.Off, o.Len = off, n
	return o
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.m.do(f.op(Read).at(off, len(p)), func() error {
		if off < int64(len(f.n.live)) {
			n = copy(p, f.n.live[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	}, nil)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.m.do(f.op(Write).at(off, len(p)), func() (err error) {
		n, err = f.write(p, off)
		return err
	}, func() {
		if half := f.m.d.rnd.IntN(len(p) + 1); half > 0 {
			n, _ = f.write(p[:half], off)
		}
	})
	return n, err
}

// write needs Disk.mu. It writes what there is room for.
func (f *file) write(p []byte, off int64) (int, error) {
	d, err := f.m.d, error(nil)
	grows := max(0, off+int64(len(p))-int64(len(f.n.live)))
	if d.capacity > 0 && grows > 0 && d.used+grows > d.capacity {
		room := max(0, d.capacity-d.used)
		p, err = p[:max(0, int64(len(p))-grows+room)], syscall.ENOSPC
		grows = max(0, off+int64(len(p))-int64(len(f.n.live)))
	}
	if len(p) > 0 {
		f.n.write(off, p)
		d.used += grows
	}
	return len(p), err
}

func (f *file) Size() (size int64, err error) {
	err = f.m.do(f.op(Size), func() error {
		size = int64(len(f.n.live))
		return nil
	}, nil)
	return size, err
}

func (f *file) Datasync() error {
	return f.m.do(f.op(Sync), func() error {
		f.n.sync()
		return nil
	}, func() { f.n.lose(f.m.d.rnd) })
}

func (f *file) Close() error { return nil }

// String is the name of the system call.
func (k Kind) String() string {
	names := [...]string{"?", "create", "open", "readdir", "mkdir", "rename", "remove", "syncdir", "lock", "read", "write", "stat", "sync"}
	if int(k) >= len(names) {
		k = 0
	}
	return names[k]
}
