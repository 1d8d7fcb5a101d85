//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leaderLast returns all members, as who upgrades them goes about it.
func (e *ensemble) leaderLast(ctx context.Context, r *rand.Rand) []*member {
	l := e.theLeader(ctx, r)
	return append(e.others(l), l...)
}

// restart stops servers one after the other as an operator does, each when the one before is back.
func (w *world) restart(r *rand.Rand, some []*member) {
	for _, m := range some {
		w.told("stop %d", m.id)
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
		m.stop(ctx)
		_ = sleep(w.load, between(r, time.Millisecond, time.Second))
		m.start()
		if err := m.ready(ctx); err != nil {
			w.fail("%v", err)
		}
		cancel()
	}
}

// replace takes a member out and puts a new one in its place, by the operators' manual; lost: because its folder is. Nobody
// must be able to go on with an empty folder instead.
func (w *world) replace(r *rand.Rand, lost bool) {
	m := w.e.some(r, 1)[0]
	through := w.e.others([]*member{m})[0]
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := w.e.ready(ctx); err != nil {
		w.fail("before member %d is replaced: %v", m.id, err)
		return
	}
	w.told("replace %d; its folder is lost: %v", m.id, lost)
	if lost {
		m.kill()
		w.check(m.forget())
		w.refused(ctx, m)
		_ = sleep(w.load, between(r, time.Millisecond, time.Second))
	}
	m.expectEnd()
	if err := w.e.verb(ctx, through, "remove", fmt.Sprint(m.id)); err != nil {
		w.fail("member remove %d: %v", m.id, err)
	}
	m.kill()
	w.check(m.forget())
	w.told("removed %d", m.id)
	_ = sleep(w.load, between(r, time.Millisecond, 2*time.Second))
	m.flags = append(w.plan.flags(), "--join", "--peers", fmt.Sprintf("%d=%s", m.id, m.peerAddr()))
	m.start()
	if err := m.run().said.await(ctx, "docent: waiting to be added"); err != nil {
		w.fail("member %d: %v", m.id, err)
	}
	if err := w.e.verb(ctx, through, "add", fmt.Sprint(m.id), m.peerAddr()); err != nil {
		w.fail("member add %d: %v", m.id, err)
	}
	if err := m.ready(ctx); err != nil {
		w.fail("after member %d was replaced: %v", m.id, err)
	}
	w.told("added %d", m.id)
}

// refused starts a member whose folder was emptied, and expects it to end; one that was added once has flags to wait for that
// again, and must do no more.
func (w *world) refused(ctx context.Context, m *member) {
	m.start()
	m.expectEnd()
	p := m.run()
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := p.said.await(limited, "know this one with another data folder"); err != nil {
		w.fail("server %d has an empty folder where it had one with votes, and is not told so: %v\n%s", m.id, err, p.said.tail())
	}
	if !slices.Contains(m.flags, "--join") {
		if err := p.exit(limited); err != nil {
			w.fail("server %d has an empty folder where it had one with votes, and goes on: %v\n%s", m.id, err, p.said.tail())
		}
	}
	m.kill()
	if p.said.has("docent: serving clients on ") {
		w.fail("server %d has an empty folder where it had one with votes, and serves", m.id)
	}
	w.check(m.forget())
}

// forget empties the folder.
func (m *member) forget() error { return os.RemoveAll(m.data) }

// verb runs `docent member` until it succeeds.
func (e *ensemble) verb(ctx context.Context, through *member, args ...string) error {
	for {
		cmd := exec.CommandContext(ctx, through.bin, slices.Concat([]string{"member"}, args, []string{"--admin", through.adminAddr()})...)
		said := new(strings.Builder)
		cmd.Stdout, cmd.Stderr = said, said
		var err error
		through.space.do(func() { err = cmd.Start() })
		if err == nil {
			err = cmd.Wait()
		}
		text := said.String()
		switch {
		case err == nil, args[0] == "remove" && strings.Contains(text, "no such member"), args[0] == "add" && strings.Contains(text, "there already"):
			return nil
		case sleep(ctx, 300*time.Millisecond) != nil:
			return fmt.Errorf("%w: %s", err, text)
		}
	}
}

// ready waits until all serve.
func (e *ensemble) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, m := range e.members {
		if err := m.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// diskSize is how large a small disk is.
const diskSize = 48 << 20

// smallDisk gives a member a disk of its own, that can be filled. What it holds in the end may be kept.
func (m *member) smallDisk() (undo func(keep bool) error, err error) {
	dir := filepath.Join(m.dir, fmt.Sprintf("disk-%d", m.id))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return nil, fmt.Errorf("mount a small disk: %w", err)
	}
	m.data = filepath.Join(dir, "data")
	return func(keep bool) error {
		if keep {
			err = os.CopyFS(filepath.Join(m.dir, fmt.Sprintf("data-%d", m.id)), os.DirFS(m.data))
		}
		return errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
	}, nil
}

// fillDisk leaves a member no room, until it stops; then there is room again.
func (w *world) fillDisk(r *rand.Rand) {
	m := w.e.members[w.plan.smallDisk]
	name := filepath.Join(filepath.Dir(m.data), "filler")
	w.told("fill the disk of %d", m.id)
	m.expectEnd()
	err := fill(name, r.IntN(256<<10))
	if !errors.Is(err, syscall.ENOSPC) {
		w.fail("fill a disk: %v", err)
	}
	p := m.run()
	ctx, cancel := context.WithTimeout(w.load, 8*time.Second)
	defer cancel()
	full := p.exit(ctx) == nil
	if full && !strings.Contains(p.said.tail(), "no space left") {
		w.fail("the disk of server %d is full, and it does not say so: %v\n%s", m.id, p.cmd.ProcessState, p.said.tail())
	}
	w.told("server %d has stopped: %v", m.id, full)
	_ = sleep(w.load, between(r, time.Millisecond, 2*time.Second))
	if full && r.IntN(2) == 0 {
		m.start() // in vain, or nearly
		m.expectEnd()
		_ = sleep(w.load, between(r, 50*time.Millisecond, 500*time.Millisecond))
	}
	w.check(os.Remove(name))
	m.kill() // if it still runs
	m.start()
}

// fill writes a file until there is no room, and then leaves some.
func fill(name string, room int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for size := int64(0); ; {
		n, err := f.Write(block)
		size += int64(n)
		if err != nil {
			return errors.Join(err, f.Truncate(max(0, size-int64(room))))
		}
	}
}
