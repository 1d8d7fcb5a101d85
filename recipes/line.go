package recipes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// Line is a queue of contenders in a directory: each is an ephemeral sequential node, and its number is its place. A
// Line is a description; it holds nothing and may be copied and used by several goroutines at once.
type Line struct {
	Dir  string   // directory of the line; made as a container when it is missing, and never deleted by us
	Kind string   // what the names of our places end in, ahead of the number: "lock-"
	Also []string // further kinds that count as contenders: those of other libraries
	Rule Rule     // whom a place waits for; nil means Predecessor

	// Bars tells names that must not be there: the directory is another recipe's then, and nobody gets a turn
	// (ErrWrongKind). It is a pure function; nil bars nobody.
	Bars func(name string) bool

	// Orderly tells that places are only ever taken behind all others, by sequential creates, and that the rule is that of
	// strict turns. Then the second in line is first when the first has gone, and need not look again.
	Orderly bool

	// Strict ends a hold as soon as the connection is lost, and not only when the session can no longer be relied on.
	Strict bool
	// Alive, if it is set, is asked at once and then every third of the session's timeout, while a place is held, whether
	// the program still does what it holds for. When it returns an error, or has not returned by the time of the next
	// question, which is when its context ends, the hold is lost (ErrNotAlive). It runs on a goroutine of its own, one
	// call at a time for a hold; nobody waits for a call that is late.
	Alive func(ctx context.Context) error
	// Notice is told the data of a held place when somebody has changed it. It runs on the goroutine that keeps the
	// hold, so it must not block, and it is not called after Release has returned.
	Notice func(data []byte)
}

// Place is one contender of a line, as its node's name tells.
type Place struct {
	Name string // of the node, in the line's directory
	Kind string // which of the line's kinds the name shows
	Seq  int32  // the sequence number at the end of the name
}

// Rule says whom the contender at own has to wait for: it returns the index of another place of the line, or −1 when
// it is that contender's turn. The line is in order, and own is an index of it. A rule is a pure function: it is asked
// again after every wake-up, and must return −1 for the first of a line.
type Rule func(line []Place, own int) (blocker int)

// Predecessor is the rule of strict turns: wait for whoever is right ahead, whatever its kind.
func Predecessor(_ []Place, own int) int { return own - 1 }

// List reads who stands in line, in order. A directory that does not exist is an empty line.
func (l Line) List(ctx context.Context, ops client.Ops, o ...client.ReadOption) ([]Place, error) {
	children, _, err := ops.Children(ctx, l.Dir, o...)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, fmt.Errorf("list line: %w", err)
	}
	return l.order(children), nil
}

// Path returns the path of a place's node.
func (l Line) Path(p Place) string { return zpath.Join(l.Dir, p.Name) }

