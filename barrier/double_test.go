package barrier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

const step = "/jobs/7/step"

func named(name string) func(*client.Config) {
	return func(cfg *client.Config) { cfg.Identity = name }
}

// crew dials n clients called a, b, c and so on.
func crew(t *testing.T, srv *servertest.Server, n int) []*client.Client {
	t.Helper()
	clients := make([]*client.Client, n)
	for i := range clients {
		clients[i] = srv.Dial(t, named(string(rune('a'+i))))
	}
	return clients
}

// entry is the outcome of an Enter.
type entry struct {
	m   *barrier.Member
	err error
}

func entering(ctx context.Context, c *client.Client, n int, o ...barrier.Option) <-chan entry {
	out := make(chan entry, 1)
	go func() {
		m, err := barrier.New(c, step, n, o...).Enter(ctx)
		out <- entry{m, err}
	}()
	return out
}

// present returns once n members have joined a generation.
func present(t *testing.T, c *client.Client, gen, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprint(n, " members in generation ", gen), func() bool {
		st, _, err := c.Exists(context.Background(), fmt.Sprintf("%s/g%d/m", step, gen))
		return err == nil && int(st.NumChildren) == n
	})
}

// enterAll makes all clients enter a barrier made for as many.
func enterAll(ctx context.Context, t *testing.T, clients ...*client.Client) []*barrier.Member {
	t.Helper()
	var outs []<-chan entry
	for i, c := range clients {
		outs = append(outs, entering(ctx, c, len(clients)))
		if i < len(clients)-1 {
			present(t, c, 1, i+1) // so that they come in order
		}
	}
	var members []*barrier.Member
	for _, out := range outs {
		e := <-out
		must(t, e.err)
		members = append(members, e.m)
	}
	return members
}

// leaving is the outcome of a Leave.
type leaving struct {
	report barrier.Report
	err    error
}

func leave(ctx context.Context, m *barrier.Member) <-chan leaving {
	out := make(chan leaving, 1)
	go func() {
		r, err := m.Leave(ctx)
		out <- leaving{r, err}
	}()
	return out
}

func wantReport(t *testing.T, out <-chan leaving, gen int, left, crashed string) {
	t.Helper()
	l := <-out
	must(t, l.err)
	if got := fmt.Sprint(l.report.Generation, l.report.Left, l.report.Crashed); got != fmt.Sprint(gen, strings.Fields(left), strings.Fields(crashed)) {
		t.Errorf("report %s; want generation %d, left [%s], crashed [%s]", got, gen, left, crashed)
	}
}

func TestDouble_B1_B3_TogetherAgainAndAgain(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 4)
	for gen := 1; gen <= 3; gen++ {
		var outs []<-chan entry
		for _, c := range clients {
			outs = append(outs, entering(ctx, c, 4))
		}
		var done []<-chan leaving
		for _, out := range outs {
			e := <-out
			must(t, e.err)
			done = append(done, leave(ctx, e.m))
			if e.m.Context() == nil {
				t.Fatal("a member without a context")
			}
		}
		for _, out := range done {
			l := <-out
			must(t, l.err)
			slices.Sort(l.report.Left)
			if got := fmt.Sprint(l.report); got != fmt.Sprintf("{%d [a b c d] []}", gen) {
				t.Errorf("report %s", got)
			}
		}
	}
	// Only the last generation, for late reports, and the open one are left.
	names, _, err := clients[0].Children(ctx, step, client.Fresh())
	must(t, err)
	if slices.Sort(names); fmt.Sprint(names) != "[g3 g4]" {
		t.Errorf("generations left: %v", names)
	}
}

func TestDouble_B1_OfOne(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	report, err := barrier.New(srv.Dial(t, named("a")), step, 1).Run(ctx, func(context.Context) error { return nil })
	if err != nil || fmt.Sprint(report) != "{1 [a] []}" {
		t.Errorf("Run = %v, %v", report, err)
	}
}

