package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// waitLine is a line as the search for cycles sees it: with permits, those in line wait for leases; without, for those ahead.
type waitLine struct {
	path    string
	line    []spot // in order
	permits int
	leases  []spot
}

// waitsFor is one step of a cycle: session waits in a line for blocker.
type waitsFor struct {
	session, blocker sessionID
	own              string // the path of the session's node
	line             string
}

// cycles looks for sessions that wait for each other.
func (d *doctor) cycles(ctx context.Context, f forest) error {
	lines, err := d.waitLines(ctx, f)
	if err != nil {
		return err
	}
	if err := unite(ctx, f, lines); err != nil {
		return err
	}
	for _, cycle := range deadlocks(lines) {
		var paths []string
		for _, step := range cycle {
			paths = append(paths, step.own)
		}
		nodes, err := f.read(ctx, paths)
		if err != nil {
			return err
		}
		var b strings.Builder
		for i, step := range cycle {
			who := contenderOf(nodes[step.own], place{}).ID
			if i > 0 {
				b.WriteString("; ")
			}
			fmt.Fprintf(&b, "%s (session %v) waits in %s for session %v", dash(who), step.session, step.line, step.blocker)
		}
		d.find(findCycle, cycle[0].line, "%s", b.String())
	}
	return nil
}

// waitLines puts the two halves of semaphores together, and reads how many permits there are and are out.
func (d *doctor) waitLines(ctx context.Context, f forest) ([]waitLine, error) {
	leases := make(map[string]*folder) // by the semaphore's path
	for _, fo := range d.lines {
		if dir, name := zpath.Split(fo.path); name == "leases" {
			leases[dir] = fo
		}
	}
	var lines []waitLine
	for _, fo := range d.lines {
		dir, name := zpath.Split(fo.path)
		switch held := leases[dir]; {
		case name == "leases":
		case name == "locks" && held != nil:
			l := waitLine{path: dir, line: fo.line, leases: held.line}
			if err := l.weigh(ctx, f, held.path); err != nil {
				return nil, err
			}
			lines = append(lines, l)
		case len(fo.line) > 1:
			lines = append(lines, waitLine{path: fo.path, line: fo.line})
		}
	}
	slices.SortFunc(lines, func(a, b waitLine) int { return strings.Compare(a.path, b.path) })
	return lines, nil
}

// unite gives all sessions of one identity the number of one of them: of a script under docent lock that calls docent lock
// once more, the one session holds while the other waits. Only docent's nodes name an identity; in others' stands an address
// or a name of many.
func unite(ctx context.Context, f forest, lines []waitLine) error {
	spots := make(map[string]*spot)
	for _, l := range lines {
		for i, s := range l.line {
			spots[below(l.dir(), s.name)] = &l.line[i]
		}
		for i, s := range l.leases {
			spots[below(below(l.path, "leases"), s.name)] = &l.leases[i]
		}
	}
	first := make(map[string]sessionID)
	return inFlight(ctx, f, slices.Sorted(maps.Keys(spots)), (*client.Batch).Get, func(path string, r client.Reading, err error) error {
		var who said
		if err != nil || json.Unmarshal(r.Node.Data, &who) != nil || who.ID == "" {
			return passOver(err)
		}
		s := spots[path]
		if id, ok := first[who.ID]; ok {
			s.session = id
		} else {
			first[who.ID] = s.session
		}
		return nil
	})
}

// weigh reads a semaphore's permits, and the weights of its leases. Without a number, as with Curator's, nobody is taken
// to wait for permits.
func (l *waitLine) weigh(ctx context.Context, f forest, dir string) error {
	paths := []string{l.path}
	for _, s := range l.leases {
		paths = append(paths, below(dir, s.name))
	}
	nodes, err := f.read(ctx, paths)
	if err != nil {
		return err
	}
	if l.permits, err = strconv.Atoi(string(nodes[l.path].Data)); err != nil || l.permits < 1 {
		l.permits = len(l.leases) + 1
	}
	l.leases = slices.Clone(l.leases)
	for i, s := range l.leases {
		l.leases[i].weight = max(1, contenderOf(nodes[paths[i+1]], s.place).Weight)
	}
	return nil
}

