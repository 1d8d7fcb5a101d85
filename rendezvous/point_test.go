package rendezvous_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
	"github.com/docent-io/docent/server/servertest"
)

var here, there = endpoint{"n1", 4242}, endpoint{"n2", 4243}

func TestWorkersFirst(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	master, worker := srv.Dial(t, named("m")), srv.Dial(t)
	out := waitFor(ctx, at(worker))
	watching(t, srv, 1)
	if _, exists, err := master.Exists(ctx, "/jobs"); err != nil || exists {
		t.Errorf("a worker that waits has made a node: %v, %v", exists, err)
	}
	must(t, at(master).Post(ctx, here))
	got := <-out
	must(t, got.err)
	if got.Value != here || got.Gone || got.Epoch == 0 || got.Poster != "m" {
		t.Errorf("Wait = %+v", got.info)
	}
	watching(t, srv, 0)
}

func TestMasterFirst(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	must(t, at(srv.Dial(t)).Post(ctx, here))
	if got, err := at(srv.Dial(t)).Wait(ctx); err != nil || got.Value != here {
		t.Errorf("Wait = %+v, %v", got, err)
	}
}

// The textbook recipe creates the node and fills it then.
func TestWait_V1_EmptyIsNotPosted(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	master, worker := srv.Dial(t), srv.Dial(t)
	_, err := master.Create(ctx, meet+"/info", nil, client.Ephemeral(), client.Parents())
	must(t, err)
	out := waitFor(ctx, at(worker))
	watching(t, srv, 1)
	must(t, at(master).Post(ctx, here)) // the same session fills it
	if got := <-out; got.err != nil || got.Value != here {
		t.Errorf("Wait = %+v", got)
	}
}

func TestWaitUnreadable(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for _, data := range []string{"n1:4242", `{"by":"m"}`, `{"by":"m","value":"n1"}`} {
		_, err := c.Create(ctx, meet+"/info", []byte(data), client.Parents())
		must(t, err)
		if got, err := at(c).Wait(ctx); err == nil {
			t.Errorf("Wait read %q as %+v", data, got)
		}
		must(t, c.Delete(ctx, meet+"/info", -1))
	}
}

// A worker that is told to go by other means must not see the master before, even on a server that lags.
func TestWait_V2_IsFresh(t *testing.T) {
	cl, ctx := servertest.NewCluster(t, 3), testContext(t)
	old, next := cl.Servers[0].Dial(t), cl.Servers[1].Dial(t)
	worker := cl.Servers[2].Dial(t)
	for range 20 {
		must(t, at(old).Post(ctx, here))
		must(t, at(old).Withdraw(ctx))
		must(t, at(next).Post(ctx, there))
		got, err := at(worker).Wait(ctx)
		if err != nil || got.Value != there {
			t.Fatalf("Wait = %+v, %v; want the posting of the next master", got, err)
		}
		must(t, at(next).Withdraw(ctx))
	}
}

func TestWaitCancelledLeavesNothing(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	short, cancel := context.WithCancel(ctx)
	out := waitFor(short, at(srv.Dial(t)))
	watching(t, srv, 1)
	cancel()
	if got := <-out; !errors.Is(got.err, context.Canceled) {
		t.Errorf("Wait = %+v, want that it was cancelled", got)
	}
	watching(t, srv, 0)
}

func TestWaitOutlivesItsSession(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	master, worker := srv.Dial(t), srv.Dial(t)
	out := waitFor(ctx, at(worker))
	watching(t, srv, 1)
	s, err := worker.Session(ctx)
	must(t, err)
	srv.Expire(worker)
	<-s.Context().Done()
	watching(t, srv, 1)
	must(t, at(master).Post(ctx, here))
	if got := <-out; got.err != nil || got.Value != here {
		t.Errorf("Wait = %+v", got)
	}
}