func TestDoubleNobodyStartsAlone(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 3)
	first, second := entering(ctx, clients[0], 3), entering(ctx, clients[1], 3)
	present(t, clients[2], 1, 2)
	select {
	case e := <-first:
		t.Fatalf("entered with two of three: %v", e)
	case e := <-second:
		t.Fatalf("entered with two of three: %v", e)
	default:
	}
	third := entering(ctx, clients[2], 3)
	for _, out := range []<-chan entry{first, second, third} {
		must(t, (<-out).err)
	}
}

// CURATOR-318, CURATOR-80: who gave up stays and is counted.
func TestDouble_B2_WhoGivesUpIsNotCounted(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 3)
	short, cancel := context.WithCancel(ctx)
	out := entering(short, clients[0], 2)
	present(t, clients[1], 1, 1)
	cancel()
	if e := <-out; !errors.Is(e.err, context.Canceled) {
		t.Fatalf("Enter = %v, want that it was cancelled", e.err)
	}
	present(t, clients[1], 1, 0)
	if n := watches(srv); n != 0 {
		t.Errorf("%d watches are left behind", n)
	}
	members := enterAll(ctx, t, clients[1], clients[2])
	a, b := leave(ctx, members[0]), leave(ctx, members[1])
	wantReport(t, a, 1, "b c", "")
	wantReport(t, b, 1, "b c", "")
}

func TestDouble_B2_LateComers(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 3)
	members := enterAll(ctx, t, clients[0], clients[1])
	if _, err := barrier.New(clients[2], step, 2).Enter(ctx); !errors.Is(err, barrier.ErrRunning) {
		t.Errorf("Enter = %v, want %v", err, barrier.ErrRunning)
	}
	next := entering(ctx, clients[2], 2, barrier.Next())
	a, b := leave(ctx, members[0]), leave(ctx, members[1])
	wantReport(t, a, 1, "a b", "")
	wantReport(t, b, 1, "a b", "")
	present(t, clients[0], 2, 1) // the late one waits in the next generation
	must(t, (<-entering(ctx, clients[0], 2)).err)
	must(t, (<-next).err)
}

// Netflix #99: "Count (4) is greater than memberQty (3)"; etcd #14603: recursion without end, fixed
// by etcd PR #14604, which refuses those who are too many.
func TestDouble_B2_Full(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 2)
	// Two whose clients have come as far as having a node, but are too slow to look.
	short, cancel := context.WithCancel(ctx)
	out := entering(short, clients[0], 2)
	present(t, clients[0], 1, 1)
	cancel()
	<-out
	for _, who := range []string{"x", "y"} {
		_, err := clients[0].Create(ctx, step+"/g1/m/"+strings.Repeat("0", 32)+"-"+who+"-", nil, client.Ephemeral(), client.Sequential())
		must(t, err)
	}
	if _, err := barrier.New(clients[1], step, 2).Enter(ctx); !errors.Is(err, barrier.ErrBarrierFull) {
		t.Errorf("Enter = %v, want %v", err, barrier.ErrBarrierFull)
	}
	present(t, clients[1], 1, 2)
}

func TestDoubleOfAnotherSize(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 2)
	enterAll(ctx, t, clients...)
	_, err := barrier.New(clients[0], step, 3).Enter(ctx)
	if err == nil || !strings.Contains(err.Error(), "of 2 members, not of 3") {
		t.Errorf("Enter = %v, want an error with both sizes", err)
	}
	for _, n := range []int{-1, 0, 5001} {
		if _, err := barrier.New(clients[0], step, n).Enter(ctx); err == nil {
			t.Errorf("a barrier of %d members", n)
		}
	}
}

func TestDoubleAtANodeThatIsNone(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for _, data := range []string{"", "127.0.0.1", `{"gen":1,"n":2}`, `{"n":2,"state":"open"}`} {
		_, err := c.Create(ctx, step, []byte(data), client.Parents())
		must(t, err)
		if _, err := barrier.New(c, step, 2).Enter(ctx); err == nil {
			t.Errorf("entered a node that holds %q", data)
		}
		must(t, c.Delete(ctx, step, -1))
	}
}

