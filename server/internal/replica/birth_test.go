package replica_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/internal/replica"
)

// wipe restarts a member that has stopped as if it had never been there.
func (c *cluster) wipe(nd *node) {
	nd.dir = filepath.Join(c.t.TempDir(), "wiped")
	c.start(nd, nil)
}

// A member that lost its folder, and is started as at first, is turned away by all who knew it, and stops. Removed and
// added anew it is welcome, and the new one is known, too.
func TestWhoForgotMayNotVote(t *testing.T) {
	c := newCluster(t, 3, true, nil)
	lead := c.leader()
	lost := c.other(lead)
	third := c.other(lead, lost)
	acquainted := func() {
		testkit.Eventually(t, "the others know it", func() bool { return lead.r.Knows(lost.id) && third.r.Knows(lost.id) })
	}
	acquainted()
	c.kill(third)
	c.start(third, nil)
	acquainted() // it had written it down, or met it again
	c.kill(lost)
	c.wipe(lost)
	await(t, lost.r.Done())
	wantKind(t, "who forgot", lost.r.Err(), replica.ErrForgot)
	write(t, lead, 1, 1, 10)

	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), lost.id)
	must(t, err)
	lost.join = true
	c.wipe(lost)
	_, err = lead.r.AddMember(withTimeout(t, 20*time.Second), lost.peer(), false)
	must(t, err)
	write(t, lost, 2, 1, 10)
	acquainted()
	c.kill(lost)
	lost.join = false
	c.wipe(lost)
	await(t, lost.r.Done())
	wantKind(t, "who forgot again", lost.r.Err(), replica.ErrForgot)
	lost.r = nil
}

// Who was added knows the others from the start, though they said hello before it knew that they are members. Else one that
// forgets would be turned away by too few.
func TestNewcomerKnowsTheOthers(t *testing.T) {
	c := newCluster(t, 3, true, nil)
	lead := c.leader()
	fresh := c.other(lead)
	third := c.other(lead, fresh)
	testkit.Eventually(t, "all know it", func() bool { return lead.r.Knows(third.id) && fresh.r.Knows(third.id) })
	c.kill(fresh)
	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), fresh.id)
	must(t, err)
	fresh.join = true
	c.wipe(fresh)
	_, err = lead.r.AddMember(withTimeout(t, 20*time.Second), fresh.peer(), false)
	must(t, err)
	testkit.Eventually(t, "the newcomer knows all", func() bool { return fresh.r.Knows(lead.id) && fresh.r.Knows(third.id) })
	c.kill(third)
	c.wipe(third)
	await(t, third.r.Done())
	wantKind(t, "who forgot", third.r.Err(), replica.ErrForgot)
	third.r = nil
}

// Waiting to be added is no way round: the leader does not send anything to a store that is not the member's.
func TestWhoForgotIsNotTaughtAnew(t *testing.T) {
	c := newCluster(t, 3, true, nil)
	lead := c.leader()
	lost := c.other(lead)
	write(t, lead, 1, 1, 10)
	testkit.Eventually(t, "all know it", func() bool {
		return lead.r.Knows(lost.id) && c.other(lead, lost).r.Knows(lost.id)
	})
	c.kill(lost)
	lost.join = true
	c.wipe(lost)
	write(t, lead, 1, 11, 100)
	must(t, lead.r.Sync(withTimeout(t, 10*time.Second)))
	if got := lost.r.Members(); len(got) > 0 || lost.r.Stats().AppliedIndex > 0 {
		t.Errorf("a member with another folder was sent the log: %v, %+v", got, lost.r.Stats())
	}
	_, err := lead.r.RemoveMember(withTimeout(t, 20*time.Second), lost.id)
	must(t, err)
	_, err = lead.r.AddMember(withTimeout(t, 20*time.Second), lost.peer(), false)
	must(t, err)
	write(t, lost, 2, 1, 10)
}

// A retired member goes on, and can write; when it has been gone for a while it is forgotten.
func TestRetire(t *testing.T) {
	testkit.ChangesAddress(t)
	c := newCluster(t, 3, true, func(cfg *replica.Config) { cfg.ElectionTimeout = 100 * time.Millisecond })
	lead := c.leader()
	old := c.other(lead)
	list, err := old.r.RetireMember(withTimeout(t, 20*time.Second), old.id)
	must(t, err)
	if len(list) != 2 {
		t.Errorf("members: %v", list)
	}
	write(t, old, 1, 1, 10)
	testkit.Eventually(t, "it is in no list", func() bool { return len(old.r.Members()) == 2 && len(old.voters()) == 2 })
	list, err = lead.r.AddMember(withTimeout(t, 20*time.Second), old.peer(), false)
	must(t, err)
	if len(list) != 3 {
		t.Errorf("members after its coming back: %v", list)
	}
	_, err = lead.r.RetireMember(withTimeout(t, 20*time.Second), lead.id) // the lead is handed over
	must(t, err)
	write(t, lead, 1, 11, 10)
	c.kill(lead)
	lead2 := c.leader()
	testkit.Eventually(t, "it is forgotten", func() bool { return lead2.r.Retired() == 0 })
	c.start(lead, nil)
	removed(t, lead)
}
