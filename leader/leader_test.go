package leader_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// soon bounds what must not take long.
const soon = 10 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func named(id string) func(*client.Config) { return func(c *client.Config) { c.Identity = id } }

// running is a Run on a goroutine of its own, whose function tells that it leads and waits for orders.
type running struct {
	terms  chan *leader.Term
	orders chan func(context.Context) error // what fn does next; it returns what that returns
	done   chan error
	cancel context.CancelFunc
}

func run(t testing.TB, c *client.Client, path string, o ...leader.Option) *running {
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	r := &running{make(chan *leader.Term), make(chan func(context.Context) error), make(chan error, 1), cancel}
	go func() {
		r.done <- leader.Run(ctx, c, path, func(ctx context.Context, term *leader.Term) error {
			r.terms <- term
			order := <-r.orders
			return order(ctx)
		}, o...)
	}()
	return r
}

func (r *running) mustLead(t testing.TB) *leader.Term {
	t.Helper()
	return receive(t, r.terms, "to lead")
}

func (r *running) order(t testing.TB, f func(context.Context) error) {
	t.Helper()
	select {
	case r.orders <- f:
	case <-time.After(soon):
		t.Fatal("fn takes no order")
	}
}

func (r *running) mustReturn(t testing.TB) error {
	t.Helper()
	return receive(t, r.done, "Run to return")
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		t.Fatalf("waited too long for %s", what)
		return *new(T)
	}
}

func returns(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// untilEnd waits for the end of the term and returns its cause.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func waitForCandidates(t testing.TB, c *client.Client, path string, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d candidates", n), func() bool {
		all, err := leader.Candidates(within(t, soon), c, path)
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == n
	})
}

func TestRun_E1_OneAfterTheOther(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a := run(t, srv.Dial(t, named("a")), "/elect/x", leader.WithAddr("here:1"))
	first := a.mustLead(t)
	cb := srv.Dial(t, named("b"))
	b := run(t, cb, "/elect/x")
	waitForCandidates(t, cb, "/elect/x", 2)

	info, err := leader.Current(within(t, soon), cb, "elect/x")
	if err != nil || info.ID != "a" || info.Addr != "here:1" || !info.Acked || info.Vacant || info.Token != first.Token() || time.Since(info.Since) > time.Minute {
		t.Errorf("Current = %+v, %v", info, err)
	}
	if !first.Healthy() || first.Context().Err() != nil {
		t.Error("the leader is not healthy")
	}
	failure := errors.New("failure of fn")
	a.order(t, returns(failure))
	if err := a.mustReturn(t); !errors.Is(err, failure) {
		t.Errorf("Run = %v", err)
	}
	if cause := context.Cause(first.Context()); !errors.Is(cause, recipes.ErrReleased) {
		t.Errorf("cause = %v", cause)
	}
	second := b.mustLead(t)
	if second.Token() <= first.Token() { // E2
		t.Errorf("token %d after %d", second.Token(), first.Token())
	}
	b.order(t, returns(nil))
	if err := b.mustReturn(t); err != nil {
		t.Errorf("Run = %v", err)
	}
	if _, err := leader.Current(within(t, soon), cb, "/elect/x"); !errors.Is(err, leader.ErrNoLeader) {
		t.Errorf("Current = %v, want ErrNoLeader", err)
	}
}

// CURATOR-504, -620, -644, -645, -652, -653, -696: after an expiry there is a new candidate, and never two leaders.
func TestRun_E4_CampaignsAgainAfterExpiry_CURATOR620(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	r := run(t, c, "/elect/x")
	first := r.mustLead(t)
	srv.Expire(c)
	r.order(t, untilEnd)
	second := r.mustLead(t)
	if second.Token() <= first.Token() || first.Context().Err() == nil || first.Healthy() {
		t.Errorf("tokens %d, %d; first term: %v", first.Token(), second.Token(), context.Cause(first.Context()))
	}
	if _, err := first.Txn().Set("/elect", nil, -1).Commit(within(t, soon)); err == nil {
		t.Error("a transaction of the lost term went through")
	}
	if err := first.Publish(within(t, soon), nil); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("Publish in a lost term = %v", err)
	}
	r.order(t, returns(nil))
	if err := r.mustReturn(t); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// The node of the leader is deleted by somebody (etcd #11777 never notices).
