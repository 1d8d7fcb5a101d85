package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// applicant is one Acquire of a semaphore: it queues, and as the first in the queue it turns its place into a lease.
type applicant struct {
	sem    *Semaphore
	s      *client.Session
	ticket *recipes.Ticket
	weight int
	wait   bool
	leases map[string]lease // by name; what a lease says never changes, so each is read once
}

// serve is an application from beginning to end.
func (s *Semaphore) serve(ctx context.Context, weight int, wait bool) (*Permit, error) {
	session, err := s.c.Session(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, session); err != nil {
		return nil, err
	}
	data, err := s.tag()
	if err != nil {
		return nil, err
	}
	ticket, err := s.queueLine().Draw(ctx, session, data)
	if err != nil {
		return nil, err
	}
	a := &applicant{sem: s, s: session, ticket: ticket, weight: weight, wait: wait, leases: make(map[string]lease)}
	return a.apply(ctx)
}

// prepare sees to it that the semaphore's node is there, and that it means what the caller believes. The node is not a
// container: it would forget the number of permits when it runs empty.
func (s *Semaphore) prepare(ctx context.Context, session *client.Session) error {
	for {
		node, err := session.Get(ctx, s.path)
		mine := s.permits.Load()
		if err == nil && len(node.Data) == 0 && mine > 0 {
			if err := s.adopt(ctx, session, node, mine); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			n, err := parsePermits(node)
			if err == nil && mine != 0 && int(mine) != n {
				err = fmt.Errorf("%w: it has %d, not %d", ErrPermits, n, mine)
			}
			return err
		}
		if !errors.Is(err, client.ErrNoNode) || mine == 0 {
			return err
		}
		if mine < 0 {
			return fmt.Errorf("%w: %d", ErrPermits, mine)
		}
		_, err = session.Create(ctx, s.path, strconv.AppendInt(nil, mine, 10), client.Parents())
		if err != nil && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrMaybeApplied) {
			return err
		}
	}
}

// adopt writes the number into a directory of Curator's, which says it nowhere; one of another recipe has other children.
// Whatever came in between is seen when the node is read again.
func (s *Semaphore) adopt(ctx context.Context, session *client.Session, node client.Node, permits int64) error {
	names, _, err := session.Children(ctx, s.path)
	for _, name := range names {
		if name != semaphoreQueue && name != semaphoreLeases {
			_, err := parsePermits(node)
			return err
		}
	}
	if err == nil {
		_, err = session.Set(ctx, s.path, strconv.AppendInt(nil, permits, 10), node.Stat.Version)
	}
	if errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrMaybeApplied) {
		return nil
	}
	return err
}

// apply waits for the head of the queue, and there for room.
func (a *applicant) apply(ctx context.Context) (*Permit, error) {
	for watched := false; ; {
		if err := a.turn(ctx); err != nil {
			return nil, err
		}
		p, again, err := a.tryHead(ctx, watched)
		switch {
		case err != nil:
			return nil, a.ticket.GiveUp(ctx, err)
		case !again:
			return p, nil
		}
		watched = true // from now on so as to hear of what happens
	}
}

// tryHead looks for room, and takes it or waits for a change.
func (a *applicant) tryHead(ctx context.Context, watched bool) (p *Permit, again bool, err error) {
	sight, err := a.look(ctx, watched)
	if err != nil {
		return nil, false, err
	}
	defer sight.close()
	switch {
	case a.weight > sight.permits:
		return nil, false, fmt.Errorf("%w: %d are wanted of %d", ErrPermits, a.weight, sight.permits)
	case sight.room:
		p, err = a.exchange(ctx, sight)
		return p, p == nil, err
	case !a.wait:
		return nil, false, ErrLocked
	case !watched:
		return nil, true, nil
	}
	return nil, true, a.sleep(ctx, sight)
}

// turn waits for the head of the queue, or finds out that we are still there.
func (a *applicant) turn(ctx context.Context) error {
	if a.wait {
		return a.ticket.Turn(ctx)
	}
	return a.ticket.TurnNow(ctx)
}

// sight is what the first in the queue sees.
type sight struct {
	permits int
	version int32
	room    bool
	slots   []int // for us, if there is room
	watches []*client.Watch
}

func (l *sight) close() {
	for _, w := range l.watches {
		w.Close()
	}
}

