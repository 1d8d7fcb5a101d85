package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/docent-io/docent/client"
)

const (
	importNodes = 256       // nodes that are sent in one go
	importBytes = 512 << 10 // and about how many bytes
	// importTries is how often in a row a create may get no answer.
	importTries = 5
)

// importRun creates records. What is sent in one go is all it holds in memory.
type importRun struct {
	c       *client.Client
	root    string
	flags   importFlags
	told    func(n int)
	count   importCount
	pending []exportRecord
	bytes   int
}

// run imports what source gives.
func (m *importRun) run(ctx context.Context, source importSource) error {
	left, err := source(ctx, m.told, func(r exportRecord) error { return m.add(ctx, r) })
	m.count.Left = left.Ephemerals
	// What was read is imported, also if the export turns out to be cut off.
	return errors.Join(err, m.flush(ctx))
}

// top makes PATH itself, and what it is below.
func (m *importRun) top(ctx context.Context, r exportRecord) error {
	err := error(client.ErrNodeExists) // which compare looks into
	if !m.flags.dry {
		if err = m.makeTop(ctx, &r); err != nil && !errors.Is(err, client.ErrNodeExists) {
			return err
		}
	}
	if err == nil {
		m.count.Created++
		m.told(1)
	} else if err := m.compare(ctx, []exportRecord{r}); err != nil {
		return err
	}
	return m.counters(ctx, []exportRecord{r})
}

func (m *importRun) makeTop(ctx context.Context, r *exportRecord) error {
	if m.root == "/" {
		return m.makeRoot(ctx, r)
	}
	create := func(plain bool) error {
		options, err := r.options(plain)
		if err != nil {
			return err
		}
		return insist(ctx, func() error {
			_, err := m.c.Create(ctx, m.root, r.Data, append(options, client.Parents())...)
			return err
		})
	}
	err := create(false)
	if errors.Is(err, client.ErrUnimplemented) {
		if err = create(true); err == nil {
			m.count.Lesser++
		}
	}
	return err
}

// makeRoot makes the root that a chroot is. It is made like parents are, so data and ACL come behind.
func (m *importRun) makeRoot(ctx context.Context, r *exportRecord) error {
	_, ok, err := m.c.Exists(ctx, "/")
	if ok {
		err = client.ErrNodeExists
	}
	if err != nil {
		return err
	}
	acl, err := r.acl()
	if err != nil {
		return err
	}
	if _, err := m.c.Create(ctx, "/", nil, client.Parents()); err != nil && !errors.Is(err, client.ErrNodeExists) {
		return err
	}
	return m.replace(ctx, "/", r.Data, acl, false, false)
}

// add takes a record, and carries out those that wait if they are many.
func (m *importRun) add(ctx context.Context, r exportRecord) error {
	if m.flags.openACL {
		r.ACL = nil
	}
	if r.Path == "/" {
		return m.top(ctx, r)
	}
	m.pending = append(m.pending, r)
	m.bytes += len(r.Path) + len(r.Data)
	if len(m.pending) < importNodes && m.bytes < importBytes {
		return nil
	}
	return m.flush(ctx)
}

func (m *importRun) path(r *exportRecord) string { return rooted(m.root, r.Path) }

// flush carries out what waits.
func (m *importRun) flush(ctx context.Context) (err error) {
	records := m.pending
	m.pending, m.bytes = nil, 0
	there := records
	if !m.flags.dry {
		if there, err = m.create(ctx, records); err != nil {
			return err
		}
	}
	if err := m.compare(ctx, there); err != nil {
		return err
	}
	return m.counters(ctx, records)
}

// create creates nodes, and returns those that are there already. What got no answer is tried again: at first all of it,
// then one by one, so that one that never gets an answer is known by name.
func (m *importRun) create(ctx context.Context, records []exportRecord) (there []exportRecord, err error) {
	todo := records
	plain := make(map[string]bool) // those that the server cannot make as they were
	for tries := 0; len(todo) > 0; {
		now := todo
		if tries > 0 {
			now = todo[:1]
		}
		again, exist, created, why, err := m.createOnce(ctx, now, plain)
		if err != nil {
			return nil, err
		}
		there = append(there, exist...)
		m.count.Created += created
		m.told(created)
		if tries++; created > 0 || len(exist) > 0 {
			tries = min(tries, 1)
		}
		if len(again) == 0 {
			tries = 0
		}
		if tries > importTries {
			return nil, why
		}
		todo = append(again, todo[len(now):]...)
	}
	return there, nil
}

