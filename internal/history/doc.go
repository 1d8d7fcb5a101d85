// Package history tells whether what an ensemble did, and what its clients were told, can have happened on a correct one.
// It starts nothing and waits for nothing: whoever drives an ensemble, in a simulation or as processes, records, and asks
// afterwards.
//
//	[Log]        what each server carried out: the same transactions everywhere, none missing
//	[Conn]       one connection as a server saw it: order of answers, zxids, and every watch event compared with the log
//	[End]        one connection as its client saw it, without a log: order of answers, zxids, events
//	[Registers]  linearizability of reads and writes of single nodes, with Stat versions
//	[Writes]     every acknowledged write is in the log, in an order that real time allows
//	[Streams]    events of lasting watches as a client got them: ordered, once, none missing
//	[Bells]      the same without a log, by the versions of the node
//	[Kept]       nothing that was acknowledged is lost, and nothing is there that nobody asked for
//	[Sequences]  numbers of sequential nodes are unique and grow in real time, and nothing was created twice
//	[Sessions]   ephemerals go exactly when their session ends, and nobody acts in a session that has ended
//	[Mortals]    containers and nodes with a time to live go when they may, and not before
//
// Times are in nanoseconds on any one clock that all records of a run share. Errors list what is wrong, a line for each,
// and are nil if nothing is.
package history

import (
	"errors"
	"fmt"
)

// most bounds what an error lists: one fault may break a thousand promises.
const most = 20

// faults collects what is wrong.
type faults struct {
	list []error
	more int
}

func (f *faults) add(format string, args ...any) {
	if len(f.list) == most {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Errorf(format, args...))
}

func (f *faults) err() error {
	if f.more > 0 {
		return errors.Join(append(f.list, fmt.Errorf("and %d more", f.more))...)
	}
	return errors.Join(f.list...)
}