func TestRun_E4_NodeDeleted_Etcd11777(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	r := run(t, c, "/elect/x")
	first := r.mustLead(t)
	names, _, err := c.Children(within(t, soon), "/elect/x")
	if err != nil || len(names) != 1 {
		t.Fatalf("children = %q, %v", names, err)
	}
	if err := c.Delete(within(t, soon), "/elect/x/"+names[0], -1); err != nil {
		t.Fatal(err)
	}
	r.order(t, func(ctx context.Context) error {
		if err := untilEnd(ctx); !errors.Is(err, recipes.ErrGone) {
			t.Errorf("cause = %v", err)
		}
		return nil
	})
	if second := r.mustLead(t); second.Token() <= first.Token() {
		t.Errorf("token %d after %d", second.Token(), first.Token())
	}
	r.order(t, returns(leader.ErrRetry)) // and once more
	r.mustLead(t)
	r.order(t, returns(nil))
	if err := r.mustReturn(t); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// Client-go #728, k8s PR #139991: the term must not be given up while fn still runs.
func TestRun_E3_ReleasesAfterFnReturned_ClientGo728(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a := run(t, srv.Dial(t), "/elect/x")
	a.mustLead(t)
	cb := srv.Dial(t)
	b := run(t, cb, "/elect/x")
	waitForCandidates(t, cb, "/elect/x", 2)
	a.cancel()
	a.order(t, func(ctx context.Context) error {
		<-ctx.Done()
		if all, err := leader.Candidates(within(t, soon), cb, "/elect/x"); err != nil || len(all) != 2 {
			t.Errorf("candidates while fn cleans up = %v, %v", all, err)
		}
		select {
		case <-b.terms:
			t.Error("another leads while fn cleans up")
		default:
		}
		return ctx.Err()
	})
	if err := a.mustReturn(t); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	b.mustLead(t)
	b.order(t, returns(nil))
	b.mustReturn(t)
}

// Cilium PR #42920, k8s #23731, #44887, contrib #690: work that outlives its term is reported.
func TestRun_Overrun(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	overrun := make(chan *leader.Term, 1)
	r := run(t, c, "/elect/x", leader.WithGrace(time.Millisecond), leader.OnOverrun(func(term *leader.Term) { overrun <- term }))
	term := r.mustLead(t)
	srv.Expire(c)
	if got := receive(t, overrun, "the overrun"); got != term {
		t.Errorf("overrun of %v", got)
	}
	r.cancel()
	r.order(t, untilEnd)
	if err := r.mustReturn(t); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("Run = %v", err)
	}
}

// CURATOR-3, -18, -171, -202, etcd #21128, cagriekin/charts #326: who stops campaigning leaves no candidate behind; and
// client-go #1187: nothing of it is told to a function that has not led.
func TestRun_E6_CancelledCandidateLeaves_CURATOR3(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a := run(t, srv.Dial(t), "/elect/x")
	a.mustLead(t)
	cb := srv.Dial(t)
	for range 10 {
		b := run(t, cb, "/elect/x")
		waitForCandidates(t, cb, "/elect/x", 2)
		b.cancel()
		if err := b.mustReturn(t); !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		waitForCandidates(t, cb, "/elect/x", 1)
	}
	a.order(t, returns(nil))
	a.mustReturn(t)
}

// CURATOR-724: the directory is gone when a session begins anew.
func TestRun_DirectoryIsGone_CURATOR724(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	r := run(t, c, "/elect/x")
	r.mustLead(t)
	srv.Expire(c)
	if err := other.Delete(within(t, soon), "/elect/x", -1); err != nil && !errors.Is(err, client.ErrNotEmpty) {
		t.Fatal(err)
	}
	r.order(t, untilEnd)
	r.mustLead(t)
	r.order(t, returns(nil))
	if err := r.mustReturn(t); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestRun_ClosedClient(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	r := run(t, c, "/elect/x")
	r.mustLead(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	r.order(t, untilEnd)
	if err := r.mustReturn(t); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Run = %v", err)
	}
}

func TestCampaign_PublishAndResign(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t, named("a"))
	term, err := leader.Campaign(within(t, soon), c, "/elect/x")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := leader.Current(within(t, soon), c, "/elect/x"); err != nil || info.Acked {
		t.Errorf("Current = %+v, %v: nobody has said that it acts", info, err)
	}
	for _, data := range []string{"one", "two"} {
		if err := term.Publish(within(t, soon), []byte(data)); err != nil {
			t.Fatal(err)
		}
		if info, err := leader.Current(within(t, soon), c, "/elect/x"); err != nil || !info.Acked || string(info.Data) != data {
			t.Errorf("Current = %+v, %v", info, err)
		}
	}
	if !term.Healthy() {
		t.Error("publishing ended the term")
	}
	// Etcd #22123: a Resign whose context is over does not forget the node.
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := term.Resign(over); !errors.Is(err, client.ErrDeletePending) {
		t.Errorf("Resign with an ended context = %v", err)
	}
	waitForCandidates(t, c, "/elect/x", 0)
	if err := term.Resign(within(t, soon)); err != nil {
		t.Errorf("Resign again = %v", err)
	}
}

