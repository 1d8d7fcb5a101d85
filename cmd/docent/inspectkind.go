package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
		Children: l.Stat.NumChildren, Created: time.UnixMilli(l.Stat.Ctime), Stat: nodeStat(l.Stat),
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

// members is a directory of ephemeral nodes that are no contenders: a group, a service, another library's barrier or
// semaphore. Without any it is a plain directory.
func (f forest) members(ctx context.Context, x *sight, data []byte, names []string) error {
	slices.Sort(names)
	all, err := f.present(ctx, x.Path, names)
	if err != nil {
		return err
	}
	x.Kind = kindDirectory
	for _, m := range all {
		if m.Session == 0 {
			x.Strangers = append(x.Strangers, strings.TrimPrefix(m.Path[len(x.Path):], "/"))
		} else {
			x.Members = append(x.Members, m)
		}
	}
	if len(x.Members) == 0 {
		x.Strangers = nil
		return nil
	}
	x.Kind = kindGroup
	permits, err := strconv.Atoi(string(data))
	switch {
	case slices.Contains(names, "ready"):
		x.Kind, x.State = kindBarrier, "running" // Curator's and kazoo's
		x.Strangers = slices.DeleteFunc(x.Strangers, func(n string) bool { return n == "ready" })
	case slices.ContainsFunc(x.Members, func(m contender) bool { return m.Details != "" }):
		x.Kind = kindService
	case err == nil && permits > 0 && !slices.ContainsFunc(names, func(n string) bool { return !kazooName.MatchString(n) }):
		return f.kazooSemaphore(ctx, x, permits)
	}
	return nil
}

// kazooSemaphore has its leases in the directory, and who waits in the line of a lock beside it.
func (f forest) kazooSemaphore(ctx context.Context, x *sight, permits int) error {
	x.Kind, x.Permits, x.Used = kindSemaphore, permits, len(x.Members)
	x.Holders, x.Members, x.Holding = x.Members, []contender{}, len(x.Members)
	guard := x.Path + "-__lock__"
	lists, err := f.list(ctx, guard)
	if err != nil {
		return err
	}
	line, _ := lineUp(lists[guard].Names)
	x.Waiting, err = f.contenders(ctx, guard, line, contenderOf)
	x.Queued = len(x.Waiting)
	return err
}

// present reads nodes that are there, in the order of their names.
func (f forest) present(ctx context.Context, dir string, names []string) ([]contender, error) {
	line := make([]place, len(names))
	for i, name := range names {
		line[i] = place{name: name}
	}
	return f.contenders(ctx, dir, line, memberOf)
}

func memberOf(n client.Node, p place) contender {
	c := contenderOf(n, p)
	c.instance(n)
	return c
}

// instance reads the JSON of Curator's ServiceInstance, which docent's services have too. Members of groups say anything,
// and are called by the name of their node.
func (c *contender) instance(n client.Node) {
	var s struct {
		Name, ID, Address string
		Port              *int
		ServiceType       string
		Payload           struct{ Version, Flavor, Status string }
		Enabled           *bool
	}
	err := json.Unmarshal(n.Data, &s)
	if wrongType := (*json.UnmarshalTypeError)(nil); err != nil && !errors.As(err, &wrongType) || s.ID == "" || s.ServiceType == "" {
		if c.ID == "" || !utf8.ValidString(c.ID) || json.Valid(n.Data) {
			c.ID = n.Path[strings.LastIndexByte(n.Path, '/')+1:]
		}
		return
	}
	c.ID, c.Addr = s.ID, s.Address
	if s.Port != nil {
		c.Addr += ":" + strconv.Itoa(*s.Port)
	}
	status := s.Payload.Status
	switch {
	case s.Enabled != nil && !*s.Enabled:
		status = "draining"
	case status == "":
		status = "up"
	}
	c.Details = strings.Join(slices.DeleteFunc([]string{s.Payload.Flavor, s.Payload.Version, status}, func(s string) bool { return s == "" }), " ")
}

// memberName returns whom the name of a member's node is about: <guid>-<who>[-<number>], escaped.
func memberName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	_, who, ok := strings.Cut(name, "-")
	if !ok {
		return name
	}
	if i := strings.LastIndexByte(who, '-'); i > 0 && len(who)-i == 11 {
		who = who[:i]
	}
	if plain, err := url.PathUnescape(who); err == nil {
		return plain
	}
	return who
}

// leaf is a node without children: a number, another value, or nothing.
func (x *sight) leaf(data []byte) {
	text := string(bytes.TrimSpace(data))
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case len(data) == 0:
		x.Kind = kindEmpty
		x.note("nobody is here")
	case err == nil:
		x.Kind, x.Value = kindCounter, strconv.FormatInt(n, 10)
		x.note("a number is also what stays of a semaphore that nobody uses: its permits")
	case len(data) == 4 && !isText(data):
		x.Kind, x.Value = kindCounter, strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(data))), 10)
	case len(data) == 8 && !isText(data):
		x.Kind, x.Value = kindCounter, strconv.FormatInt(int64(binary.BigEndian.Uint64(data)), 10)
	default:
		x.Kind, x.Value = kindValue, readable(data)
		if x.Stat.Version == 0 && len(data) < 256 {
			x.note("a gate is a node like this: closed while it exists, by whom its data say")
		}
	}
}

// readable shows the beginning of data, as text if it is that.
func readable(data []byte) string {
	const most = 4096
	short := data[:min(len(data), most)]
	text := string(short)
	if !utf8.Valid(data) {
		text = fmt.Sprintf("%q", short)
	}
	if len(data) > most {
		text = fmt.Sprintf("%s... (%s bytes in all)", strings.ToValidUTF8(text, ""), thousands(int64(len(data))))
	}
	return text
}

func isText(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' })
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
