package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Disk is what a store needs of a file system. Paths are as package os takes them; what is not there is fs.ErrNotExist.
// Its methods and those of its files may be called by several goroutines at once, but never two that change one file.
//
// Nothing is durable before it is synced: a file's content by its Datasync, a name made, changed or removed by SyncDir of
// the folder it is in, and by nothing else. The order in which unsynced changes reach the disk is not relied on.
type Disk interface {
	// Create makes an empty file, or empties the one that is there, to be read and written.
	Create(path string) (File, error)
	// Open opens a file to be read and written.
	Open(path string) (File, error)
	// Names lists what a folder holds, sorted.
	Names(dir string) ([]string, error)
	// Mkdir makes a folder, and those above it that are missing. It is no error if it is there.
	Mkdir(dir string) error
	// Rename gives a file or folder another name in the same folder. What had the new name is gone if it was a file.
	Rename(from, to string) error
	// Remove removes a file or an empty folder. An open file stays usable.
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock takes the lock that a file stands for, making the file if it is missing, until the Closer is closed or the
	// process ends. ErrInUse if another process or another Store has it.
	Lock(path string) (io.Closer, error)
}

// File is an open file of a Disk.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Datasync makes what was written durable, and with it the file's size.
	Datasync() error
	Close() error
}

// lockWait is how long Open waits for the folder's lock: a process just killed may still be letting go of it.
const lockWait = 200 * time.Millisecond

// osDisk is the file system of the machine.
type osDisk struct{}

func (osDisk) Create(path string) (File, error) {
	return openOS(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}
func (osDisk) Open(path string) (File, error) { return openOS(path, os.O_RDWR) }
func (osDisk) Mkdir(dir string) error         { return os.MkdirAll(dir, 0o700) }
func (osDisk) Rename(from, to string) error   { return os.Rename(from, to) }
func (osDisk) Remove(path string) error       { return os.Remove(path) }

func (osDisk) Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for begun := time.Now(); ; time.Sleep(lockWait / 20) {
		switch taken, err := tryLock(f); {
		case err != nil:
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		case taken:
			return f, nil // to close a file is to let go of its lock
		case time.Since(begun) > lockWait:
			return nil, errors.Join(ErrInUse, f.Close())
		}
	}
}

func openOS(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

type osFile struct{ *os.File }

func (f osFile) Datasync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// lookDisk only looks: what a start would write again stays as it is.
type lookDisk struct{ osDisk }

type lookFile struct{ osFile }

func (lookDisk) Open(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return lookFile{osFile{f}}, nil
}

func (lookFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (lookFile) Datasync() error                        { return nil }

// removeTree removes a folder and the files in it.
func removeTree(d Disk, dir string) error {
	names, err := d.Names(dir)
	for _, n := range names {
		err = errors.Join(err, d.Remove(dir+string(os.PathSeparator)+n))
	}
	return errors.Join(err, d.Remove(dir))
}

// readFile reads a whole file.
func readFile(d Disk, path string) ([]byte, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	b := make([]byte, size)
	if err == nil {
		_, err = f.ReadAt(b, 0)
	}
	return b, errors.Join(err, f.Close())
}

// writeFile makes a file with that content. It is not durable before its folder is synced, too.
func writeFile(d Disk, path string, b []byte) error {
	f, err := d.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Datasync()
	}
	return errors.Join(err, f.Close())
}