// follow reads an Observe on a goroutine of its own.
func follow(t testing.TB, c *client.Client, path string) <-chan leader.Info {
	ctx, cancel := context.WithCancel(context.Background())
	seen, done := make(chan leader.Info), make(chan struct{})
	go func() {
		defer close(done)
		for info, err := range leader.Observe(ctx, c, path) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("Observe: %v", err)
				}
				return
			}
			select {
			case seen <- info:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return seen
}

// Etcd #18163, Observe reported the wrong leader; and it never reports that there is none.
func TestObserve_VacancyAndChange_Etcd18163(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	cw := srv.Dial(t)
	seen := follow(t, cw, "/elect/x")
	until := func(what string, ok func(leader.Info) bool) leader.Info {
		t.Helper()
		for {
			if info := receive(t, seen, what); ok(info) {
				return info
			}
		}
	}
	until("vacancy without a directory", func(i leader.Info) bool { return i.Vacant })
	ca := srv.Dial(t, named("a"))
	a, err := leader.Campaign(within(t, soon), ca, "/elect/x")
	if err != nil {
		t.Fatal(err)
	}
	if info := until("a", func(i leader.Info) bool { return i.ID == "a" }); info.Acked || info.Token != a.Token() {
		t.Errorf("info = %+v", info)
	}
	if err := a.Publish(within(t, soon), []byte("v")); err != nil {
		t.Fatal(err)
	}
	until("what a publishes", func(i leader.Info) bool { return i.Acked && string(i.Data) == "v" })
	b := run(t, srv.Dial(t, named("b")), "/elect/x")
	waitForCandidates(t, cw, "/elect/x", 2)
	srv.Expire(ca)
	b.mustLead(t)
	until("b", func(i leader.Info) bool { return i.ID == "b" && i.Acked })
	srv.Expire(cw) // the observer goes on with its next session
	b.order(t, returns(nil))
	b.mustReturn(t)
	until("vacancy with a directory", func(i leader.Info) bool { return i.Vacant })
	if err := ca.Delete(within(t, soon), "/elect/x", -1); err != nil {
		t.Fatal(err)
	}
	c := run(t, srv.Dial(t, named("c")), "/elect/x")
	c.mustLead(t)
	until("c", func(i leader.Info) bool { return i.ID == "c" })
	c.order(t, returns(nil))
	c.mustReturn(t)
}

func TestObserve_LeavingTheLoopLeavesNoWatch(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	for _, want := range []bool{true, false} {
		next, stop := iter.Pull2(leader.Observe(within(t, soon), c, "/elect/x"))
		if info, err, ok := next(); !ok || err != nil || info.Vacant != want {
			t.Errorf("Observe = %+v, %v, %v", info, err, ok)
		}
		stop()
		testkit.Eventually(t, "no watch is left", func() bool { return c.Stats().WatchesOpen == 0 })
		if want {
			term, err := leader.Campaign(within(t, soon), srv.Dial(t), "/elect/x")
			if err != nil {
				t.Fatal(err)
			}
			defer term.Resign(within(t, soon))
		}
	}
}

// PRODUCT.md's budget: when the leader goes, one candidate wakes, and the next in line once more at its
// acknowledgement; the others sleep on.
func TestRun_E5_ChangeWakesTheNextInLine(t *testing.T) {
	srv := servertest.New(t)
	long := func(c *client.Config) { c.SessionTimeout = time.Minute }
	lead := run(t, srv.Dial(t, long), "/elect/x")
	lead.mustLead(t)
	var others []*running
	for range 10 {
		c := srv.Dial(t, long)
		others = append(others, run(t, c, "/elect/x"))
		testkit.Eventually(t, "the candidate watches the one ahead and itself", func() bool { return c.Stats().WatchesOpen == 2 })
	}
	before := srv.Count()
	for _, next := range others {
		lead.order(t, returns(nil))
		lead.mustReturn(t)
		next.mustLead(t)
		lead = next
	}
	after := srv.Count()
	// A change is a delete, a list and the acknowledgement; the new leader re-reads its node (and perhaps takes the
	// watch off again, when it leaves meanwhile), the one behind lists and re-reads what it watches.
	const requestsPerChange = 7
	// The leaver's node wakes itself and the next in line; the acknowledgement, the leader and the one behind.
	const eventsPerChange = 4
	changes := len(others)
	if got := after.Total() - before.Total(); got > changes*requestsPerChange {
		t.Errorf("%d changes took %d requests: from %v to %v", changes, got, before, after)
	}
	if got := after.Events - before.Events; got > changes*eventsPerChange {
		t.Errorf("%d changes took %d events", changes, got)
	}
	lead.order(t, returns(nil))
	lead.mustReturn(t)
}

