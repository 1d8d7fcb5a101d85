package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// ErrSaved: what is shown is the copy in a local file, because nothing has come from the ensemble yet.
var ErrSaved = errors.New("this is a saved copy")

// dialAgain is how long WatchSaved waits after dial has failed.
const dialAgain = time.Second

// WatchSaved follows the value at path as Watch does, and keeps the last good one in a local file: a process that starts
// while the ensemble cannot be reached begins with that. It returns when there is a good value, or when ctx ends; then
// with the file's copy, for which Stale is true and Err matches ErrSaved until the ensemble is heard. Only where there
// is no copy for this path either, or a bad one, it fails.
//
// dial is called until it returns a client: client.Dial, which fails where nothing answers, or a func that returns a
// client which others use as well. Close leaves the client open.
//
// The file is replaced as a whole, readable by its owner only; Saved tells whether that worked.
func WatchSaved[T any](ctx context.Context, dial func(context.Context) (*client.Client, error), path, file string, o ...Option[T]) (*Value[T], error) {
	v := newValue(path, o)
	v.file = file
	own, stop := context.WithCancel(context.Background())
	v.stop = stop
	go v.runSaved(own, dial)
	err := v.awaitGood(ctx)
	if err != nil && ctx.Err() != nil {
		err = v.takeSaved(err)
	}
	if err != nil {
		v.Close()
		return nil, fmt.Errorf("watch configuration %s: %w", path, err)
	}
	return v, nil
}

// Saved is nil if the file of WatchSaved holds the value that Get returns, or is to; otherwise it says why it could not
// be written. It is always nil for Watch.
func (v *Value[T]) Saved() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.saved
}

// runSaved connects first, and then does what run does.
func (v *Value[T]) runSaved(ctx context.Context, dial func(context.Context) (*client.Client, error)) {
	for {
		c, err := dial(ctx)
		if err == nil && v.follow(ctx, recipes.NewNodeCache(c, v.path)) {
			v.run()
			return
		}
		if ctx.Err() != nil {
			v.show(func(next *view[T]) { next.err = fmt.Errorf("configuration %s: %w", v.path, recipes.ErrReleased) }, true)
			close(v.done)
			return
		}
		v.show(func(next *view[T]) { next.err = errors.Join(v.copyError(), err) }, false)
		select {
		case <-time.After(dialAgain):
		case <-ctx.Done():
		}
	}
}

// follow makes k the cache, unless the Value has been closed.
func (v *Value[T]) follow(ctx context.Context, k *recipes.Cache) bool {
	v.mu.Lock()
	closed := ctx.Err() != nil
	if !closed {
		v.cache = k
	}
	v.mu.Unlock()
	if closed {
		k.Close()
	}
	return !closed
}

// savedCopy is the content of the file.
type savedCopy struct {
	Path    string
	Version Version
	Data    []byte
}

// takeSaved shows the file's copy, unless something good has come meanwhile. It returns why, joined with why nothing
// better was there, if it cannot.
func (v *Value[T]) takeSaved(why error) error {
	value, saved, err := v.readSaved()
	v.show(func(next *view[T]) {
		if err == nil && !v.good {
			next.value, next.version = value, saved.Version
			next.err = errors.Join(fmt.Errorf("configuration %s: %w", v.path, ErrSaved), next.err)
			v.good, v.fromFile = true, true
		}
	}, false)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.good {
		return nil
	}
	return errors.Join(why, err)
}

func (v *Value[T]) readSaved() (value T, saved savedCopy, err error) {
	data, err := os.ReadFile(v.file)
	if err != nil {
		return value, saved, err
	}
	if value, saved, err = v.decodeSaved(data); err != nil {
		err = fmt.Errorf("saved copy %s: %w", v.file, err)
	}
	return value, saved, err
}

func (v *Value[T]) decodeSaved(data []byte) (value T, saved savedCopy, err error) {
	if err = json.Unmarshal(data, &saved); err == nil && saved.Path != v.path {
		err = fmt.Errorf("it is of %q", saved.Path)
	}
	if err == nil {
		value, err = v.opts.codec.Decode(saved.Data)
	}
	if err == nil {
		err = v.opts.check(value)
	}
	return value, saved, err
}

// copyError is ErrSaved while the file's copy is shown. The caller holds the lock.
func (v *Value[T]) copyError() error {
	if v.fromFile {
		return fmt.Errorf("configuration %s: %w", v.path, ErrSaved)
	}
	return nil
}

// save writes a good value to the file, if there is one.
func (v *Value[T]) save(node client.Node) {
	if v.file == "" {
		return
	}
	data, err := json.Marshal(savedCopy{Path: v.path, Version: versionOf(node.Stat), Data: node.Data})
	if err == nil {
		err = replaceFile(v.file, data)
	}
	if err != nil {
		err = fmt.Errorf("save configuration %s: %w", v.path, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.saved = err
}

// replaceFile makes a file hold data, or leaves it as it was: who starts after a crash must not find half of it.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
