package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/docent-io/docent/client"
)

// line is a lock, a read/write lock or an election, or the leases of a semaphore by themselves.
func (f forest) line(ctx context.Context, x *sight, line []place, strangers []string, most int) error {
	x.Kind, x.Strangers = lineKind(line), strangers
	n := lineHolders(line)
	if x.Kind == kindSemaphore {
		n = len(line)
	}
	x.Holding, x.Queued = n, len(line)-n
	read := slices.Concat(line[:min(n, most)], line[n:min(n+most, len(line))])
	all, err := f.contenders(ctx, x.Path, read, contenderOf)
	if err != nil {
		return err
	}
	if len(read) == len(line) { // some of them may have gone since
		if x.Kind != kindSemaphore {
			n = lineHolders(all)
		}
		n = min(n, len(all))
		x.Holding, x.Queued = n, len(all)-n
	}
	n = min(n, most, len(all))
	x.Holders, x.Waiting = all[:n:n], all[n:]
	if x.Kind == kindLock && len(all) > 0 && all[0].Acked != nil {
		x.Kind = kindElection // in the layout of a LeaderSelector
	}
	if mixed(line) {
		x.note("kazoo's and other libraries' names stand in one line: Curator does not see kazoo's, nor kazoo Curator's without extra_lock_patterns, so both may hold")
	}
	return nil
}

// mixed tells whether there are names of libraries that do not honour each other.
func mixed(line []place) bool {
	return slices.ContainsFunc(line, place.kazoo) && slices.ContainsFunc(line, func(p place) bool { return !p.kazoo() })
}

// contenders reads who stands in a line, in order, and makes sense of each with of. Who has gone meanwhile is left out;
// who must not be read is there, without a name.
func (f forest) contenders(ctx context.Context, dir string, line []place, of func(client.Node, place) contender) ([]contender, error) {
	paths := make([]string, len(line))
	for i, p := range line {
		paths[i] = below(dir, p.name)
	}
	nodes := make(map[string]client.Node, len(paths))
	var denied []string
	err := inFlight(ctx, f, paths, (*client.Batch).Get, func(path string, r client.Reading, err error) error {
		if err == nil {
			nodes[path] = r.Node
		} else if errors.Is(err, client.ErrNoAuth) {
			denied = append(denied, path)
		}
		return passOver(err)
	})
	if err != nil {
		return nil, err
	}
	err = inFlight(ctx, f, denied, (*client.Batch).Exists, func(path string, e client.Existence, err error) error {
		if err == nil && e.OK || errors.Is(err, client.ErrNoAuth) { // ZooKeeper before 3.10 tells this much
			nodes[path] = client.Node{Path: path, Data: []byte("(not readable)"), Stat: e.Stat}
		}
		return passOver(err)
	})
	list := make([]contender, 0, len(line))
	for i, p := range line {
		if n, ok := nodes[paths[i]]; ok {
			list = append(list, of(n, p))
		}
	}
	return list, err
}

// semaphore is Curator's layout, which is docent's: who holds has a lease, and who waits stands in a line beside.
func (f forest) semaphore(ctx context.Context, x *sight, data []byte, most int) error {
	leases, locks := below(x.Path, "leases"), below(x.Path, "locks")
	lists, err := f.list(ctx, leases, locks)
	if err != nil {
		return err
	}
	held, odd := lineUp(lists[leases].Names)
	queue, odd2 := lineUp(lists[locks].Names)
	x.Kind, x.Strangers = kindSemaphore, append(odd, odd2...)
	if x.Holders, err = f.contenders(ctx, leases, held, contenderOf); err != nil {
		return err
	}
	if x.Waiting, err = f.contenders(ctx, locks, queue[:min(len(queue), most)], contenderOf); err != nil {
		return err
	}
	x.Holding, x.Queued = len(x.Holders), len(x.Waiting)+max(0, len(queue)-most)
	for _, h := range x.Holders {
		x.Used += h.Weight
	}
	if x.Permits, err = strconv.Atoi(string(data)); err != nil {
		x.note("how many permits there are is not said here: Curator's clients agree on it elsewhere")
	}
	return nil
}

// double is docent's double barrier; done is false if it is none.
func (f forest) double(ctx context.Context, x *sight, data []byte) (done bool, err error) {
	var st struct {
		Gen   int    `json:"gen"`
		N     int    `json:"n"`
		State string `json:"state"`
	}
	if json.Unmarshal(data, &st) != nil || st.Gen < 1 || st.State == "" {
		return false, nil
	}
	x.Kind, x.State, x.Generation, x.Size = kindBarrier, st.State, st.Gen, st.N
	gen := below(x.Path, "g"+strconv.Itoa(st.Gen))
	lists, err := f.list(ctx, gen+"/m", gen+"/done")
	if err != nil {
		return true, err
	}
	if left := len(lists[gen+"/done"].Names); left > 0 {
		x.note("%d of %d have left", left, st.N)
	}
	names := lists[gen+"/m"].Names
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(tailOf(a), tailOf(b)) })
	x.Members, err = f.present(ctx, gen+"/m", names)
	for i := range x.Members {
		x.Members[i].ID = memberName(x.Members[i].Path)
	}
	return true, err
}

// tailOf returns the number at the end of a name.
func tailOf(name string) string { return name[max(0, len(name)-10):] }

// rendezvous is a posting and who follows it.
func (f forest) rendezvous(ctx context.Context, x *sight, names []string) error {
	x.Kind, x.State = kindRendezvous, "vacant"
	info := below(x.Path, "info")
	nodes, err := f.read(ctx, []string{info})
	if err != nil {
		return err
	}
	if n, ok := nodes[info]; ok && len(n.Data) > 0 {
		var posted struct {
			By    string          `json:"by"`
			Value json.RawMessage `json:"value"`
		}
		h := contenderOf(n, place{})
		x.State, x.Value = "posted", readable(n.Data)
		if json.Unmarshal(n.Data, &posted) == nil && posted.Value != nil {
			h.ID, x.Value = posted.By, string(posted.Value)
		}
		x.Holders = []contender{h}
		if h.Session == 0 {
			x.note("the posting is not ephemeral: it stays when its master is gone")
		}
	}
	if !slices.Contains(names, "w") {
		return nil
	}
	lists, err := f.list(ctx, below(x.Path, "w"))
	if err != nil {
		return err
	}
	workers := lists[below(x.Path, "w")].Names
	slices.Sort(workers)
	x.Members, err = f.present(ctx, below(x.Path, "w"), workers)
	for i := range x.Members {
		x.Members[i].ID = memberName(x.Members[i].Path)
	}
	return err
}
