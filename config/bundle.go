package config

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// ErrSuperseded: while a bundle was being published, another one was, and cleared it away.
var ErrSuperseded = errors.New("another bundle was published meanwhile")

// Bundle is a set of named values that change together.
type Bundle struct {
	Files   map[string][]byte
	Version Version // of the pointer: grows with every bundle
}

// A bundle is a directory that nobody sees until it is complete, and that never changes afterwards:
//
//	/config/gateway                        the pointer: v-0000000012
//	/config/gateway/v-0000000012/limits    a file of the bundle
//	/config/gateway/v-0000000011/…         the one before, for readers who are in the middle of it

// bundleKind is what the names of these directories begin with.
const bundleKind = "v-"

// PublishBundle makes files the bundle at base, at once for all readers, and returns its version. The files are written
// first, where nobody looks; then one transaction turns the pointer. Of several who publish at the same time the last one
// wins, and the others may get ErrSuperseded. If it fails, the bundle before stays; only when the error matches
// client.ErrMaybeApplied the new one may be in place.
func PublishBundle(ctx context.Context, c *client.Client, base string, files map[string][]byte) (Version, error) {
	ver, err := publish(ctx, c, zpath.Join("/", base), files)
	if err != nil {
		return Version{}, fmt.Errorf("publish bundle %s: %w", base, err)
	}
	return ver, nil
}

func publish(ctx context.Context, c *client.Client, base string, files map[string][]byte) (Version, error) {
	s, err := c.Session(ctx)
	if err != nil {
		return Version{}, err
	}
	for made := false; !made; made = !errors.Is(err, client.ErrMaybeApplied) || ctx.Err() != nil {
		_, err = s.Create(ctx, base, nil, client.Parents())
	}
	if err != nil && !errors.Is(err, client.ErrNodeExists) {
		return Version{}, err
	}
	dir, err := s.Create(ctx, zpath.Join(base, bundleKind), nil, client.Sequential())
	if err != nil {
		return Version{}, err // a directory that may have been made is cleared away by a later bundle
	}
	batch := s.Batch()
	var made []*client.Future[client.Node]
	for name, data := range files {
		made = append(made, batch.Create(zpath.Join(dir.Path, url.PathEscape(name)), data))
	}
	if err := batch.Do(ctx); err != nil {
		return Version{}, err
	}
	for _, f := range made {
		if _, err := f.Get(); errors.Is(err, client.ErrNoNode) {
			return Version{}, ErrSuperseded
		} else if err != nil {
			return Version{}, err
		}
	}
	_, name := zpath.Split(dir.Path)
	results, err := s.Txn().Check(dir.Path, -1).Set(base, []byte(name), -1).Commit(ctx)
	if errors.Is(err, client.ErrNoNode) {
		return Version{}, ErrSuperseded
	}
	if err != nil {
		return Version{}, err
	}
	ver := versionOf(results[1].Stat)
	prune(ctx, s, base, name, ver)
	return ver, nil
}

// prune deletes, as well as it can, what is older than the bundle before the present one. A directory goes with all its
// files in one transaction, and only while the pointer is as we have set it: so nobody can point to one that is gone, or
// half gone. What is left is deleted next time.
func prune(ctx context.Context, s *client.Session, base, present string, ver Version) {
	names, _, err := s.Children(ctx, base)
	if err != nil {
		return
	}
	now, _ := bundleNumber(present)
	for _, name := range names {
		n, ok := bundleNumber(name)
		if !ok || n-now >= -1 {
			continue
		}
		dir := zpath.Join(base, name)
		files, _, err := s.Children(ctx, dir)
		if err != nil {
			continue
		}
		txn := s.Txn().Check(base, ver.Number)
		for _, f := range files {
			txn.Delete(zpath.Join(dir, f), -1)
		}
		_, _ = txn.Delete(dir, -1).Commit(ctx)
	}
}

