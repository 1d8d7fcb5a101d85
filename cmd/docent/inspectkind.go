package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
)

// sight is what stands at a path.
type sight struct {
	Path       string      `json:"path"`
	Kind       string      `json:"kind"`
	Holders    []contender `json:"holders"`
	Waiting    []contender `json:"waiting"` // in their order
	Members    []contender `json:"members"` // of a group, service or barrier; those who follow a rendezvous
	Holding    int         `json:"holding"` // how many hold, and wait: top does not read all of them
	Queued     int         `json:"queued"`  //
	Permits    int         `json:"permits,omitempty"`
	Used       int         `json:"used,omitempty"`       // of the permits
	State      string      `json:"state,omitempty"`      // of a barrier: open or running; of a rendezvous: posted or vacant
	Generation int         `json:"generation,omitempty"` // of a barrier
	Size       int         `json:"size,omitempty"`       // of a barrier: how many it waits for
	Value      string      `json:"value,omitempty"`      // of a counter, a value or a posting
	Children   int32       `json:"children"`
	Strangers  []string    `json:"strangers,omitempty"` // children that belong to no contender
	Notes      []string    `json:"notes,omitempty"`
	Created    time.Time   `json:"created"`
	Stat       nodeStat    `json:"stat"`
}

func (s *sight) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// isLine tells whether somebody may hold it.
func (s *sight) isLine() bool {
	return slices.Contains([]string{kindLock, kindRWLock, kindSemaphore, kindElection}, s.Kind)
}

// look tells what stands at path. Of a line it reads the first most of those who hold and of those who wait, all if most
// is 0. That there is nothing is ErrNoNode.
func (f forest) look(ctx context.Context, path string, most int) (*sight, error) {
	s, err := f.c.Session(ctx)
	if err != nil {
		return nil, err
	}
	b := s.Batch()
	reading, listing := b.Get(path), b.Children(path)
	if err := b.Do(ctx); err != nil {
		return nil, err
	}
	r, err := reading.Get()
	if err != nil && !errors.Is(err, client.ErrNoAuth) {
		return nil, err
	}
	l, err := listing.Get()
	if err != nil {
		return nil, err
	}
	x := &sight{
		Path: path, Holders: []contender{}, Waiting: []contender{}, Members: []contender{},
		Children: l.Stat.NumChildren, Created: nodeTime(l.Stat.Ctime), Stat: nodeStat(l.Stat),
	}
	if most == 0 {
		most = len(l.Names)
	}
	return x, f.make(ctx, x, r.Node.Data, l.Names, most)
}

// absent is the sight of a lock that does not exist: nobody holds it.
func absent(path string) *sight {
	x := &sight{Path: path, Kind: kindEmpty, Holders: []contender{}, Waiting: []contender{}, Members: []contender{}}
	x.note("there is no such node: nobody holds it, nobody waits")
	return x
}

var (
	generationName = regexp.MustCompile(`^g[1-9][0-9]*$`)
	kazooName      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	queueName      = regexp.MustCompile(`^(queue-|qn-|entry-)`)
)

// make finds out by a node's data and the names of its children what it is, and reads who is there.
func (f forest) make(ctx context.Context, x *sight, data []byte, names []string, most int) error {
	line, strangers := lineUp(names)
	switch {
	case slices.Contains(names, "leases") && isSubset(names, "leases", "locks"):
		return f.semaphore(ctx, x, data, most)
	case len(line) > 0:
		return f.line(ctx, x, line, strangers, most)
	case slices.ContainsFunc(names, generationName.MatchString):
		if done, err := f.double(ctx, x, data); done || err != nil {
			return err
		}
	case slices.Contains(names, "info") || len(names) == 1 && names[0] == "w":
		return f.rendezvous(ctx, x, names)
	case slices.ContainsFunc(names, queueName.MatchString):
		x.Kind = kindQueue
		x.note("docent has no queue, for reasons: docs/why-no-queue.md")
		return nil
	}
	if allMarkers(names) {
		x.leaf(data)
		return nil
	}
	return f.members(ctx, x, data, names)
}

func isSubset(names []string, of ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(of, n) })
}

// allMarkers tells whether there is nothing but what docent's counters leave below them while they are used.
func allMarkers(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, "w-") || len(n) != len("w-")+36 })
}

// sessions returns the sessions of all who are here.
func (x *sight) sessions() []sessionID {
	set := make(map[sessionID]bool)
	for _, list := range [][]contender{x.Holders, x.Waiting, x.Members} {
		for _, c := range list {
			set[c.Session] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// meet puts beside all who are here what servers tell of their sessions.
func (x *sight) meet(contacts map[sessionID]contact) {
	for _, list := range [][]contender{x.Holders, x.Waiting, x.Members} {
		for i := range list {
			if c, ok := contacts[list[i].Session]; ok && list[i].Session != 0 {
				list[i].Contact = &c
			}
		}
	}
}
