package storage

// OpenLog opens only the log, with a hook around each of its files.
func OpenLog(dir string, size int64, wrap func(File) File) (*SegLog, error) {
	return openLog(dir, size, func(path string, create bool) (file, int64, error) {
		f, n, err := openFile(path, create)
		if err == nil && wrap != nil {
			f = wrap(f)
		}
		return f, n, err
	})
}

type (
	SegLog = segLog
	File   = file
)

// Crash lets go of the files without a mark.
func (l *segLog) Crash() error { return l.close(false) }

// Shut closes cleanly.
func (l *segLog) Shut() error { return l.close(true) }

// Failed is the sticky error.
func (l *segLog) Failed() error { return l.failed.get() }

// Segments counts files in use, and spares.
func (l *segLog) Segments() (used, spare int) { return len(l.segs), len(l.spares) }