// Replicas elect one writer; a store that checks the token never goes back, while sessions expire.
func TestRun_TokensFenceTheStore(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	guard := fence.Memory()
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	defer cancel()
	terms := make(chan *client.Client)
	var wg sync.WaitGroup
	for range 3 {
		c := srv.Dial(t)
		wg.Go(func() {
			err := leader.Run(ctx, c, "/elect/x", func(ctx context.Context, term *leader.Term) error {
				if err := guard.Admit(ctx, "store", term.Token()); err != nil && ctx.Err() == nil {
					t.Errorf("refused although it leads: %v", err)
				}
				select {
				case terms <- c:
				case <-ctx.Done():
				}
				return untilEnd(ctx)
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run = %v", err)
			}
		})
	}
	for range 12 {
		srv.Expire(receive(t, terms, "a leader"))
	}
	cancel()
	wg.Wait()
}

func TestRun_OnApacheZooKeeper(t *testing.T) {
	testkit.CheckLeaks(t)
	addr := peers.Zookeeper(t)
	dial := func(id string, o ...func(*client.Config)) *client.Client {
		cfg := client.Config{Servers: []string{addr}, Identity: id}
		for _, f := range o {
			f(&cfg)
		}
		c, err := client.Dial(within(t, soon), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ca, cb := dial("a"), dial("b")
	seen := follow(t, dial("watcher"), "/elect/x")
	if info := receive(t, seen, "vacancy"); !info.Vacant {
		t.Errorf("info = %+v", info)
	}
	a := run(t, ca, "/elect/x")
	first := a.mustLead(t)
	b := run(t, cb, "/elect/x")
	waitForCandidates(t, cb, "/elect/x", 2)
	ticket := first.Session().Ticket() // with it, anybody can end the session from elsewhere
	peers.EndSession(t, addr, ticket.SessionID, ticket.Password)
	a.order(t, untilEnd)
	second := b.mustLead(t)
	if second.Token() <= first.Token() {
		t.Errorf("token %d after %d", second.Token(), first.Token())
	}
	for info := receive(t, seen, "b"); info.ID != "b" || !info.Acked; info = receive(t, seen, "b") {
	}
	waitForCandidates(t, cb, "/elect/x", 2) // a has come back, at the end of the line
	b.order(t, returns(nil))
	b.mustReturn(t)
	a.mustLead(t)
	a.order(t, returns(nil))
	a.mustReturn(t)
}

func ExampleRun() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial() // in a program: client.Dial(ctx, client.Config{Servers: …})
	store := fence.Memory()

	err := leader.Run(context.Background(), c, "/metadata/writer", func(ctx context.Context, term *leader.Term) error {
		if err := store.Admit(ctx, "metadata", term.Token()); err != nil {
			return err
		}
		fmt.Println("writing") // under ctx, which ends before anybody else can lead
		return nil
	})
	fmt.Println(err)
	// Output:
	// writing
	// <nil>
}

// Who only tries leaves no candidate behind, and leads when nobody else does (E6).
func TestTryCampaign(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	ctx := t.Context()
	first, err := leader.TryCampaign(ctx, a, "/lead")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leader.TryCampaign(ctx, b, "/lead"); !errors.Is(err, recipes.ErrBusy) {
		t.Errorf("TryCampaign beside a leader: %v", err)
	}
	if all, err := leader.Candidates(ctx, b, "/lead"); err != nil || len(all) != 1 {
		t.Errorf("candidates: %v, %v; want one", all, err)
	}
	if err := first.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	second, err := leader.TryCampaign(ctx, b, "/lead")
	if err != nil {
		t.Fatal(err)
	}
	if second.Token() <= first.Token() {
		t.Errorf("token %d after %d", second.Token(), first.Token())
	}
}
