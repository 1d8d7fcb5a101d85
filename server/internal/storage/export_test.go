package storage

// OpenLog opens only the log, on the file system of the machine if d is nil.
func OpenLog(dir string, size int64, d Disk) (*SegLog, error) {
	if d == nil {
		d = osDisk{}
	}
	return openLog(d, dir, size, newFailure())
}

// OSDisk is the file system of the machine.
func OSDisk() Disk { return osDisk{} }

type SegLog = segLog

// Crash lets go of the files without a mark.
func (l *segLog) Crash() error { return l.close(false) }

// Shut closes cleanly.
func (l *segLog) Shut() error { return l.close(true) }

// Failed is the sticky error.
func (l *segLog) Failed() error { return l.failed.get() }

// Segments counts files in use, and spares.
func (l *segLog) Segments() (used, spare int) { return len(l.segs), len(l.spares) }
