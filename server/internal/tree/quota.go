package tree

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/internal/zpath"
)

// A quota on /a/b is two nodes that clients create (§8 of the protocol reference): …/zookeeper_limits with the limits,
// whose being there is the quota, and …/zookeeper_stats, whose data the tree keeps at the totals of /a/b and all below
// it. A change counts for the nearest node above it that has a quota, as in ZooKeeper.
const (
	quotaRoot   = "/zookeeper/quota"
	quotaLimits = "/zookeeper_limits"
	quotaStats  = "/zookeeper_stats"
)

// quotaTarget returns the path whose quota the node at path is a part of; suffix says which part. There is none on /.
func quotaTarget(path, suffix string) (string, bool) {
	target, ok := strings.CutPrefix(path, quotaRoot)
	if !ok {
		return "", false
	}
	target, ok = strings.CutSuffix(target, suffix)
	return target, ok && target != ""
}

// quotaOf returns the nearest path at or above path that has a quota, "" if there is none.
func (t *Tree) quotaOf(path string) string {
	if len(t.quotas) == 0 {
		return ""
	}
	for p := path; p != "/"; p, _ = zpath.Split(p) {
		if _, ok := t.quotas[p]; ok {
			return p
		}
	}
	return ""
}

// amounts are what a quota counts or limits; -1 is no limit.
type amounts struct{ nodes, bytes int64 }

func (a amounts) plus(b amounts) amounts { return amounts{a.nodes + b.nodes, a.bytes + b.bytes} }

// forbids tells whether a change by the given amounts that ends with sum is above a limit. As in ZooKeeper, one that
// makes things smaller is forbidden, too, unless it makes them small enough.
func (limit amounts) forbids(sum, by amounts) bool {
	return by.nodes != 0 && limit.nodes >= 0 && sum.nodes > limit.nodes ||
		by.bytes != 0 && limit.bytes >= 0 && sum.bytes > limit.bytes
}

// parseQuota reads "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4", the form of ZooKeeper, its odd "=;" included.
// What is missing or no number is no limit.
func parseQuota(data []byte) (soft, hard amounts) {
	soft, hard = amounts{-1, -1}, amounts{-1, -1}
	for _, entry := range strings.FieldsFunc(string(data), func(r rune) bool { return r == ',' || r == ';' }) {
		key, text, _ := strings.Cut(strings.TrimRight(entry, "="), "=")
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "count":
			soft.nodes = v
		case "bytes":
			soft.bytes = v
		case "countHardLimit":
			hard.nodes = v
		case "byteHardLimit":
			hard.bytes = v
		}
	}
	return soft, hard
}

// parseStats reads totals; a client may have put anything there.
func parseStats(data []byte) amounts {
	a, _ := parseQuota(data)
	return amounts{max(a.nodes, 0), max(a.bytes, 0)}
}

func (a amounts) encode() []byte { return fmt.Appendf(nil, "count=%d,bytes=%d", a.nodes, a.bytes) }

// mayGrow checks a change by the given amounts at path against the hard limits. A soft limit that the change is the
// first to pass is noted in the result.
func (a *application) mayGrow(path string, by amounts) wire.Code {
	quota := a.t.quotaOf(path)
	if quota == "" {
		return wire.OK
	}
	limits, stats := a.t.Node(quotaRoot+quota+quotaLimits), a.t.Node(quotaRoot+quota+quotaStats)
	if stats == nil {
		return wire.OK
	}
	soft, hard := parseQuota(limits.data)
	have := parseStats(stats.data)
	sum := have.plus(by)
	if a.x.Features&FeatureQuota != 0 && hard.forbids(sum, by) {
		return wire.ErrQuotaExceeded
	}
	if soft.forbids(sum, by) && !soft.forbids(have, by) {
		a.overQuota = quota
	}
	return wire.OK
}

// count adds a change at path to the totals of its quota. No watch fires and no version changes.
func (t *Tree) count(path string, by amounts) {
	quota := t.quotaOf(path)
	if quota == "" || by == (amounts{}) {
		return
	}
	number, ok := t.index[quotaRoot+quota+quotaStats]
	if !ok {
		return
	}
	have := parseStats(t.nodes[number].data)
	t.setStats(number, have.plus(by))
}

// beginStats gives the node at path, if it holds the totals of a quota, their present values.
func (t *Tree) beginStats(path string) {
	if target, ok := quotaTarget(path, quotaStats); ok {
		t.setStats(t.index[path], t.totals(target))
	}
}

func (t *Tree) setStats(number uint32, a amounts) {
	n := t.own(number)
	old := len(n.data)
	n.setData(a.encode())
	t.changed(n)
	t.counts.DataSize += int64(len(n.data) - old)
}

// totals counts the node at path and all below it.
func (t *Tree) totals(path string) (sum amounts) {
	number, ok := t.index[path]
	if !ok {
		return sum
	}
	for todo := []uint32{number}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		sum.nodes++
		sum.bytes += int64(len(t.nodes[i].data))
		for c := t.links[i].first; c != 0; c = t.links[c].next {
			todo = append(todo, c)
		}
	}
	return sum
}
