package main

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

var (
	// jobState are names under which the progress of work is kept.
	jobState = regexp.MustCompile(`(?i)^(state|status|phase|progress|results?|output|logs?|history|heartbeat)$`)
	// ofJobs are directories of work.
	ofJobs = regexp.MustCompile(`(?i)/(jobs?|tasks?|runs?|experiments?|work)(/.+)?/[^/]+$`)
)

// checkNode looks at what a node's Stat tells.
func (d *doctor) checkNode(path string, st client.Stat) {
	if st.DataLength > d.value {
		d.find(findOversize, path, "%s bytes of data: every server keeps them in memory, and every reader fetches them", thousands(int64(st.DataLength)))
	}
	if n := nextNumber(st); n >= d.number {
		d.find(findCounter, path, "the next sequential child gets the number %s, and after 2,147,483,647 there is none: make a new directory", thousands(int64(n)))
	}
	if v := st.Version; v > math.MaxInt32-1<<27 || v < 0 && v > -1<<27 {
		d.find(findCounter, path, "the version of its data is %s and runs over: at -1, which means any version, a conditional write no longer is one", thousands(int64(v)))
	}
	_, name := zpath.Split(path)
	if st.EphemeralOwner == 0 && st.DataLength > 0 && jobState.MatchString(name) && ofJobs.MatchString(path) {
		d.find(findShadow, path, "looks like the state of a job: it belongs into the database of jobs")
	}
	d.remember(path, st)
}

// remember keeps what tells later which directories ran empty long ago.
func (d *doctor) remember(path string, st client.Stat) {
	long := d.now.Add(-d.idle)
	for _, change := range []struct{ zxid, at int64 }{{st.Czxid, st.Ctime}, {st.Mzxid, st.Mtime}} {
		if change.zxid > d.old && time.UnixMilli(change.at).Before(long) {
			d.old = change.zxid
		}
	}
	emptied := st.NumChildren == 0 && st.DataLength == 0 && st.EphemeralOwner == 0 && nextNumber(st) > 0
	if emptied && path != "/" && !ofBarrier(path) && len(d.emptied) < 10_000 {
		d.emptied[path] = st.Pzxid
	}
}

// ofBarrier tells whether a path is a directory within a generation of docent's barrier, which clears them away itself.
func ofBarrier(path string) bool {
	dir, name := zpath.Split(path)
	_, gen := zpath.Split(dir)
	return (name == "m" || name == "done") && generationName.MatchString(gen)
}

// checkNames looks at a list of children.
func (d *doctor) checkNames(path string, names []string) {
	const perName = 4 // bytes ahead of each in an answer
	size := 0
	for _, n := range names {
		size += len(n) + perName
	}
	if size > d.children {
		d.find(findCrowd, path, "the list of its %s children takes %s bytes: many clients take no answer of more than 1 MiB", thousands(int64(len(names))), thousands(int64(size)))
	}
}

// checkChurn looks for nodes that carry work: many were created and deleted, and few are there. Locks do so by their nature,
// and what has nodes below it may hold locks; so only leaves with data count. Which session it was is known of ephemerals.
func (d *doctor) checkChurn(fo *folder) {
	gone := int64(nextNumber(fo.stat)) - int64(fo.stat.NumChildren)
	minutes := max(d.now.Sub(time.UnixMilli(fo.stat.Ctime)).Minutes(), 1)
	if fo.leaves == 0 || gone < d.churn || gone < 100*int64(fo.stat.NumChildren) || float64(gone) < minutes {
		return
	}
	by := ""
	if fo.owners == 1 {
		by = fmt.Sprintf(", of session %v alone", fo.owner)
	}
	d.find(findChurn, fo.path, "%s nodes were created and deleted in it, %s a minute, and %d are there%s: what passes through belongs into a database",
		thousands(gone), thousands(int64(float64(gone)/minutes)), fo.stat.NumChildren, by)
}

// checkLine looks at the contenders of a line, which are in order.
func (d *doctor) checkLine(fo *folder) {
	line := make([]place, len(fo.line))
	guids, sessions := make(map[string]string), make(map[sessionID]int)
	for i, s := range fo.line {
		line[i] = s.place
		path := below(fo.path, s.name)
		guid := guidOf(s.name)
		switch first, twice := guids[guid]; {
		case s.session == 0:
			d.find(findOrphan, path, "belongs to no session, so nothing removes it, and whoever is behind it waits for ever: docent delete")
		case twice && guid != "":
			d.find(findOrphan, path, "is the same create as %s once more, after a lost reply: it stays as long as session %v", first, s.session)
		}
		guids[guid] = s.name
		if s.session != hiddenSession {
			sessions[s.session]++
		}
		if i > 0 && s.seq == fo.line[i-1].seq {
			d.find(findTie, path, "has the same number as %s: libraries disagree on who is first, and two may hold", fo.line[i-1].name)
		}
		if s.seq >= d.number || s.seq < 0 {
			d.find(findCounter, path, "its number is near the end of what there is: many libraries order it wrongly behind 2,147,483,647")
		}
	}
	if mixed(line) {
		d.find(findMixed, fo.path, "kazoo's names and others' stand in one line: Curator does not see kazoo's, nor kazoo the others' without extra_lock_patterns, so two may hold")
	}
	if fo.odd > 0 {
		d.find(findStranger, fo.path, "%d children are no contenders, such as %s: go-zookeeper's locks fail on them, and Curator's sort them in", fo.odd, fo.strangers[0])
	}
	if d.containers != nil && !d.containers[fo.path] {
		d.find(findParent, fo.path, "is no container: it stays when its last contender has gone")
	}
	if lease := slices.ContainsFunc(line, func(p place) bool { return p.ending == endsLease }); d.repeats && !lease {
		d.checkRepeats(fo, sessions)
	}
}

// checkRepeats names the later places of sessions that have several in one line.
func (d *doctor) checkRepeats(fo *folder, sessions map[sessionID]int) {
	seen := make(map[sessionID]bool)
	for _, s := range fo.line {
		if s.session != 0 && sessions[s.session] > 1 && seen[s.session] {
			d.find(findRepeat, below(fo.path, s.name), "session %v has %d places in this line: goroutines of one process, or an acquire that was given up and left its node", s.session, sessions[s.session])
		}
		seen[s.session] = true
	}
}

// guidOf returns the random part of a contender's name: _c_<guid>-lock-0000000001, or kazoo's <guid>__lock__0000000001.
func guidOf(name string) string {
	if rest, ok := strings.CutPrefix(name, "_c_"); ok {
		rest, _, _ = strings.Cut(rest, "__")
		for _, n := range []int{36, 32} {
			if len(rest) > n && rest[n] == '-' {
				return rest[:n]
			}
		}
		return ""
	}
	if len(name) > 32 && kazooName.MatchString(name[:32]) {
		return name[:32]
	}
	return ""
}
