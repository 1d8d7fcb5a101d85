package servertest

import (
	"errors"
	"sync"
	"syscall"

	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
)

// faultyDisk is the disk of a server with the option FaultyDisk. That of one without is nil.
type faultyDisk struct {
	disk *memdisk.Disk
	lies bool // that it has synced

	mu   sync.Mutex // guards the fields below
	fail bool       // the next sync fails
}

func newFaultyDisk(seed uint64) *faultyDisk {
	d := &faultyDisk{disk: memdisk.New(seed)}
	d.disk.Hook(d.hook)
	return d
}

// hook fails a sync if one is to fail.
func (d *faultyDisk) hook(op memdisk.Op) error {
	if op.Kind != memdisk.Sync || op.Done {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.fail {
		return nil
	}
	d.fail = false
	return syscall.EIO
}

// mount is the disk for one start of the server, nil without one.
func (d *faultyDisk) mount() storage.Disk {
	switch {
	case d == nil:
		return nil
	case d.lies:
		return lyingDisk{d.disk.Mount()}
	}
	return d.disk.Mount()
}

// lyingDisk says that it has synced files, and has not.
type lyingDisk struct{ storage.Disk }

type lyingFile struct{ storage.File }

func (lyingFile) Datasync() error { return nil }

func (d lyingDisk) Create(path string) (storage.File, error) {
	f, err := d.Disk.Create(path)
	return lyingFile{f}, err
}

func (d lyingDisk) Open(path string) (storage.File, error) {
	f, err := d.Disk.Open(path)
	return lyingFile{f}, err
}

// excuses tells whether a server may end with this error: it was told that its disk had failed.
func (d *faultyDisk) excuses(err error) bool {
	return d != nil && (errors.Is(err, syscall.EIO) || errors.Is(err, memdisk.ErrCrashed))
}

// kill crashes the disk first, so that nothing reaches it any more.
func (s *Server) kill(srv *server.Server) error {
	if d := s.faulty; d != nil {
		d.disk.Crash()
		d.arm(false)
	}
	return srv.Kill()
}

// FailSync makes the next sync of the server's disk fail, up to its next start, which loses what was to be synced. The server stops then, as it
// must, until it is restarted. It needs the option FaultyDisk.
func (s *Server) FailSync() {
	if s.faulty == nil {
		s.fail("FailSync: the server has no FaultyDisk")
	}
	s.faulty.arm(true)
}

func (d *faultyDisk) arm(fail bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}
