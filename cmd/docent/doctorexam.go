package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// The kinds of findings.
const (
	findCycle      = "cycle"
	findOrphan     = "orphan"
	findTie        = "tie"
	findMixed      = "mixed"
	findStranger   = "stranger"
	findRepeat     = "repeat" // of inspect --orphans alone: it may be meant so
	findParent     = "parent"
	findOversize   = "oversize"
	findCrowd      = "crowd"
	findCounter    = "counter"
	findShadow     = "shadow"
	findChurn      = "churn"
	findUnreadable = "unreadable"
)

// findings lists the kinds, the worst first.
func findings() []string {
	return []string{findCycle, findOrphan, findTie, findMixed, findStranger, findRepeat, findCounter, findOversize, findCrowd, findShadow, findChurn, findParent, findUnreadable}
}

// finding is one thing a doctor found.
type finding struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
	What string `json:"what"`
}

// doctor looks at every node of a tree once. It keeps those folders whose children it has not seen all of, and all places
// in line; of findings it keeps some of each kind.
type doctor struct {
	limits
	containers map[string]bool // nil: not known
	repeats    bool            // look for findRepeat, too

	nodes   int
	found   map[string][]finding
	count   map[string]int
	open    map[string]*folder
	lines   []*folder
	denied  []string
	emptied map[string]int64 // directories that ran empty, and the zxid of that
	old     int64            // the newest zxid that is older than idle
	system  string           // a subtree that is the servers' own
	now     time.Time
}

// folder is a node with children, while those are looked at.
type folder struct {
	path       string
	stat       client.Stat
	left       int
	line       []spot
	strangers  []string // in a line, the first few of the children that are no contenders
	odd        int      // how many those are
	ephemerals int      // that are no contenders
	state      []string // the first few leaves with data that stay
	stays      int      // how many those are
	queued     int
	leaves     int // that hold data
	owner      sessionID
	owners     int // how many changes of owner there are from one ephemeral to the next
}

// spot is a place in a line, and whose it is.
type spot struct {
	place
	session sessionID
	weight  int
}

func newDoctor(lim limits, containers map[string]bool) *doctor {
	return &doctor{
		limits: lim.withDefaults(), containers: containers, found: make(map[string][]finding), count: make(map[string]int),
		open: make(map[string]*folder), emptied: make(map[string]int64), now: time.Now(),
	}
}

func (d *doctor) find(kind, path, format string, args ...any) {
	if d.count[kind]++; d.count[kind] <= d.each {
		d.found[kind] = append(d.found[kind], finding{kind, path, fmt.Sprintf(format, args...)})
	}
}

// report returns what was found, the worst first.
func (d *doctor) report() examination {
	r := examination{Nodes: d.nodes, Findings: []finding{}, More: make(map[string]int)}
	for _, kind := range findings() {
		list := d.found[kind]
		slices.SortFunc(list, func(a, b finding) int { return strings.Compare(a.Path, b.Path) })
		r.Findings = append(r.Findings, list...)
		if more := d.count[kind] - len(list); more > 0 {
			r.More[kind] = more
		}
	}
	return r
}

// examine looks at root and all below it.
func (d *doctor) examine(ctx context.Context, f forest, root string, p *progress) error {
	err := f.walk(ctx, root, func(path string, l client.Listing, err error) []string {
		d.nodes++
		p.add(1)
		return d.visit(path, l, err)
	})
	if err != nil {
		return err
	}
	if err := d.hidden(ctx, f); err != nil {
		return err
	}
	d.judgeEmptied()
	return d.cycles(ctx, f)
}

// visit looks at a node, and returns the names of its children.
func (d *doctor) visit(path string, l client.Listing, err error) []string {
	switch {
	case errors.Is(err, client.ErrNoAuth):
		d.denied = append(d.denied, path) // its Stat needs no permission
		return nil
	case err != nil:
		d.nodes-- // it has gone
		d.settle(path, client.Stat{}, false)
		return nil
	}
	names := l.Names
	if path == "/" && d.system != "" {
		names = slices.DeleteFunc(names, func(n string) bool { return n == d.system })
	}
	d.checkNode(path, l.Stat)
	if len(names) > 0 {
		d.open[path] = &folder{path: path, stat: l.Stat, left: len(names)}
		d.checkNames(path, names)
	}
	d.settle(path, l.Stat, true)
	return names
}