// order keeps of the children of a line's directory those that are recognised as contenders, in their order.
//
// The numbers are compared as a distance, not by size, because a counter that runs over goes on at −2³¹
// (ZOOKEEPER-4372); and nothing but the number counts, because whatever else stands in the name says nothing about who
// came first (ZOOKEEPER-2931). A child that matches no kind is a stranger and none of our business (CURATOR-43).
func (l Line) order(children []string) []Place {
	line := make([]Place, 0, len(children))
	for _, name := range children {
		if p, ok := l.recognise(name); ok {
			line = append(line, p)
		}
	}
	slices.SortFunc(line, func(a, b Place) int {
		switch d := a.Seq - b.Seq; {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
	return line
}

func (l Line) recognise(name string) (Place, bool) {
	if seq, ok := zpath.Sequence(name, l.Kind); ok {
		return Place{Name: name, Kind: l.Kind, Seq: seq}, true
	}
	for _, kind := range l.Also {
		if seq, ok := zpath.Sequence(name, kind); ok {
			return Place{Name: name, Kind: kind, Seq: seq}, true
		}
	}
	return Place{}, false
}

// check refuses a directory in which another recipe is at work.
func (l Line) check(children []string) error {
	if l.Bars == nil {
		return nil
	}
	if i := slices.IndexFunc(children, l.Bars); i >= 0 {
		return fmt.Errorf("%w: %s has %s", ErrWrongKind, l.Dir, children[i])
	}
	return nil
}

// blocker asks the rule whom the place called name waits for; nil means that it is its turn. This is the one exit by
// which a turn is granted, and it needs to see our own node to do so: a list without us must never read as "nobody
// ahead of us" (CURATOR-211, go-zookeeper's lock.go).
func (l Line) blocker(line []Place, name string) (*Place, error) {
	own := slices.IndexFunc(line, func(p Place) bool { return p.Name == name })
	if own < 0 {
		return nil, ErrGone
	}
	for i, p := range line {
		if i != own && p.Seq == line[own].Seq {
			return nil, ErrSequenceExhausted // Apache's counter sticks at 2³¹−1: then nobody is first
		}
	}
	rule := l.Rule
	if rule == nil {
		rule = Predecessor
	}
	if b := rule(line, own); b >= 0 {
		return &line[b], nil
	}
	return nil, nil
}

// Draw takes a place at the end of the line, with data in its node, and returns a ticket for it. The place belongs to
// the session and ends with it. A lost reply does not lead to a second place; and when ctx ends before the reply came,
// a place that was taken all the same is found and given up in the background (CURATOR-45, -79, -264). The line is listed
// in the same flight, so that who comes first need not ask whose turn it is. It fails with
// ErrSequenceExhausted when the directory has no numbers left, and with the session's error when that has ended.
func (l Line) Draw(ctx context.Context, s *client.Session, data []byte) (*Ticket, error) {
	t := &Ticket{line: l, s: s}
	t.note()
	node, err := s.Create(ctx, zpath.Join(l.Dir, l.Kind), data,
		client.Protected(), client.Ephemeral(), client.Sequential(), client.Parents(), client.WithSiblings(&t.first))
	if errors.Is(err, client.ErrNodeExists) {
		// A sequential name with a fresh GUID cannot be taken: the server refuses because its counter is used up.
		err = errors.Join(ErrSequenceExhausted, err)
	}
	if err == nil {
		err = t.take(node)
	}
	if err != nil {
		return nil, fmt.Errorf("draw in line %s: %w", l.Dir, err)
	}
	return t, nil
}

// Redraw is Release of a hold and then Draw, on the same session, but in one flight: the servers store both at once, and
// whoever waits moves up ahead of our new place. The hold's context ends before anything is sent. What goes wrong in that
// flight is done again in two; an error of the release means that there is no new place either.
func (l Line) Redraw(ctx context.Context, h *Hold, data []byte) (*Ticket, error) {
	h.Retire()
	t := &Ticket{line: l, s: h.s}
	t.note()
	prefix := "_c_" + uuid.NewString() + "-"
	b := h.s.Batch()
	left := b.Delete(h.path, -1)
	made := b.Create(zpath.Join(l.Dir, prefix+l.Kind), data, client.Ephemeral(), client.Sequential())
	list := b.Children(l.Dir)
	_ = b.Do(ctx) // each tells its own
	node, err := made.Get()
	if errors.Is(err, client.ErrMaybeApplied) {
		h.s.DeleteGuarded(l.Dir, prefix)
	}
	if err == nil {
		listing, _ := list.Get()
		t.first, err = listing.Names, t.take(node)
	}
	if _, leftErr := left.Get(); leftErr != nil {
		if leftErr = h.Release(ctx); leftErr != nil {
			if err == nil {
				leftErr = t.GiveUp(ctx, leftErr)
			}
			return nil, leftErr
		}
	}
	if err != nil {
		return l.Draw(ctx, h.s, data)
	}
	return t, nil
}

// take makes the ticket that of a node just created.
func (t *Ticket) take(node client.Node) error {
	if node.Stat.EphemeralOwner != t.s.ID() {
		return fmt.Errorf("%w: %s is owned by session %#x", ErrGone, node.Path, uint64(node.Stat.EphemeralOwner)) // CURATOR-604
	}
	t.path, t.token = node.Path, uint64(node.Stat.Czxid)
	return nil
}

// TicketFor makes a ticket of a place that the session has taken otherwise than by Draw: by a transaction of the
// caller's. The token is the caller's too; 0 means that of the node.
func (l Line) TicketFor(s *client.Session, path string, token uint64) *Ticket {
	return &Ticket{line: l, s: s, path: path, token: token}
}
