package history

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does to its node.
type Kind string

// The kinds of operations.
const (
	Read   Kind = "read"   // one that promises the present: behind a sync, or confirmed by a check
	Set    Kind = "set"    // with Expect, or -1
	Create Kind = "create" // fails if there is one
	Delete Kind = "delete" // with Expect, or -1
)

// Outcome is what the client was told.
type Outcome string

// The outcomes.
const (
	OK         Outcome = "ok"
	NoNode     Outcome = "no node"
	NodeExists Outcome = "node exists"
	BadVersion Outcome = "bad version"
	Unknown    Outcome = "unknown" // it may have been carried out, or may still be
)

// Op is an operation on one node.
type Op struct {
	Client       int
	Path         string
	Kind         Kind
	Value        string // written, or read
	Expect       int32
	Outcome      Outcome
	Version      int32 // of the data, as told by the outcome OK of a read or set
	Call, Return int64
}

// String returns one line.
func (o Op) String() string {
	return fmt.Sprintf("[%d-%d] client %d: %s %s %q (expecting %d): %s, version %d",
		o.Call, o.Return, o.Client, o.Kind, o.Path, o.Value, o.Expect, o.Outcome, o.Version)
}

// register is the state of one node.
type register struct {
	exists  bool
	version int32
	value   string
}

// step tells whether the operation may have had its outcome in state s, and what follows.
func (s register) step(o Op) (bool, register) {
	next, outcome := s.apply(o)
	switch {
	case o.Outcome == Unknown:
		return true, next
	case outcome != o.Outcome:
		return false, s
	case o.Kind == Read && outcome == OK:
		return o.Value == s.value && o.Version == s.version, s
	case o.Kind == Set && outcome == OK:
		return o.Version == next.version, next
	}
	return true, next
}

// apply carries it out.
func (s register) apply(o Op) (register, Outcome) {
	switch {
	case o.Kind == Create && s.exists:
		return s, NodeExists
	case o.Kind == Create:
		return register{true, 0, o.Value}, OK
	case !s.exists:
		return s, NoNode
	case o.Kind == Read:
		return s, OK
	case o.Expect != -1 && o.Expect != s.version:
		return s, BadVersion
	case o.Kind == Delete:
		return register{}, OK
	}
	return register{true, s.version + 1, o.Value}, OK
}

// Verdict sums up what Registers found.
type Verdict struct {
	Histories int
	Undecided int   // of them, within patience
	Lengths   []int // how many operations each has, in the order of their nodes
}

// Registers tells whether the operations on each node are linearizable, nodes being absent at first. Those of unknown
// outcome may take effect at any time after their call, or never. patience bounds the search for each node; 0: no bound.
func Registers(ops []Op, patience time.Duration) (Verdict, error) {
	model := porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, in, _ any) (bool, any) { return state.(register).step(in.(Op)) },
	}
	byPath := make(map[string][]porcupine.Operation)
	for _, o := range ops {
		if o.Outcome == Unknown {
			o.Return = math.MaxInt64
		}
		byPath[o.Path] = append(byPath[o.Path], porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return})
	}
	var f faults
	var v Verdict
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		h := byPath[path]
		v.Histories++
		v.Lengths = append(v.Lengths, len(h))
		switch porcupine.CheckOperationsTimeout(model, h, patience) {
		case porcupine.Illegal:
			f.add("%s: %d operations are not linearizable:%s", path, len(h), lines(h))
		case porcupine.Unknown:
			v.Undecided++
		}
	}
	return v, f.err()
}

func lines(h []porcupine.Operation) (s string) {
	for _, o := range h {
		s += "\n\t" + o.Input.(Op).String()
	}
	return s
}
