package fence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File returns a guard that keeps the highest tokens in a file, as a JSON object, so that it survives a restart, also of
// the machine. Several processes may share the file, on one machine: each Admit takes a lock on path.lock meanwhile, and
// has written and synced the file when it returns. The directory must exist. It works where the system knows flock
// (Linux, macOS, the BSDs); elsewhere Admit fails with errors.ErrUnsupported.
func File(path string) Guard { return file(path) }

type file string

func (f file) Admit(ctx context.Context, resource string, token uint64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fence %s: %w", resource, context.Cause(ctx))
	}
	unlock, err := flock(string(f) + ".lock")
	if err != nil {
		return fmt.Errorf("fence %s: %w", resource, err)
	}
	defer unlock()
	highest, err := f.read()
	if err != nil {
		return fmt.Errorf("fence %s: %w", resource, err)
	}
	switch known, ok := highest[resource]; {
	case token < known:
		return fmt.Errorf("%w: %d for %s, which has seen %d", ErrStaleToken, token, resource, known)
	case ok && token == known:
		return nil
	}
	highest[resource] = token
	if err := f.write(highest); err != nil {
		return fmt.Errorf("fence %s: %w", resource, err)
	}
	return nil
}

func (f file) read() (map[string]uint64, error) {
	highest := make(map[string]uint64)
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return highest, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &highest) // a damaged file admits nobody
	}
	if err == nil && highest == nil {
		err = fmt.Errorf("%s holds no object", string(f))
	}
	return highest, err
}

// write replaces the file in one step, so that a crash leaves the old one or the new one.
func (f file) write(highest map[string]uint64) (err error) {
	data, err := json.Marshal(highest)
	if err != nil {
		return err
	}
	dir := filepath.Dir(string(f))
	temp, err := os.CreateTemp(dir, filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), string(f)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
