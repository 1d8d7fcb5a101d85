package barrier

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/docent-io/docent/internal/zpath"
)

// The name of a member's node is <guid>-<who>-<sequence>. The guid finds it again after a lost reply, the sequence is
// its place, and who it is must be in the name, so that the member that starts the barrier can write down everybody
// without reading every node.
const (
	guidLen = 2 * len(uuid.UUID{})
	maxWho  = 64 // bytes of the identity that are kept
	maxName = guidLen + 1 + maxWho + 1 + 10
)

// place is a member's node as its name tells.
type place struct {
	name string
	who  string // the identity of its client, perhaps cut short
	seq  int32
}

func newName(identity string) (guid, name string) {
	u := uuid.New()
	guid = hex.EncodeToString(u[:])
	who := url.PathEscape(identity)
	if len(who) > maxWho {
		who = who[:maxWho]
		if i := strings.LastIndexByte(who, '%'); i > maxWho-3 {
			who = who[:i] // not through the middle of an escape
		}
	}
	return guid, guid + "-" + who + "-"
}

// parsePlace recognises the name of a member. Strangers' nodes are no members (Netflix #99, CURATOR-43).
func parsePlace(name string) (place, bool) {
	seq, ok := zpath.Sequence(name, "-")
	if !ok || len(name) < guidLen+len("--0000000000") || name[guidLen] != '-' {
		return place{}, false
	}
	if _, err := hex.DecodeString(name[:guidLen]); err != nil {
		return place{}, false
	}
	who, err := url.PathUnescape(name[guidLen+1 : strings.LastIndexByte(name, '-')])
	return place{name: name, who: who, seq: seq}, err == nil
}

// parsePlaces keeps the members among names, in the order of their coming. A generation has its own directory, so the
// sequence starts at 0 and cannot run over.
func parsePlaces(names []string) []place {
	places := make([]place, 0, len(names))
	for _, name := range names {
		if p, ok := parsePlace(name); ok {
			places = append(places, p)
		}
	}
	slices.SortFunc(places, func(a, b place) int { return int(a.seq) - int(b.seq) })
	return places
}

// encodePlaces and decodePlaces are the data of ready: one name a line.
func encodePlaces(places []place) []byte {
	var b strings.Builder
	for _, p := range places {
		b.WriteString(p.name)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func decodePlaces(data []byte) []place { return parsePlaces(strings.Split(string(data), "\n")) }

// among returns those of places whose names are in names.
func among(places []place, names []string) []place {
	here := set(names)
	var found []place
	for _, p := range places {
		if here[p.name] {
			found = append(found, p)
		}
	}
	return found
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

func contains(places []place, name string) bool {
	return slices.ContainsFunc(places, func(p place) bool { return p.name == name })
}

func (p place) doneName() string { return fmt.Sprintf("%010d", p.seq) }
