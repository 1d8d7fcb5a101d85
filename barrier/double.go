package barrier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// The errors of a Double.
var (
	// ErrBarrierFull: n others were faster. With Next, Enter waits for the next generation instead.
	ErrBarrierFull = errors.New("barrier is full")
	// ErrRunning: the barrier has started without us. With Next, Enter waits for the next generation instead.
	ErrRunning = errors.New("barrier is running")
	// ErrReportGone: a member has left, but its generation was cleared away before it could read who else did.
	ErrReportGone = errors.New("report of the barrier has been cleared away")
	// ErrLeft is the cause with which a member's context ends when it leaves.
	ErrLeft = errors.New("left the barrier")
)

// maxMembers and maxFrame bound a barrier by what fits into one request: the transaction that starts it checks every
// member's node, and must stay below the size that servers accept (1 MiB unless they are told otherwise).
const (
	maxMembers = 5000
	maxFrame   = 1 << 20
)

// Double is a barrier that n members enter together and leave together, again and again. It is a description and holds
// nothing: one Double may be used by several goroutines, each of them a member of its own.
type Double struct {
	c    *client.Client
	path string
	n    int
	next bool
}

// Option changes a Double.
type Option func(*Double)

// Next makes Enter wait for the next generation when the present one is running or full, instead of failing.
func Next() Option { return func(d *Double) { d.next = true } }

// New returns the barrier of n members at path, without any I/O. All members must name the same n, from 1 to 5,000;
// Enter tells when they do not.
func New(c *client.Client, path string, n int, o ...Option) *Double {
	d := &Double{c: c, path: zpath.Join("/", path), n: n}
	for _, opt := range o {
		opt(d)
	}
	return d
}

// Enter waits until n members have come, and returns when the barrier starts with this one among them. The outcome is
// agreed: when ctx ends while the barrier starts, this member is in and Enter returns it; when Enter returns an error
// other than the end of the session, the barrier did not and will not start with it. To know that, Enter may outlast
// ctx while the connection is lost, until the session ends at the latest.
//
// It fails with ErrBarrierFull, ErrRunning, the session's error when that ended (the member is then gone, or counted as
// crashed), or ctx's.
func (d *Double) Enter(ctx context.Context) (*Member, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	s, err := d.c.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("enter barrier: %w", err)
	}
	for {
		m, err := d.enter(ctx, s)
		if err == nil {
			return m, nil
		}
		if d.next && (errors.Is(err, ErrRunning) || errors.Is(err, ErrBarrierFull)) {
			if err = d.awaitNext(ctx, s); err == nil {
				continue
			}
		}
		return nil, fmt.Errorf("enter barrier %s: %w", d.path, err)
	}
}

// Run enters, calls fn and leaves. The context fn gets ends when ctx or the member's session does. The report is that of
// Leave, and the error joins fn's with its own.
func (d *Double) Run(ctx context.Context, fn func(context.Context) error) (Report, error) {
	m, err := d.Enter(ctx)
	if err != nil {
		return Report{}, err
	}
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(m.Context(), func() { cancel(context.Cause(m.Context())) })
	err = fn(both)
	stop()
	cancel(nil)
	report, leaveErr := m.Leave(ctx)
	return report, errors.Join(err, leaveErr)
}

func (d *Double) check() error {
	perMember := 2*maxName + len(d.path) + 64 // its name in ready, and its path in a check
	switch {
	case d.n < 1 || d.n > maxMembers:
		return fmt.Errorf("barrier %s of %d members: it takes 1 to %d", d.path, d.n, maxMembers)
	case d.n > maxFrame/perMember:
		return fmt.Errorf("barrier %s of %d members: no more than %d fit into one request with a path this long", d.path, d.n, maxFrame/perMember)
	}
	return nil
}

// state is the data of the barrier's node. Whoever changes it names the version it has read, and that one compare-and-set
// is what all agree by.
type state struct {
	Gen   int    `json:"gen"`
	N     int    `json:"n"`
	State string `json:"state"`

	version int32
}

const (
	stateOpen    = "open"
	stateRunning = "running"
)

func (st state) encode() []byte {
	return fmt.Appendf(nil, `{"gen":%d,"n":%d,"state":%q}`, st.Gen, st.N, st.State)
}

// read returns the barrier's state, which it creates if it is not there.
func (d *Double) read(ctx context.Context, s *client.Session, o ...client.ReadOption) (state, error) {
	for {
		node, err := s.Get(ctx, d.path, o...)
		if err == nil {
			return d.decode(node)
		}
		if errors.Is(err, client.ErrNoNode) {
			err = d.create(ctx, s)
		}
		if err != nil && !errors.Is(err, client.ErrNodeExists) && (!errors.Is(err, client.ErrMaybeApplied) || ctx.Err() != nil) {
			return state{}, err
		}
	}
}

func (d *Double) decode(node client.Node) (state, error) {
	st := state{version: node.Stat.Version}
	if err := json.Unmarshal(node.Data, &st); err != nil {
		return state{}, fmt.Errorf("this node is no barrier: %w", err)
	}
	if st.State != stateOpen && st.State != stateRunning || st.Gen < 1 {
		return state{}, fmt.Errorf("this node is no barrier: it holds %q", node.Data)
	}
	if st.N != d.n {
		return state{}, fmt.Errorf("this is a barrier of %d members, not of %d", st.N, d.n)
	}
	return st, nil
}

func (d *Double) create(ctx context.Context, s *client.Session) error {
	first := state{Gen: 1, N: d.n, State: stateOpen}
	parent, _ := zpath.Split(d.path)
	if parent != "/" {
		// The node itself has to come into being together with its first generation, so only its parents are made here.
		if _, err := s.Create(ctx, parent, nil, client.Container(), client.Parents()); err != nil && !errors.Is(err, client.ErrNodeExists) {
			return err
		}
	}
	txn := s.Txn().Create(d.path, first.encode())
	_, err := d.addGeneration(txn, first.Gen).Commit(ctx)
	if errors.Is(err, client.ErrNoNode) {
		return nil // the empty parent was reaped just now: the caller looks again
	}
	return err
}

// addGeneration adds to txn the directories of a new generation.
func (d *Double) addGeneration(txn *client.Txn, gen int) *client.Txn {
	return txn.Create(d.generation(gen), nil).Create(d.members(gen), nil).Create(d.done(gen), nil)
}

func (d *Double) generation(gen int) string { return fmt.Sprintf("%s/g%d", d.path, gen) }
func (d *Double) members(gen int) string    { return d.generation(gen) + "/m" }
func (d *Double) done(gen int) string       { return d.generation(gen) + "/done" }
func (d *Double) ready(gen int) string      { return d.generation(gen) + "/ready" }