// CURATOR-43, Netflix #99: strangers among the members.
func TestDoubleStrangersDoNotCount(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 2)
	first := entering(ctx, clients[0], 2)
	present(t, clients[1], 1, 1)
	for _, name := range []string{"readme", "ready", "lock-0000000001", strings.Repeat("x", 32) + "-a-0000000001"} {
		_, err := clients[1].Create(ctx, step+"/g1/m/"+name, nil)
		must(t, err)
	}
	second := entering(ctx, clients[1], 2)
	a, b := leave(ctx, (<-first).m), leave(ctx, (<-second).m)
	wantReport(t, a, 1, "a b", "")
	wantReport(t, b, 1, "a b", "")
}

func TestDouble_B3_CrashIsReported(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, dies := range []string{"a", "b", "c"} { // the first, one in the middle, the last
		t.Run(dies, func(t *testing.T) {
			srv, ctx := servertest.New(t), testContext(t)
			clients := crew(t, srv, 3)
			members := enterAll(ctx, t, clients...)
			var done []<-chan leaving
			survivors := ""
			for i, m := range members {
				if name := string(rune('a' + i)); name != dies {
					done = append(done, leave(ctx, m))
					survivors += name + " "
				}
			}
			dead := members[dies[0]-'a']
			srv.Expire(clients[dies[0]-'a'])
			for _, out := range done {
				wantReport(t, out, 1, survivors, dies)
			}
			<-dead.Context().Done()
			if _, err := dead.Leave(ctx); err == nil {
				t.Error("who has crashed has left without an error")
			}
		})
	}
}

func TestDouble_B4_AllCrash(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 4)
	enterAll(ctx, t, clients[0], clients[1])
	next := entering(ctx, clients[2], 2, barrier.Next())
	testkit.Eventually(t, "the late one to wait", func() bool { return watches(srv) == 2 })
	srv.Expire(clients[0])
	srv.Expire(clients[1])
	must(t, (<-entering(ctx, clients[3], 2, barrier.Next())).err)
	must(t, (<-next).err)
}

// The outcome is agreed although ctx has ended: the barrier starts while a member gives up.
func TestDouble_B1_TooLateToGiveUp(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 2)
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	first := entering(short, clients[0], 2)
	present(t, clients[1], 1, 1)
	srv.Inject(servertest.DropReply("multi", 3)) // the first's withdrawal; it finds out from the state
	second := entering(ctx, clients[1], 2)
	b := <-second
	cancel()
	must(t, b.err)
	if a := <-first; a.err != nil { // it was counted, so it is in
		t.Errorf("counted, and yet: %v", a.err)
	}
}

// CURATOR-264: whichever reply is lost, nobody is counted twice, hangs or is taken for crashed.
func TestDoubleLostReplies(t *testing.T) {
	testkit.CheckLeaks(t)
	for nth := 1; nth <= 8; nth++ {
		for _, op := range []string{"multi", "create", "read"} {
			t.Run(fmt.Sprint(op, nth), func(t *testing.T) {
				srv, ctx := servertest.New(t), testContext(t)
				clients := crew(t, srv, 2)
				srv.Inject(servertest.DropReply(op, nth))
				members := enterAll(ctx, t, clients...)
				a, b := leave(ctx, members[0]), leave(ctx, members[1])
				wantReport(t, a, 1, "a b", "")
				wantReport(t, b, 1, "a b", "")
			})
		}
	}
}

func TestDoubleOutlivesItsLeader(t *testing.T) {
	cl, ctx := servertest.NewCluster(t, 3), testContext(t)
	var clients []*client.Client
	for _, name := range []string{"a", "b", "c"} {
		clients = append(clients, cl.Dial(t, named(name)))
	}
	members := enterAll(ctx, t, clients...)
	a, b := leave(ctx, members[0]), leave(ctx, members[1])
	cl.KillLeader()
	c := leave(ctx, members[2])
	for _, out := range []<-chan leaving{a, b, c} {
		wantReport(t, out, 1, "a b c", "")
	}
}