// look reads the number of permits and the leases, with a watch on both if it is to be followed by sleep. It is the one
// place in the system with a watch on a directory.
func (a *applicant) look(ctx context.Context, watched bool) (*sight, error) {
	dir := zpath.Join(a.sem.path, semaphoreLeases)
	b := a.s.Batch()
	var number *client.Future[client.Reading]
	var list *client.Future[client.Listing]
	if watched {
		number, list = b.GetW(a.sem.path), b.ChildrenW(dir)
	} else {
		number, list = b.Get(a.sem.path), b.Children(dir)
	}
	err := b.Do(ctx)
	reading, numberErr := number.Get()
	listing, listErr := list.Get()
	l := new(sight)
	for _, w := range []*client.Watch{reading.Watch, listing.Watch} {
		if w != nil {
			l.watches = append(l.watches, w)
		}
	}
	switch {
	case err != nil || numberErr != nil:
		err = errors.Join(err, numberErr)
	case errors.Is(listErr, client.ErrNoNode):
		l.close()
		if err := a.makeLeases(ctx, dir); err != nil {
			return nil, err
		}
		return a.look(ctx, watched)
	case listErr != nil:
		err = listErr
	default:
		err = a.know(ctx, dir, listing.Names)
	}
	if err == nil {
		l.version = reading.Node.Stat.Version
		l.permits, err = parsePermits(reading.Node)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	l.slots, l.room = room(a.leases, l.permits, a.weight)
	return l, nil
}

// makeLeases makes the directory of leases, which the servers take away when it has been empty for long.
func (a *applicant) makeLeases(ctx context.Context, dir string) error {
	_, err := a.s.Create(ctx, dir, nil, client.Container())
	if errors.Is(err, client.ErrUnimplemented) { // ZooKeeper before 3.5
		_, err = a.s.Create(ctx, dir, nil)
	}
	if errors.Is(err, client.ErrNodeExists) || errors.Is(err, client.ErrMaybeApplied) {
		return nil
	}
	return err
}

// know makes leases what the names say, reading those that are new.
func (a *applicant) know(ctx context.Context, dir string, names []string) error {
	present := make(map[string]lease, len(names))
	for _, name := range names {
		known, ok := a.leases[name]
		if !ok {
			node, err := a.s.Get(ctx, zpath.Join(dir, name))
			if errors.Is(err, client.ErrNoNode) {
				continue // gone since
			}
			if err != nil {
				return err
			}
			known = parseLease(node.Data)
		}
		present[name] = known
	}
	a.leases = present
	return nil
}

// sleep waits until there may be room: a lease or the number of permits changed, or something happened to our place.
func (a *applicant) sleep(ctx context.Context, l *sight) error {
	select {
	case <-l.watches[0].Done():
	case <-l.watches[1].Done():
	case <-a.ticket.Stirred():
	case <-ctx.Done():
		return fmt.Errorf("wait for permits: %w", context.Cause(ctx))
	}
	return nil
}

// exchange gives the place in the queue for a lease, in one transaction, which the number of permits seen is a condition
// of. It returns neither permit nor error when things have changed and are to be looked at again.
func (a *applicant) exchange(ctx context.Context, l *sight) (*Permit, error) {
	tag := Tag{ID: a.sem.c.Identity(), Note: a.sem.opt.note}
	data, err := json.Marshal(lease{Tag: tag, Weight: a.weight, Slots: l.slots})
	if err != nil {
		return nil, err
	}
	// The number is that of the place, and not the server's choice: so the name is known whatever becomes of the reply.
	number := a.ticket.Path()[strings.LastIndex(a.ticket.Path(), kindMutex)+len(kindMutex):]
	path := zpath.Join(zpath.Join(a.sem.path, semaphoreLeases), "_c_"+uuid.NewString()+"-"+kindLease+number)
	_, err = a.s.Txn().Check(a.sem.path, l.version).Create(path, data, client.Ephemeral()).Delete(a.ticket.Path(), -1).Commit(ctx)
	if errors.Is(err, client.ErrMaybeApplied) {
		done, e := a.wasDone(ctx, path)
		if e != nil {
			return nil, errors.Join(err, e)
		}
		if !done {
			return nil, nil // and never will be: the servers carry out nothing more of the lost connection
		}
		err = nil
	}
	switch txn := (*client.TxnError)(nil); {
	case err == nil:
		return a.hold(ctx, path, l.slots)
	case errors.As(err, &txn) && (txn.Index == 0 || txn.Index == 1 && errors.Is(err, client.ErrNoNode)):
		return nil, nil // resized, or the directory of leases was taken away
	case errors.As(err, &txn) && txn.Index == 2:
		return nil, fmt.Errorf("%w: %w", recipes.ErrGone, err)
	}
	return nil, err
}

// wasDone finds out whether a lease was made. If that cannot be found out, the lease is given up.
func (a *applicant) wasDone(ctx context.Context, path string) (bool, error) {
	_, done, err := a.s.Exists(ctx, path, client.Fresh())
	if err != nil {
		_ = a.s.DeleteGuaranteed(ctx, path) // ctx is over: it goes on in the background
	}
	return done, err
}

// hold begins to hold a lease. Its token is that of the lease's node, as read: old servers do not return it from a
// transaction.
func (a *applicant) hold(ctx context.Context, path string, slots []int) (*Permit, error) {
	h := &Held{revoked: make(chan struct{})}
	line := a.sem.leaseLine()
	line.Notice = h.notice
	hold, err := line.TicketFor(a.s, path, 0).Hold(ctx)
	if err != nil {
		return nil, err
	}
	h.hold, h.ctx = hold, hold.Context()
	return &Permit{Held: h, slots: slots}, nil
}
