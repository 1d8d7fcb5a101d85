package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
)

// doomed is the manager that dies at the end.
const doomed = 2

// manager is an application manager: it takes jobs for one kind of cluster, its flavor, over HTTP.
type manager struct {
	*process
	reg      *groups.Registration
	settings *config.Value[settings]
	web      *http.Server

	mu   sync.Mutex // guards load and jobs
	load float64
	jobs []string
}

// registerManagers brings up five managers of three flavors.
func (s *story) registerManagers() error {
	s.title("Application managers register: who they are, where, which flavor and version, how loaded")
	if err := s.publish(settings{Queue: "short", MaxJobs: 4}); err != nil {
		return err
	}
	for i, in := range []groups.Instance{
		{ID: "am-1", Flavor: "slurm", Version: "1.5.0", Load: 0.05},
		{ID: "am-2", Flavor: "slurm", Version: "1.6.2", Load: 0.20},
		{ID: "am-3", Flavor: "slurm", Version: "1.7.0", Load: 0.50},
		{ID: "am-4", Flavor: "pbs", Version: "0.9.1", Load: 0.30},
		{ID: "am-5", Flavor: "aws", Version: "2.0.0", Load: 0.10},
	} {
		var change []func(*client.Config)
		if i == doomed {
			change = append(change, mortally)
		}
		m, err := s.startManager(in, change...)
		if err != nil {
			return fmt.Errorf("start %s: %w", in.ID, err)
		}
		s.managers = append(s.managers, m)
		now := m.reg.Instance()
		s.tells("%-5s %-6s %-6s load %.2f  %s", now.ID, now.Flavor, now.Version, now.Load, now.Addr())
	}
	ids, err := s.registered()
	if err != nil {
		return err
	}
	s.claim(slices.Equal(ids, []string{"am-1", "am-2", "am-3", "am-4", "am-5"}), "the operator finds all five: %v", ids)
	return nil
}

// startManager starts a process that reads its settings, opens its port, and then registers: whoever finds it can use it.
func (s *story) startManager(in groups.Instance, change ...func(*client.Config)) (*manager, error) {
	p, err := s.spawn(in.ID, change...)
	if err != nil {
		return nil, err
	}
	m := &manager{process: p, load: in.Load}
	if m.settings, err = config.Watch(s.ctx, p.Client, settingsPath, config.Validate(checkSettings)); err != nil {
		return nil, err
	}
	s.atEnd(func() error { m.settings.Close(); return nil })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.web = &http.Server{Handler: http.HandlerFunc(m.takeJob)}
	s.start("serve the jobs of "+in.ID, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { m.web.Close() })()
		if err := m.web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	in.Service, in.Host, in.Port = "appmgr", "127.0.0.1", ln.Addr().(*net.TCPAddr).Port
	if m.reg, err = groups.Register(s.ctx, p.Client, in, groups.ReportEvery(reportEvery)); err != nil {
		return nil, err
	}
	s.start("report the load of "+in.ID, func(ctx context.Context) error {
		m.reg.ReportLoad(ctx, m.currentLoad)
		return m.reg.Close() // whoever still looks sees it go, before its port closes
	})
	return m, nil
}

func (m *manager) takeJob(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, r.FormValue("job"))
	w.WriteHeader(http.StatusAccepted)
}

func (m *manager) hasJob(job string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.jobs, job)
}

func (m *manager) currentLoad() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load
}

func (m *manager) setLoad(load float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load = load
}

// die ends the manager as kill -9 would: its port is closed by the system, and nobody hears from it again. Its session
// lives on at the servers until its time is up.
func (m *manager) die() {
	m.cable.cut()
	m.web.Close()
	m.Close() // says good-bye into a cut cable
}

// registered reads who is in the directory of managers, by the raw names that any ZooKeeper client sees.
func (s *story) registered() ([]string, error) {
	ids, _, err := s.operator.Children(s.ctx, "svc/appmgr", client.Fresh())
	slices.Sort(ids)
	return ids, err
}