func TestFollow_V3_GoneAndNewEpochs(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	first, second := srv.Dial(t, named("m1")), srv.Dial(t, named("m2"))
	ctx, stop := context.WithCancel(ctx)
	steps := follow(ctx, at(srv.Dial(t)))

	must(t, at(first).Post(ctx, here))
	a := <-steps
	if a.err != nil || a.Value != here || a.Poster != "m1" {
		t.Fatalf("first %+v", a)
	}
	must(t, at(first).Post(ctx, there)) // new data of the same posting
	b := <-steps
	if b.err != nil || b.Value != there || b.Epoch != a.Epoch {
		t.Fatalf("then %+v", b)
	}
	srv.Expire(first)
	gone := <-steps
	if gone.err != nil || !gone.Gone || gone.Epoch != a.Epoch || gone.Poster != "m1" || gone.Value != (endpoint{}) {
		t.Fatalf("then %+v", gone)
	}
	must(t, at(second).Post(ctx, here))
	c := <-steps
	if c.err != nil || c.Value != here || c.Epoch <= a.Epoch || c.Poster != "m2" {
		t.Fatalf("then %+v", c)
	}
	stop()
	if last := <-steps; !errors.Is(last.err, context.Canceled) {
		t.Errorf("ended by %v", last.err)
	}
	if _, more := <-steps; more {
		t.Error("went on after an error")
	}
	watching(t, srv, 0)
}

func TestFollowAgainOnTheNextSession(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	master, worker := srv.Dial(t), srv.Dial(t)
	must(t, at(master).Post(ctx, here))
	steps := follow(ctx, at(worker))
	<-steps
	s, err := worker.Session(ctx)
	must(t, err)
	srv.Expire(worker)
	<-s.Context().Done()
	must(t, at(master).Gather(ctx, 1)) // it is present again
	must(t, at(master).Withdraw(ctx))
	if got := <-steps; got.err != nil || !got.Gone {
		t.Errorf("after its session it saw %+v; want Gone, and nothing twice", got)
	}
}

func TestPost_V4_OneAtATime(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	first, second := srv.Dial(t, named("m1")), srv.Dial(t, named("m2"))
	must(t, at(first).Post(ctx, here))
	err := at(second).Post(ctx, there)
	var posted *rendezvous.PostedError
	if !errors.Is(err, rendezvous.ErrPosted) || !errors.As(err, &posted) || posted.By != "m1" || posted.Epoch == 0 {
		t.Fatalf("second Post = %v", err)
	}
	must(t, at(second).Withdraw(ctx)) // has nothing to withdraw
	must(t, at(first).Withdraw(ctx))
	must(t, at(second).Post(ctx, there))
}

// The reply to the create is lost: the master must not take its own posting for another's.
func TestPost_V4_LostReply(t *testing.T) {
	for _, op := range []string{"create", "setData"} {
		t.Run(op, func(t *testing.T) {
			srv, ctx := servertest.New(t), testContext(t)
			c := srv.Dial(t)
			if op == "setData" {
				must(t, at(c).Post(ctx, there))
			}
			srv.Inject(servertest.DropReply(op, 1))
			must(t, at(c).Post(ctx, here))
			if got, err := at(c).Wait(ctx); err != nil || got.Value != here {
				t.Errorf("Wait = %+v, %v", got, err)
			}
			srv.Inject(servertest.DropReply("delete", 1))
			must(t, at(c).Withdraw(ctx))
			if _, there, err := c.Exists(ctx, meet+"/info"); err != nil || there {
				t.Errorf("after Withdraw: %v, %v", there, err)
			}
		})
	}
}

func TestOnTerm_V5_EndsWithTheTerm(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	old := newTerm(t, c, 7)
	must(t, at(c, rendezvous.OnTerm(old)).Post(ctx, here))
	steps := follow(ctx, at(srv.Dial(t)))
	<-steps
	old.end()
	if got := <-steps; got.err != nil || !got.Gone {
		t.Errorf("after the term: %+v", got)
	}
	if err := at(c, rendezvous.OnTerm(old)).Post(ctx, here); err == nil {
		t.Error("posted after the term")
	}
}