// deadlocks returns cycles of sessions of which each waits for the next one: every set of sessions that can never go on has
// at least one. A session is taken for one that does nothing else while it waits; that it stands in its own way does not
// count, for then it has several goroutines, or several processes.
//
// A session goes on when nothing it waits for is kept by one that does not. So those that wait for nothing go on, and
// then whoever waited for these alone, until nobody is added; the others wait for each other.
func deadlocks(lines []waitLine) [][]waitsFor {
	waits := make(map[sessionID]int) // unsatisfied
	done := make([][]bool, len(lines))
	for i, l := range lines {
		done[i] = make([]bool, len(l.line))
		for k, s := range l.line {
			if l.permits > 0 || !aheadFree(l, k) {
				waits[s.session]++
			} else {
				done[i][k] = true
			}
		}
	}
	free := func(id sessionID) bool { return id != 0 && (waits[id] == 0 || id == hiddenSession) }
	for changed := true; changed; {
		changed = false
		for i, l := range lines {
			for k, blocker := range l.blockers(free) {
				if blocker < 0 && !done[i][k] {
					done[i][k], changed = true, true
					waits[l.line[k].session]--
				}
			}
		}
	}
	return follow(lines, free)
}

// aheadFree tells whether the one at k holds.
func aheadFree(l waitLine, k int) bool { return k < lineHolders(l.line) }

// blockers yields for each in line, in order, the index of the first thing that keeps it waiting, -1 if there is none: an index
// of the line, or with permits, len(line) plus an index of the leases. What free says may change between two.
func (l *waitLine) blockers(free func(sessionID) bool) func(yield func(k, blocker int) bool) {
	return func(yield func(int, int) bool) {
		var everybody, writers ahead
		for k, s := range l.line {
			blocker := everybody.other(l.line, s.session, free)
			if s.shared() {
				blocker = writers.other(l.line, s.session, free)
			}
			if blocker < 0 && l.permits > 0 {
				blocker = l.lease(s.session, free)
			}
			if !yield(k, blocker) {
				return
			}
			everybody.add(k)
			if !s.shared() {
				writers.add(k)
			}
		}
	}
}

// lease returns what keeps all permits from a session, -1 if there may be one for it.
func (l *waitLine) lease(own sessionID, free func(sessionID) bool) int {
	used, first := 0, -1
	for i, s := range l.leases {
		if s.session != own && !free(s.session) {
			if used += s.weight; first < 0 {
				first = len(l.line) + i
			}
		}
	}
	if used < l.permits {
		return -1
	}
	return first
}

// ahead are those ahead in a line who may be in the way. Who is free is forgotten when that is seen.
type ahead struct{ list []int }

func (a *ahead) add(k int) { a.list = append(a.list, k) }

// other returns the first who is not free and not own, -1 if there is none.
func (a *ahead) other(line []spot, own sessionID, free func(sessionID) bool) int {
	for len(a.list) > 0 && free(line[a.list[0]].session) {
		a.list = a.list[1:]
	}
	for _, k := range a.list {
		if id := line[k].session; id != own && !free(id) {
			return k
		}
	}
	return -1
}

// follow goes from each session that is not free to the first one it waits for, and returns the circles it runs in.
func follow(lines []waitLine, free func(sessionID) bool) [][]waitsFor {
	next := make(map[sessionID]waitsFor)
	var order []sessionID
	for _, l := range lines {
		for k, blocker := range l.blockers(free) {
			s := l.line[k]
			if _, known := next[s.session]; known || blocker < 0 || s.session == 0 {
				continue
			}
			step := waitsFor{session: s.session, line: l.path, own: below(l.dir(), s.name)}
			if step.blocker = l.at(blocker); step.blocker == 0 {
				continue // an orphan: it is told as such
			}
			next[s.session] = step
			order = append(order, s.session)
		}
	}
	var cycles [][]waitsFor
	state := make(map[sessionID]int) // in which round it was come by
	for round, from := range order {
		id := from
		for ; state[id] == 0; id = next[id].blocker {
			if _, ok := next[id]; !ok {
				break
			}
			state[id] = round + 1
		}
		if state[id] != round+1 {
			continue
		}
		var cycle []waitsFor
		for first := id; ; {
			cycle = append(cycle, next[id])
			if id = next[id].blocker; id == first {
				break
			}
		}
		cycles = append(cycles, cycle)
	}
	return cycles
}

// at returns the session at an index that blockers yielded.
func (l *waitLine) at(blocker int) sessionID {
	if blocker < len(l.line) {
		return l.line[blocker].session
	}
	return l.leases[blocker-len(l.line)].session
}

// dir returns the directory of those in line.
func (l *waitLine) dir() string {
	if l.permits > 0 {
		return below(l.path, "locks")
	}
	return l.path
}
