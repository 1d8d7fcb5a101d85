package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/docent-io/docent/groups"
)

// reportEvery is how often managers publish their load at most. In life it is seconds; a story has no time.
const reportEvery = 100 * time.Millisecond

// selection is what the jobs of the story need.
const selection = "flavor=slurm, version>=1.6"

// scheduleJobs sends jobs to the managers that fit, the least loaded first.
func (s *story) scheduleJobs() error {
	s.title("A scheduler sends jobs to the right flavor, the least loaded first")
	p, err := s.spawn("scheduler")
	if err != nil {
		return err
	}
	s.scheduler = groups.Discover(s.ctx, p.Client, "appmgr", groups.Select(selection))
	s.atEnd(func() error { s.scheduler.Close(); return nil })
	if err := s.scheduler.Synced(s.ctx); err != nil {
		return err
	}
	s.tells("wanted: %s. That leaves %s", selection, names(s.scheduler.All()))

	on, err := s.launch("job-1")
	if err != nil {
		return err
	}
	s.claim(on.name == "am-2" && on.hasJob("job-1"), "job-1 is at %s: am-1 is idle but too old, am-3 is busier", on.name)

	s.managers[1].setLoad(0.90)
	busy := func(list []groups.Instance, err error) bool {
		return err == nil && len(list) > 0 && list[0].ID == "am-2" && list[0].Load > 0.85
	}
	if _, err := until(s.scheduler.Changes(s.ctx), busy); err != nil {
		return err
	}
	s.tells("am-2 reports a load of 0.90, and the scheduler hears of it")
	if on, err = s.launch("job-2"); err != nil {
		return err
	}
	s.claim(on.name == "am-3" && on.hasJob("job-2"), "job-2 is at %s, now the less loaded", on.name)

	lsf := groups.Discover(s.ctx, p.Client, "appmgr", groups.Select("flavor=lsf"))
	defer lsf.Close()
	_, err = lsf.Pick(s.ctx, groups.LeastLoaded())
	s.claim(errors.Is(err, groups.ErrNoInstance), "job-3 wants flavor=lsf and is told at once that there is none: it stays queued in the gateway's database")
	return nil
}

// launch sends a job to a manager, and to the next one as long as the chosen one does not answer.
func (s *story) launch(job string) (*manager, error) {
	for {
		pick, err := s.scheduler.Pick(s.ctx, groups.LeastLoaded())
		if err != nil {
			return nil, fmt.Errorf("launch %s: %w", job, err)
		}
		err = send(s.ctx, pick.Addr(), job)
		pick.Done(err) // a failure puts the manager into this scheduler's quarantine
		id := pick.Instance().ID
		if err != nil {
			s.tells("%s does not answer for %s and is left alone for a while; the next one is asked", id, job)
			continue
		}
		for _, m := range s.managers {
			if m.name == id {
				return m, nil
			}
		}
		return nil, fmt.Errorf("launch %s: %s is nobody we know", job, id)
	}
}

// send hands a job to the manager at addr.
func send(ctx context.Context, addr, job string) error {
	u := url.URL{Scheme: "http", Host: addr, Path: "/", RawQuery: url.Values{"job": {job}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{} // without the proxy of the environment: it is this machine
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

func names(list []groups.Instance) string {
	var ids []string
	for _, in := range list {
		ids = append(ids, fmt.Sprintf("%s (%s, load %.2f)", in.ID, in.Version, in.Load))
	}
	return strings.Join(ids, " and ")
}