func bundleNumber(name string) (int32, bool) {
	n, err := strconv.ParseInt(strings.TrimPrefix(name, bundleKind), 10, 32)
	return int32(n), err == nil && strings.HasPrefix(name, bundleKind)
}

// LoadBundle reads the bundle at base as it is now: all of one, never some files of it and some of the next. It fails
// with ErrNoConfig when there is none.
func LoadBundle(ctx context.Context, c *client.Client, base string) (Bundle, error) {
	s, err := c.Session(ctx)
	if err == nil {
		err = s.Sync(ctx, base)
	}
	var b Bundle
	if err == nil {
		b, err = loadBundle(ctx, s, zpath.Join("/", base))
	}
	if err != nil {
		return Bundle{}, fmt.Errorf("load bundle %s: %w", base, err)
	}
	return b, nil
}

// FollowBundle yields the bundle at base, and every newer one; a slow reader skips some. While there is none it waits. It
// ends after yielding an error: that of ctx, client.ErrClosed, or one that repeating does not help.
func FollowBundle(ctx context.Context, c *client.Client, base string) iter.Seq2[Bundle, error] {
	return func(yield func(Bundle, error) bool) {
		var last Version
		for b, err := range recipes.Follow(ctx, c, lookAtBundle(zpath.Join("/", base))) {
			if err == nil && (b.Files == nil || !b.Version.Newer(last)) {
				continue // none yet, or seen already
			}
			last = b.Version
			if !yield(b, err) {
				return
			}
		}
	}
}

func lookAtBundle(base string) recipes.Look[Bundle] {
	return func(ctx context.Context, s *client.Session) (Bundle, *client.Watch, error) {
		_, _, w, err := s.ExistsW(ctx, base) // set before the first read, so that no change falls in between
		if err != nil {
			return Bundle{}, nil, err
		}
		b, err := loadBundle(ctx, s, base)
		if err != nil && !errors.Is(err, ErrNoConfig) {
			w.Close()
			return Bundle{}, nil, err
		}
		return b, w, nil
	}
}

// loadBundle reads the pointer, what it points to, and the pointer again: if that is the same, nothing of the bundle can
// have been deleted in between.
func loadBundle(ctx context.Context, s *client.Session, base string) (Bundle, error) {
	for {
		pointer, err := s.Get(ctx, base)
		if errors.Is(err, client.ErrNoNode) || err == nil && len(pointer.Data) == 0 {
			return Bundle{}, ErrNoConfig
		}
		if err != nil {
			return Bundle{}, err
		}
		if _, ok := bundleNumber(string(pointer.Data)); !ok {
			return Bundle{}, fmt.Errorf("%s points to %q, which is no bundle", base, pointer.Data)
		}
		files, err := readDir(ctx, s, zpath.Join(base, string(pointer.Data)))
		if err != nil && !errors.Is(err, client.ErrNoNode) {
			return Bundle{}, err
		}
		again, statErr := s.Get(ctx, base)
		switch {
		case statErr != nil && !errors.Is(statErr, client.ErrNoNode):
			return Bundle{}, statErr
		case statErr == nil && again.Stat.Mzxid == pointer.Stat.Mzxid:
			return Bundle{Files: files, Version: versionOf(pointer.Stat)}, err // a missing one was deleted by hand
		}
	}
}

// readDir reads the files of a directory.
func readDir(ctx context.Context, s *client.Session, dir string) (map[string][]byte, error) {
	names, _, err := s.Children(ctx, dir)
	if err != nil {
		return nil, err
	}
	batch, reads := s.Batch(), make(map[string]*client.Future[client.Reading])
	for _, name := range names {
		reads[name] = batch.Get(zpath.Join(dir, name))
	}
	if err := batch.Do(ctx); err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(names))
	for name, f := range reads {
		r, err := f.Get()
		if err != nil {
			return nil, err
		}
		if name, err = url.PathUnescape(name); err != nil {
			return nil, fmt.Errorf("file of %s: %w", dir, err)
		}
		files[name] = r.Node.Data
	}
	return files, nil
}