func TestDoubleRun(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 2)
	failed := errors.New("failed")
	other := make(chan leaving, 1)
	go func() {
		r, err := barrier.New(clients[0], step, 2).Run(ctx, func(ctx context.Context) error {
			srv.Expire(clients[0])
			<-ctx.Done()
			return context.Cause(ctx)
		})
		other <- leaving{r, err}
	}()
	report, err := barrier.New(clients[1], step, 2).Run(ctx, func(context.Context) error { return failed })
	if !errors.Is(err, failed) || fmt.Sprint(report.Left, report.Crashed) != "[b] [a]" {
		t.Errorf("Run = %v, %v; want that b left and a crashed, and fn's error", report, err)
	}
	if o := <-other; !errors.Is(o.err, client.ErrSessionExpired) {
		t.Errorf("Run of the one that crashed = %v, want %v", o.err, client.ErrSessionExpired)
	}
}

func TestDouble_B3_LeaveWhoseContextEnds(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 3)
	members := enterAll(ctx, t, clients...)
	over, cancel := context.WithCancel(ctx)
	cancel()
	for i, m := range members[:2] {
		report, err := m.Leave(over)
		if !errors.Is(err, context.Canceled) || len(report.Left) != i+1 || len(report.Crashed) != 0 {
			t.Errorf("Leave = %+v, %v; want an error, and that %d have left", report, err, i+1)
		}
		if cause := context.Cause(m.Context()); !errors.Is(cause, barrier.ErrLeft) {
			t.Errorf("the member's context ended by %v, want %v", cause, barrier.ErrLeft)
		}
	}
	wantReport(t, leave(ctx, members[2]), 1, "a b c", "")
}

// CURATOR-233, CURATOR-536: a leave that waits must not spin. curator PR #416: nor wake for what concerns entering.
func TestDoubleLeaveSleeps(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	clients := crew(t, srv, 3)
	members := enterAll(ctx, t, clients...)
	short, cancel := context.WithCancel(ctx)
	first, second := leave(short, members[0]), leave(ctx, members[1])
	testkit.Eventually(t, "both to wait", func() bool { return watches(srv) == 2 })
	before := srv.Count()
	for range 50 { // late comers come and are turned away
		if _, err := barrier.New(clients[2], step, 3).Enter(ctx); !errors.Is(err, barrier.ErrRunning) {
			t.Fatal(err)
		}
	}
	after := srv.Count()
	if n := after.Events - before.Events; n != 0 {
		t.Errorf("%d wake-ups of those who wait", n)
	}
	if n := after.Requests["multi"] - before.Requests["multi"]; n != 0 {
		t.Errorf("%d transactions of those who wait", n)
	}
	cancel()
	if l := <-first; !errors.Is(l.err, context.Canceled) {
		t.Errorf("Leave = %v", l.err)
	}
	wantReport(t, leave(ctx, members[2]), 1, "a b c", "")
	wantReport(t, second, 1, "a b c", "")
}

// PRODUCT.md, herd table: entering takes at most 5 requests a member, and 2 more for the one that starts it. Everybody
// wakes once to enter; of those who leave, the last wakes for each of the others at most, and each of them once.
func TestDouble_B5_Herd(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	const n = 16
	clients := crew(t, srv, n)
	var done []<-chan leaving
	for _, m := range enterAll(ctx, t, clients...) { // makes the nodes
		done = append(done, leave(ctx, m))
	}
	for _, out := range done {
		must(t, (<-out).err)
	}

	before := srv.Count()
	var outs []<-chan entry
	for i, c := range clients {
		outs = append(outs, entering(ctx, c, n))
		testkit.Eventually(t, "a member to look who is there", func() bool {
			return srv.Count().Requests["exists"]-before.Requests["exists"] == 2*(i+1)
		})
	}
	var members []*barrier.Member
	for _, out := range outs {
		e := <-out
		must(t, e.err)
		members = append(members, e.m)
	}
	entered := srv.Count()
	if got, most := entered.Total()-before.Total(), 5*n+2; got > most {
		t.Errorf("%d requests to enter, want at most %d: %v", got, most, entered.Requests)
	}
	if got := entered.Events - before.Events; got != n {
		t.Errorf("%d wake-ups to enter, want %d", got, n)
	}
	done = nil
	for _, m := range members {
		done = append(done, leave(ctx, m))
	}
	for _, out := range done {
		must(t, (<-out).err)
	}
	if got, most := srv.Count().Events-entered.Events, 2*n; got > most {
		t.Errorf("%d wake-ups to leave, want at most %d", got, most)
	}
}
