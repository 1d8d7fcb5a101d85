// Package memdisk is a disk in memory that forgets, fails and crashes. It is for tests.
//
// It keeps what was synced apart from what was only written. A crash keeps of the rest what chance decides: of each write
// any of its sectors, of writes to different places the later ones without the earlier, of the changes to the names in a
// folder any of them. That is harder than most file systems are; a store that survives it relies on nothing but the syncs
// it makes.
package memdisk

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrCrashed is what a process hears of its disk after the crash.
var ErrCrashed = errors.New("the machine has crashed")

// Kind says what an operation does.
type Kind uint8

// The operations, in the order of storage.Disk and storage.File.
const (
	Create Kind = iota + 1
	Open
	Names
	Mkdir
	Rename
	Remove
	SyncDir
	Lock
	Read
	Write
	Size
	Sync
)

// Op is an operation that is about to be carried out, or has been.
type Op struct {
	Kind Kind
	Path string // where; of Rename the old name
	To   string // the new name
	Off  int64  // where a Read or Write begins, and
	Len  int    // how long it is
	Done bool   // it has been carried out
}

// Changes says whether the operation changes what is on the disk, or makes it durable.
func (o Op) Changes() bool {
	switch o.Kind {
	case Create, Mkdir, Rename, Remove, SyncDir, Write, Sync:
		return true
	}
	return false
}

// Disk is a disk with one tree of folders. Its methods may be used by several goroutines at once.
type Disk struct {
	mu       sync.Mutex // guards everything below, and all files and folders
	rnd      *rand.Rand
	root     *node
	mount    int // counts crashes
	locks    map[string]*lock
	hook     func(Op) error
	used     int64
	capacity int64 // 0: no end
}

// New makes an empty disk. What a crash keeps is a matter of the seed and of what happened before.
func New(seed uint64) *Disk {
	return &Disk{rnd: rand.New(rand.NewPCG(seed, 0)), root: newDir(), locks: make(map[string]*lock)}
}

// Hook has f called before each operation, and once more with Done set when it has succeeded; nil ends that. An operation
// fails with the error f returns: not carried out if it was called before (a Write may then have left some of its bytes,
// and a Sync that fails has forgotten what it was to make durable, as Linux does), else carried out all the same. f may wait,
// and it may call the disk's methods, Crash above all.
func (d *Disk) Hook(f func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// Limit makes the disk so many bytes large: what would make files grow beyond fails with ENOSPC. 0 is no limit.
func (d *Disk) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used is the sum of the files' lengths in bytes.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// Mount gives access to the disk until the next crash: a storage.Disk for one process.
func (d *Disk) Mount() *Mount {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Mount{d, d.mount}
}

// Kill ends the process that uses the disk, whose files and locks are gone, but not what it wrote.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
}

// Crash ends the process, and forgets of what was not synced what chance decides.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
	d.root.crash(d.rnd)
	d.used = d.root.sum()
}

// PowerCut ends the process and forgets all that was not synced.
func (d *Disk) PowerCut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
	d.root.crash(nil)
	d.used = d.root.sum()
}

// end needs mu.
func (d *Disk) end() {
	d.mount++
	clear(d.locks)
}

// Clone returns a copy as a process of its own would find it, with what is synced and what is not, and no hook.
func (d *Disk) Clone(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New(seed)
	c.root, c.used, c.capacity = d.root.clone(make(map[*node]*node)), d.used, d.capacity
	return c
}

// Files lists the paths of all files, sorted.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	d.root.walk("/", func(p string, _ *node) { all = append(all, p) })
	slices.Sort(all)
	return all
}

// Content returns a file's bytes.
func (d *Disk) Content(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.live), nil
}

// Replace makes b the content of a file, durably, as if it had gone bad.
func (d *Disk) Replace(name string, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	d.used += int64(len(b) - len(n.live))
	n.live, n.durable, n.writes = slices.Clone(b), slices.Clone(b), nil
	return nil
}

// Flip changes bits of one byte of a file that Replace has written, durably, as if it had gone bad.
func (d *Disk) Flip(name string, off int, bits byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	n.live[off] ^= bits
	n.durable[off] ^= bits
	return nil
}

// Delete removes a file or a folder with all that is in it, durably.
func (d *Disk) Delete(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, err := d.parent(name)
	if err != nil {
		return err
	}
	delete(dir.names, base)
	delete(dir.synced, base)
	dir.changes = slices.DeleteFunc(dir.changes, func(c change) bool { return c.name == base || c.gone == base })
	d.used = d.root.sum()
	return nil
}

// find needs mu.
func (d *Disk) find(name string) (*node, error) {
	n := d.root
	for part := range parts(name) {
		if n = n.names[part]; n == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

// parent needs mu.
func (d *Disk) parent(name string) (*node, string, error) {
	name = clean(name)
	dir, err := d.find(path.Dir(name))
	if err == nil && dir.names == nil {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	return dir, path.Base(name), err
}

func clean(name string) string { return path.Clean("/" + filepath.ToSlash(name)) }
