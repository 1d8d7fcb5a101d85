package replica

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A snapshot reaches raft only if it brings something; and raft starts again if it has replaced a log that went on differently.
func TestSieve(t *testing.T) {
	entries := func(term uint64, from, to uint64) (all []*raft.Log) {
		for i := from; i <= to; i++ {
			all = append(all, &raft.Log{Index: i, Term: term})
		}
		return all
	}
	for name, c := range map[string]struct {
		log     []*raft.Log
		applied uint64
		reaches bool
		again   bool
	}{
		"an empty log":                     {nil, 0, true, false},
		"a log that ends before":           {entries(2, 1, 9), 9, true, false},
		"a log that has it all":            {entries(2, 1, 10), 5, false, false},
		"a log that goes on":               {entries(2, 1, 20), 5, false, false},
		"a newer snapshot of our own":      {nil, 12, false, false},
		"a log that begins behind":         {entries(2, 15, 20), 17, false, false},
		"a log that differs, and goes on":  {entries(1, 1, 20), 5, true, true},
		"a log that differs, and ends":     {entries(1, 1, 10), 5, true, true},
		"a log that differs from there on": {append(entries(2, 1, 9), entries(1, 10, 12)...), 9, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			log := raft.NewInmemStore()
			if err := log.StoreLogs(c.log); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := &sieve{log: log, applied: func() uint64 { return c.applied }, in: make(chan raft.RPC), out: make(chan raft.RPC), cancel: cancel}
			reached := make(chan bool, 1)
			go func() { // as raft does
				for {
					select {
					case rpc := <-s.out:
						if _, ok := rpc.Command.(*raft.InstallSnapshotRequest); !ok {
							rpc.Respond(nil, errors.New("of no term"))
							continue
						}
						_, err := io.Copy(io.Discard, rpc.Reader)
						reached <- true
						rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, err)
					case <-t.Context().Done():
						return
					}
				}
			}()
			answer := make(chan raft.RPCResponse, 1)
			data := strings.NewReader("snapshot")
			s.pass(ctx, raft.RPC{Command: &raft.InstallSnapshotRequest{LastLogIndex: 10, LastLogTerm: 2}, Reader: data, RespChan: answer})
			select {
			case a := <-answer:
				if r, ok := a.Response.(*raft.InstallSnapshotResponse); a.Error != nil || !ok || !r.Success || data.Len() != 0 {
					t.Errorf("answer %+v, and %d bytes are left", a, data.Len())
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no answer")
			}
			if got := len(reached) == 1; got != c.reaches {
				t.Errorf("reaches raft: %v", got)
			}
			if again := errors.Is(context.Cause(ctx), errStartAgain); again != c.again {
				t.Errorf("starts again: %v", again)
			}
		})
	}
}
