//go:build linux

package faults

import (
	"context"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// sabotage makes something wrong on purpose, to see that it is found.
type sabotage string

const (
	staleReads sabotage = "reads without a sync pass for fresh ones"
	oldFolders sabotage = "all servers get older copies of their folders"
	noFence    sabotage = "what a lock guards is written without asking who holds it"
)

// rollBack has all servers forget what they did in the last seconds.
func (w *world) rollBack(*rand.Rand) {
	w.allDown(func(m *member) error { return os.CopyFS(m.data+"-old", os.DirFS(m.data)) })
	_ = sleep(w.load, 2*time.Second)
	w.allDown(func(m *member) error {
		if err := m.forget(); err != nil {
			return err
		}
		return os.Rename(m.data+"-old", m.data)
	})
}

// allDown does something to the folder of each server while none runs.
func (w *world) allDown(do func(m *member) error) {
	for _, m := range w.e.members {
		m.kill()
	}
	for _, m := range w.e.members {
		w.check(do(m))
		m.start()
	}
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	w.check(w.e.ready(ctx))
}

// pausePuppets pauses all clients beyond the end of their sessions.
func (w *world) pausePuppets(r *rand.Rand) {
	for _, p := range w.all {
		p.signal(syscall.SIGSTOP)
		_ = sleep(w.load, between(r, time.Millisecond, 100*time.Millisecond)) // no two are in the same place
	}
	_ = sleep(w.load, 4*time.Second)
	for _, p := range w.all {
		p.signal(syscall.SIGCONT)
	}
	_ = sleep(w.load, time.Second)
}
