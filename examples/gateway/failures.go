package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/leader"
)

// loseSome kills a manager and, if the servers are ours, the one that leads them.
func (s *story) loseSome() error {
	if s.ensemble == nil {
		s.title("An application manager dies, and the gateway goes on")
	} else {
		s.title("An application manager dies, then the ensemble's leader, and the gateway goes on")
	}
	dead := s.managers[doomed]
	dead.die()
	died := time.Now()
	s.tells("%s is killed: no good-bye, its session runs out in a while", dead.name)
	on, err := s.launch("job-4")
	if err != nil {
		return err
	}
	s.claim(on.name == "am-2" && on.hasJob("job-4"), "job-4 is at %s all the same", on.name)
	if s.ensemble != nil {
		if err := s.loseLeader(); err != nil {
			return err
		}
	}
	gone := func(list []groups.Instance, err error) bool {
		return err == nil && !slices.ContainsFunc(list, func(in groups.Instance) bool { return in.ID == dead.name })
	}
	if _, err := until(s.scheduler.Changes(s.ctx), gone); err != nil {
		return fmt.Errorf("wait for %s to be gone: %w", dead.name, err)
	}
	after := time.Since(died)
	ids, err := s.registered()
	if err != nil {
		return err
	}
	s.claim(slices.Equal(ids, []string{"am-1", "am-2", "am-4", "am-5"}),
		"%.1f s after its death %s is out of the directory, by nobody's hand: %v", after.Seconds(), dead.name, ids)
	return nil
}

// loseLeader kills the leader of the ensemble, has everybody go on, and starts the dead server again.
func (s *story) loseLeader() error {
	old, err := s.ensemble.leader(0)
	if err != nil {
		return err
	}
	sessions, err := s.sessions()
	if err != nil {
		return err
	}
	killed := time.Now()
	if err := s.ensemble.kill(old); err != nil {
		return err
	}
	s.tells("server %d, which leads the ensemble, is killed", old)

	next := settings{Queue: "night", MaxJobs: 16}
	if err := s.publish(next); err != nil {
		return err
	}
	gap := time.Since(killed)
	now, err := s.ensemble.leader(old)
	if err != nil {
		return err
	}
	s.claim(now != old, "server %d leads, and %v after the kill the next write is acknowledged", now, gap.Round(time.Millisecond))
	if err := s.awaitSettings(next); err != nil {
		return err
	}
	s.claim(s.allUse(next), "the managers that live have got it: %v", next)
	if err := s.goesOn(sessions); err != nil {
		return err
	}

	srv, err := s.ensemble.restart(s.ctx, old)
	if err != nil {
		return err
	}
	if err := srv.Ready(s.ctx); err != nil {
		return fmt.Errorf("wait for server %d: %w", old, err)
	}
	reader, err := s.spawn("reader of the restarted", func(cfg *client.Config) { cfg.Servers = []string{srv.Addr()} })
	if err != nil {
		return err
	}
	stored, _, err := config.Load[settings](s.ctx, reader.Client, settingsPath)
	if err != nil {
		return err
	}
	s.claim(stored == next, "server %d is back from its disk, and has what was written while it was dead", old)
	return nil
}

// goesOn checks that those who hold something hold it still, and that work is still done.
func (s *story) goesOn(before map[string]int64) error {
	after, err := s.sessions()
	if err != nil {
		return err
	}
	same := len(before) > 0
	for id, owner := range before {
		same = same && after[id] == owner
	}
	s.claim(same, "the managers' sessions have survived: they did not even register again")
	info, err := leader.Current(s.ctx, s.operator.Client, writerAt)
	if err != nil {
		return err
	}
	if err := s.store.write(s.ctx, s.writer.token, "job-4", "running"); err != nil {
		return err
	}
	s.claim(info.Token == s.writer.token && context.Cause(s.writer.term) == nil && s.store.read("job-4") == "running",
		"%s is still the writer, with the same token, and writes", s.writer.name)
	on, err := s.launch("job-5")
	if err != nil {
		return err
	}
	s.claim(on.hasJob("job-5"), "the scheduler goes on: job-5 is at %s", on.name)
	return nil
}

// sessions reads which session each manager that lives is registered by.
func (s *story) sessions() (map[string]int64, error) {
	owners := make(map[string]int64)
	for _, m := range s.managers {
		if m.cable.isCut() {
			continue
		}
		node, err := s.operator.Get(s.ctx, "svc/appmgr/"+m.name, client.Fresh())
		if err != nil {
			return nil, err
		}
		owners[m.name] = node.Stat.EphemeralOwner
	}
	return owners, nil
}