// createOnce tries nodes in one go, and returns those to be tried again, and why the first of them has to be.
func (m *importRun) createOnce(ctx context.Context, records []exportRecord, plain map[string]bool) (again, there []exportRecord, created int, why, err error) {
	s, err := m.c.Session(ctx)
	if err != nil {
		return nil, nil, 0, nil, err
	}
	b := s.Batch()
	made := make([]*client.Future[client.Node], len(records))
	for i := range records {
		r := &records[i]
		options, err := r.options(plain[r.Path])
		if err != nil {
			return nil, nil, 0, nil, err
		}
		made[i] = b.Create(m.path(r), r.Data, options...)
	}
	b.Do(ctx) // each future has its own error
	for i, r := range records {
		_, err := made[i].Get()
		switch {
		case err == nil:
			created++
			if plain[r.Path] {
				m.count.Lesser++
			}
			continue
		case errors.Is(err, client.ErrNodeExists):
			there = append(there, r)
			continue
		case errors.Is(err, client.ErrUnimplemented) && !plain[r.Path]:
			plain[r.Path] = true
		case errors.Is(err, client.ErrNoNode) && len(again) > 0: // its parent may be among those
		case unanswered(err) && ctx.Err() == nil:
		case errors.Is(err, client.ErrBadArguments) && len(records) > 1: // one of them is, which is found out one by one
		default:
			return nil, nil, created, nil, err
		}
		if again = append(again, r); why == nil {
			why = err
		}
	}
	return again, there, created, why, nil
}

// compare looks at nodes that are there already, several at once. In a dry run they may also be missing.
func (m *importRun) compare(ctx context.Context, records []exportRecord) error {
	for chunk := range slices.Chunk(records, exportAhead) {
		verdicts, errs := make([]importCount, len(chunk)), make([]error, len(chunk))
		var wg sync.WaitGroup
		for i := range chunk {
			wg.Go(func() { verdicts[i], errs[i] = m.settle(ctx, &chunk[i]) })
		}
		wg.Wait()
		for i, v := range verdicts {
			if errs[i] != nil {
				return errs[i]
			}
			m.count.Created += v.Created
			m.count.Same += v.Same
			m.count.Replaced += v.Replaced
			m.count.Kept += v.Kept
		}
		m.told(len(chunk))
	}
	return nil
}

// settle decides about a node that is there, or may be.
func (m *importRun) settle(ctx context.Context, r *exportRecord) (v importCount, err error) {
	path := m.path(r)
	if m.flags.conflict == "skip" && !m.flags.dry {
		v.Kept = 1
		return v, nil
	}
	want, err := r.acl()
	if err != nil {
		return v, err
	}
	n, err := m.c.Get(ctx, path)
	var acl []client.ACL
	if err == nil {
		acl, _, err = m.c.GetACL(ctx, path)
	}
	if m.flags.dry && errors.Is(err, client.ErrNoNode) {
		v.Created = 1
		return v, nil
	}
	if err != nil {
		return v, err
	}
	sameData, sameACL := bytes.Equal(n.Data, r.Data), slices.Equal(acl, want) || m.flags.openACL
	switch {
	case sameData && sameACL:
		v.Same = 1
	case m.flags.conflict == "skip":
		v.Kept = 1
	case m.flags.conflict == "replace":
		v.Replaced = 1
		if !m.flags.dry {
			return v, m.replace(ctx, path, r.Data, want, sameData, sameACL)
		}
	case sameACL:
		return v, fmt.Errorf("%s is there with other data; see --on-conflict", path)
	default:
		return v, fmt.Errorf("%s is there with another ACL; see --on-conflict", path)
	}
	return v, nil
}

// replace writes what differs; doing it twice does no harm.
func (m *importRun) replace(ctx context.Context, path string, data []byte, acl []client.ACL, sameData, sameACL bool) error {
	return insist(ctx, func() (err error) {
		if !sameData {
			_, err = m.c.Set(ctx, path, data, -1)
		}
		if err == nil && !sameACL {
			_, err = m.c.SetACL(ctx, path, acl, -1)
		}
		return err
	})
}

// insist does again what got no answer, a few times.
func insist(ctx context.Context, do func() error) error {
	for tries := 1; ; tries++ {
		err := do()
		if err == nil || !unanswered(err) || ctx.Err() != nil || tries == importTries {
			return err
		}
	}
}
