package barrier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// Status is a barrier at one moment, as anybody may see it.
type Status struct {
	Generation int      // the present one
	N          int      // how many start together
	Running    bool     // it has started; otherwise it waits for N
	Here       []string // who waits, or has started and not left yet, in the order of their coming
	GaveUp     []string // who came lately and went again before it started, as far as that is known
	// Last is about the present generation if it is running, otherwise about the one before. Its Generation is 0 if there
	// was none.
	Last Report
}

// Look reads how the barrier at path is. Whoever looks is no member. It fails with an error that matches client.ErrNoNode
// if nobody has ever entered.
func Look(ctx context.Context, c *client.Client, path string) (Status, error) {
	path = zpath.Join("/", path)
	st, err := look(ctx, c, path)
	if err != nil {
		return st, fmt.Errorf("look at barrier %s: %w", path, err)
	}
	return st, nil
}

func look(ctx context.Context, c *client.Client, path string) (Status, error) {
	s, err := c.Session(ctx)
	if err != nil {
		return Status{}, err
	}
	for fresh := []client.ReadOption{client.Fresh()}; ; fresh = nil {
		node, err := s.Get(ctx, path, fresh...)
		if err != nil {
			return Status{}, err
		}
		d := &Double{c: c, path: path}
		if err := json.Unmarshal(node.Data, &struct{ N *int }{&d.n}); err != nil {
			return Status{}, fmt.Errorf("this node is no barrier: %w", err)
		}
		st, err := d.decode(node)
		if err != nil {
			return Status{}, err
		}
		status, err := d.status(ctx, s, st)
		if !errors.Is(err, errMoved) {
			return status, err
		}
	}
}

// errMoved: while a generation was looked at, it has begun, or the next one has.
var errMoved = errors.New("the barrier has moved on")

func (d *Double) status(ctx context.Context, s *client.Session, st state) (Status, error) {
	status := Status{Generation: st.Gen, N: st.N, Running: st.State == stateRunning}
	past := st.Gen
	if !status.Running {
		past--
	}
	batch := s.Batch()
	here, late, gen := batch.Children(d.members(st.Gen)), batch.Get(d.late(st.Gen)), batch.Exists(d.path)
	ready := batch.Get(d.ready(past))
	if err := batch.Do(ctx); err != nil {
		return status, err
	}
	names, err := here.Get()
	if err = ignore(err, client.ErrNoNode); err != nil {
		return status, err
	}
	if now, err := gen.Get(); err != nil || now.Stat.Version != st.version {
		return status, errors.Join(err, errMoved)
	}
	present := parsePlaces(names.Names)
	if r, err := late.Get(); err == nil {
		status.GaveUp = without(decodePlaces(r.Node.Data), present)
	}
	if r, err := ready.Get(); err == nil {
		m := &Member{d: d, s: s, frozen: decodePlaces(r.Node.Data), st: state{Gen: past}}
		if status.Last, err = m.report(); err != nil && !errors.Is(err, ErrReportGone) {
			return status, err
		}
		if status.Running {
			present = among(m.frozen, names.Names)
		}
	}
	status.Here = identities(present)
	return status, nil
}

// late is where those are written down who gave up before the generation started.
func (d *Double) late(gen int) string { return d.generation(gen) + "/late" }

// note writes down who is here before we leave without having started: of a barrier that never fires, that is all that
// is left for those who ask why. The first who gives up writes it for everybody; who finds itself there already has
// nothing to do. It is no part of the agreement, so errors do not matter.
func (e *entry) note(ctx context.Context) {
	_, own := zpath.Split(e.path)
	for range 5 { // others may be writing, too
		old, err := e.s.Get(ctx, e.d.late(e.st.Gen))
		there := err == nil
		if ignore(err, client.ErrNoNode) != nil || contains(decodePlaces(old.Data), own) {
			return
		}
		names, _, err := e.s.Children(ctx, e.d.members(e.st.Gen))
		if err != nil {
			return
		}
		data := encodePlaces(e.d.lately(decodePlaces(old.Data), parsePlaces(names)))
		if there {
			_, err = e.s.Set(ctx, e.d.late(e.st.Gen), data, old.Stat.Version)
		} else {
			_, err = e.s.Create(ctx, e.d.late(e.st.Gen), data)
		}
		if !errors.Is(err, client.ErrBadVersion) && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrNoNode) {
			return
		}
	}
}

// lately joins who was written down with who is here: each once, and not more than n, of whom the latest count.
func (d *Double) lately(old, here []place) []place {
	came := make(map[string]bool, len(here))
	for _, p := range here {
		came[p.who] = true
	}
	var all []place
	for _, p := range old {
		if !came[p.who] {
			all = append(all, p)
		}
	}
	all = append(all, here...)
	return all[max(0, len(all)-d.n):]
}

// without returns those of places who are not among the others.
func without(places, others []place) (who []string) {
	for _, p := range places {
		if !contains(others, p.name) {
			who = append(who, p.who)
		}
	}
	return who
}

func identities(places []place) (who []string) {
	for _, p := range places {
		who = append(who, p.who)
	}
	return who
}