// hidden asks for what can be known of nodes that must not be read: some servers tell their Stat. An ephemeral has nothing
// below it, and a contender is one.
func (d *doctor) hidden(ctx context.Context, f forest) error {
	return inFlight(ctx, f, d.denied, (*client.Batch).Exists, func(path string, e client.Existence, err error) error {
		_, name := zpath.Split(path)
		_, contends := recognise(name)
		switch {
		case errors.Is(err, client.ErrNoAuth) && contends:
			e.Stat.EphemeralOwner = int64(hiddenSession)
		case errors.Is(err, client.ErrNoAuth):
			d.find(findUnreadable, path, "you may not read it, nor what is below it")
		case err == nil && e.OK:
			d.checkNode(path, e.Stat)
			if e.Stat.EphemeralOwner == 0 {
				d.find(findUnreadable, path, "you may not read it, nor what is below it: it has %d children", e.Stat.NumChildren)
			}
		}
		d.settle(path, e.Stat, e.OK || errors.Is(err, client.ErrNoAuth) && contends)
		return passOver(err)
	})
}

// hiddenSession is that of a contender that must not be read.
const hiddenSession sessionID = -1

// settle tells the folder of a node what the node is; there is false if it has gone.
func (d *doctor) settle(path string, st client.Stat, there bool) {
	dir, name := zpath.Split(path)
	fo := d.open[dir]
	if fo == nil || path == "/" {
		return
	}
	if there {
		fo.add(name, st)
	}
	if fo.left--; fo.left == 0 {
		delete(d.open, dir)
		d.close(fo)
	}
}

func (fo *folder) add(name string, st client.Stat) {
	const few = 3
	if p, ok := recognise(name); ok {
		fo.line = append(fo.line, spot{place: p, session: sessionID(st.EphemeralOwner), weight: 1})
		return
	}
	if fo.odd++; len(fo.strangers) < few {
		fo.strangers = append(fo.strangers, name)
	}
	if st.NumChildren == 0 && st.DataLength > 0 {
		fo.leaves++
	}
	switch {
	case st.EphemeralOwner != 0:
		fo.ephemerals++
		if owner := sessionID(st.EphemeralOwner); owner != fo.owner {
			fo.owner = owner
			fo.owners++
		}
	case queueName.MatchString(name):
		fo.queued++
	case st.NumChildren == 0 && st.DataLength > 32 && name != "ready": // counters, permits and addresses are shorter
		if fo.stays++; len(fo.state) < few {
			fo.state = append(fo.state, name)
		}
	}
}

// close looks at a folder of which all children are known.
func (d *doctor) close(fo *folder) {
	if len(fo.line) > 0 {
		slices.SortFunc(fo.line, func(a, b spot) int { return byPlace(a.place, b.place) })
		d.checkLine(fo)
		d.lines = append(d.lines, fo)
		fo.strangers, fo.state = nil, nil
		return
	}
	if fo.ephemerals > 0 && fo.stays > 0 {
		d.find(findShadow, fo.path, "%d nodes with data stay beside %d that go with their processes, such as %s: nobody removes them", fo.stays, fo.ephemerals, fo.state[0])
	}
	d.checkChurn(fo)
	if fo.queued > 0 {
		d.find(findShadow, fo.path, "%d entries of a queue: work to be done belongs into a database (docs/why-no-queue.md)", fo.queued)
	}
}

// judgeEmptied tells which directories ran empty so long ago that a container would be gone. A node's Stat has the zxid of
// that and not the time, but another node's later zxid may have a time that is long ago.
func (d *doctor) judgeEmptied() {
	for _, path := range slices.Sorted(maps.Keys(d.emptied)) {
		if d.emptied[path] <= d.old && !d.containers[path] {
			d.find(findParent, path, "ran empty more than %v ago and is still there: a container would have been removed", d.idle)
		}
	}
}
