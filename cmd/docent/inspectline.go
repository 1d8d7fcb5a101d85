package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// The kinds of recipes that are told apart.
const (
	kindLock       = "lock"
	kindRWLock     = "rwlock"
	kindSemaphore  = "semaphore"
	kindElection   = "election"
	kindBarrier    = "barrier"
	kindRendezvous = "rendezvous"
	kindService    = "service"
	kindGroup      = "group"
	kindCounter    = "counter"
	kindQueue      = "queue"
	kindValue      = "value"
	kindDirectory  = "directory"
	kindEmpty      = "empty"
)

// The endings of contenders' names ahead of their number: Curator's, which are docent's and go-zookeeper's too, and
// kazoo's. Kazoo's mutex and its write lock have the same.
const (
	endsLock      = "lock-"
	endsRead      = "__READ__"
	endsWrite     = "__WRIT__"
	endsLatch     = "latch-"
	endsLease     = "lease-"
	endsKazoo     = "__lock__"
	endsKazooRead = "__rlock__"
)

// place is a contender in a line, as the name of its node tells.
type place struct {
	name, ending string
	seq          int32
}

func (p place) shared() bool { return p.ending == endsRead || p.ending == endsKazooRead }
func (p place) kazoo() bool  { return p.ending == endsKazoo || p.ending == endsKazooRead }

// recognise tells whether a name is that of a contender of any library.
func recognise(name string) (place, bool) {
	for _, ending := range []string{endsKazooRead, endsKazoo, endsRead, endsWrite, endsLatch, endsLease, endsLock} {
		if seq, ok := zpath.Sequence(name, ending); ok {
			return place{name, ending, seq}, true
		}
	}
	return place{}, false
}

// lineUp returns the contenders among the names of a directory in their order, and the names of strangers.
func lineUp(names []string) (line []place, strangers []string) {
	for _, name := range names {
		if p, ok := recognise(name); ok {
			line = append(line, p)
		} else {
			strangers = append(strangers, name)
		}
	}
	slices.SortFunc(line, byPlace)
	slices.Sort(strangers)
	return line, strangers
}

// byPlace compares numbers as a distance, for they run over.
func byPlace(a, b place) int {
	if d := a.seq - b.seq; d != 0 {
		return int(d)
	}
	return strings.Compare(a.name, b.name)
}

// lineKind tells which recipe a line is of, as far as names can tell: a LeaderSelector's is a lock's.
func lineKind(line []place) string {
	has := func(endings ...string) bool {
		return slices.ContainsFunc(line, func(p place) bool { return slices.Contains(endings, p.ending) })
	}
	switch {
	case has(endsRead, endsWrite, endsKazooRead):
		return kindRWLock
	case has(endsLatch):
		return kindElection
	case has(endsLease):
		return kindSemaphore
	}
	return kindLock
}

// lineHolders returns how many at the head of a line hold: the first, or all readers ahead of any writer.
func lineHolders[P interface{ shared() bool }](line []P) int {
	for i, p := range line {
		if !p.shared() {
			return max(i, 1)
		}
	}
	return len(line)
}

// sessionID is the number of a session as everybody writes it: 0x1000a2b3c4d0001. Zero is none.
type sessionID int64

// String returns "" for none.
func (id sessionID) String() string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("0x%x", uint64(id))
}

// MarshalText writes it into JSON as text: its numbers are too large for many readers of JSON.
func (id sessionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *sessionID) UnmarshalText(text []byte) error {
	if *id = 0; len(text) == 0 {
		return nil
	}
	n, ok := parseSession(numeral(text))
	if !ok {
		return fmt.Errorf("%q is no session", text)
	}
	*id = n
	return nil
}

// contender is one who holds something or waits for it, or who is there.
type contender struct {
	Path    string    `json:"path"`
	ID      string    `json:"id"` // what it says of itself: the batch job, or host:pid
	Note    string    `json:"note,omitempty"`
	Token   uint64    `json:"token"`
	Since   time.Time `json:"since,omitzero"` // when it came, by the servers' clock
	Session sessionID `json:"session"`        // "" if its node belongs to none, and so stays, or must not be read
	Shared  bool      `json:"shared,omitempty"`
	Slots   []int     `json:"slots,omitempty"`   // of a semaphore, those it holds
	Weight  int       `json:"weight,omitempty"`  // of a semaphore, how many those are
	Addr    string    `json:"address,omitempty"` // of a leader or an instance
	Acked   *bool     `json:"acked,omitempty"`   // of a leader: it has begun to act as one
	Details string    `json:"details,omitempty"` // of an instance: flavor, version, status, load

	Contact *contact `json:"contact,omitempty"` // of its session, where servers tell
}

func (c contender) shared() bool { return c.Shared }

// said is what docent's recipes put into their nodes, all in one.
type said struct {
	ID     string    `json:"id"`
	Note   string    `json:"note"`
	Weight int       `json:"weight"`
	Slots  []int     `json:"slots"`
	Addr   string    `json:"addr"`
	Acked  *bool     `json:"acked"`
	Since  time.Time `json:"since"`
}

// nodeTime is the time that a Stat tells, zero if it is no time of the years that JSON can say: servers' clocks may be anywhere.
func nodeTime(ms int64) time.Time {
	t := time.UnixMilli(ms)
	if y := t.UTC().Year(); y < 1 || y > 9998 {
		return time.Time{}
	}
	return t
}

// contenderOf makes sense of a contender's node. Other libraries put plain text into it: a name, or a host's address.
func contenderOf(n client.Node, p place) contender {
	c := contender{Path: n.Path, Token: uint64(n.Stat.Czxid), Since: nodeTime(n.Stat.Ctime), Session: sessionID(n.Stat.EphemeralOwner), Shared: p.shared()}
	if n.Stat.Czxid == 0 {
		c.Since = time.Time{} // nothing is known but the name
	}
	var s said
	if json.Unmarshal(n.Data, &s) != nil {
		s = said{ID: clip(string(n.Data))}
	}
	c.ID, c.Note, c.Addr, c.Acked = s.ID, s.Note, s.Addr, s.Acked
	if s.Acked != nil && *s.Acked && !s.Since.IsZero() {
		c.Since = s.Since
	}
	if p.ending == endsLease {
		c.Weight = 1
		if s.Weight > 0 && s.Weight == len(s.Slots) {
			c.Weight, c.Slots = s.Weight, s.Slots
		}
	}
	return c
}

// clip shortens what somebody put into a node where an identity is expected.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// nextNumber returns the number that the next sequential child of a node gets: cversion is twice the children ever created,
// less those that are there, modulo 2^32.
func nextNumber(st client.Stat) int32 {
	return int32((uint32(st.Cversion) + uint32(st.NumChildren)) / 2)
}