func TestOnTerm_V5_LaterTermsDisplaceEarlierOnes(t *testing.T) {
	for _, same := range []bool{true, false} {
		t.Run(fmt.Sprint("same session ", same), func(t *testing.T) {
			srv, ctx := servertest.New(t), testContext(t)
			a := srv.Dial(t)
			b := a
			if !same {
				b = srv.Dial(t)
			}
			old, next := newTerm(t, a, 7), newTerm(t, b, 9)
			must(t, at(a, rendezvous.OnTerm(old)).Post(ctx, here))
			first, err := at(a).Wait(ctx)
			must(t, err)
			must(t, at(b, rendezvous.OnTerm(next)).Post(ctx, there))
			second, err := at(a).Wait(ctx)
			if err != nil || second.Value != there || second.Epoch <= first.Epoch {
				t.Errorf("after the later term's Post: %+v, %v", second, err)
			}
			if err := at(a, rendezvous.OnTerm(old)).Post(ctx, here); !errors.Is(err, rendezvous.ErrPosted) {
				t.Errorf("Post of the earlier term = %v, want %v", err, rendezvous.ErrPosted)
			}
			if err := at(a).Post(ctx, here); !errors.Is(err, rendezvous.ErrPosted) {
				t.Errorf("Post without a term = %v, want %v", err, rendezvous.ErrPosted)
			}
			old.end() // takes nothing back that is not its own
			must(t, at(a, rendezvous.OnTerm(next)).Post(ctx, there))
			if got, err := at(a).Wait(ctx); err != nil || got.Epoch != second.Epoch {
				t.Errorf("after the earlier term: %+v, %v", got, err)
			}
		})
	}
}

func TestOnTermThroughANamespace(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	must(t, at(c.Sub("/proj"), rendezvous.OnTerm(newTerm(t, c, 1))).Post(ctx, here))
	if _, there, err := c.Exists(ctx, "/proj"+meet+"/info"); err != nil || !there {
		t.Errorf("posted in the namespace: %v, %v", there, err)
	}
}

func TestGather_V6(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	master := srv.Dial(t)
	out := make(chan error, 1)
	go func() { out <- at(master).Gather(ctx, 3) }()
	watching(t, srv, 1) // for the directory to come

	workers, stop := context.WithCancel(ctx)
	defer stop()
	var ends []<-chan outcome
	for i := range 3 {
		ends = append(ends, follow(workers, at(srv.Dial(t))))
		if i < 2 {
			watching(t, srv, 1+2*(i+1)) // the master's, and two of each worker: its own node, and the posting
		}
		if i == 0 {
			_, err := master.Create(ctx, meet+"/w/readme", nil) // a stranger is no worker
			must(t, err)
		}
		if i < 2 {
			select {
			case err := <-out:
				t.Fatalf("gathered 3 of %d: %v", i+1, err)
			default:
			}
		}
	}
	must(t, <-out)
	stop()
	for _, end := range ends {
		if last := <-end; !errors.Is(last.err, context.Canceled) {
			t.Errorf("ended by %+v", last)
		}
		<-end // closed once the loop has ended
	}
	must(t, master.Delete(ctx, meet+"/w/readme", -1))
	if names, _, err := master.Children(ctx, meet+"/w", client.Fresh()); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	watching(t, srv, 0)
}

func TestGatherEndsWithTheTerm(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	term := newTerm(t, c, 1)
	out := make(chan error, 1)
	go func() { out <- at(c, rendezvous.OnTerm(term)).Gather(ctx, 1) }()
	watching(t, srv, 1)
	term.end()
	if err := <-out; !errors.Is(err, context.Canceled) {
		t.Errorf("Gather = %v", err)
	}
}

func TestMeetingOutlivesItsServer(t *testing.T) {
	cl, ctx := servertest.NewCluster(t, 3), testContext(t)
	master, worker := cl.Dial(t), cl.Dial(t)
	steps := follow(ctx, at(worker))
	must(t, at(master).Post(ctx, here))
	first := <-steps
	must(t, first.err)
	cl.KillLeader()
	must(t, at(master).Post(ctx, there))
	for got := range steps {
		if got.err != nil || got.Value != there && got.Value != here {
			t.Fatalf("after the leader: %+v", got)
		}
		if got.Value == there && got.Epoch == first.Epoch {
			return
		}
	}
}
