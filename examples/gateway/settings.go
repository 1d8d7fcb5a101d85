package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docent-io/docent/config"
)

const settingsPath = "config/appmgr"

// settings are what all managers have in common.
type settings struct {
	Queue   string
	MaxJobs int
}

func (v settings) String() string { return fmt.Sprintf("queue=%s max=%d", v.Queue, v.MaxJobs) }

func checkSettings(v settings) error {
	if v.Queue == "" {
		return errors.New("no Queue is named")
	}
	if v.MaxJobs < 1 || v.MaxJobs > 64 {
		return fmt.Errorf("a MaxJobs of %d is not within 1 to 64", v.MaxJobs)
	}
	return nil
}

// publish has the operator replace the settings.
func (s *story) publish(v settings, o ...config.Option[settings]) error {
	_, err := config.Update(s.ctx, s.operator.Client, settingsPath, func(settings) (settings, error) { return v, nil }, o...)
	return err
}

// rollOutSettings changes the settings of all managers while they run; then with a mistake.
func (s *story) rollOutSettings() error {
	s.title("Configuration is rolled out live, and a bad value is refused")
	began := time.Now()
	good := settings{Queue: "long", MaxJobs: 8}
	if err := s.publish(good, config.Validate(checkSettings)); err != nil {
		return err
	}
	if err := s.awaitSettings(good); err != nil {
		return err
	}
	s.claim(s.allUse(good), "all %d managers use %v, %v after it was published", len(s.managers), good, time.Since(began).Round(time.Millisecond))

	bad := settings{Queue: "long", MaxJobs: -1}
	err := s.publish(bad, config.Validate(checkSettings))
	s.claim(err != nil, "an operator who checks the value cannot publish it: %v", err)

	if err := s.publish(bad); err != nil {
		return err
	}
	s.tells("another one does not check, and publishes %v", bad)
	for _, m := range s.managers {
		refused := func(_ settings, err error) bool { return isRejected(err) }
		if _, err := until(m.settings.Changes(s.ctx), refused); err != nil {
			return err
		}
	}
	s.claim(s.allUse(good), "every manager refuses it and goes on with %v", good)

	if err := s.publish(good); err != nil {
		return err
	}
	if err := s.awaitSettings(good); err != nil {
		return err
	}
	stored, _, err := config.Load[settings](s.ctx, s.operator.Client, settingsPath)
	if err != nil {
		return err
	}
	s.claim(stored == good && s.noneRefuses(), "the good value is published again: the operator reads %v, and nobody refuses it", stored)
	return nil
}

// awaitSettings waits until every manager that lives has taken v, and refuses nothing.
func (s *story) awaitSettings(v settings) error {
	for _, m := range s.managers {
		if m.cable.isCut() {
			continue
		}
		taken := func(now settings, err error) bool { return now == v && err == nil }
		if _, err := until(m.settings.Changes(s.ctx), taken); err != nil {
			return fmt.Errorf("wait for %s to take %v: %w", m.name, v, err)
		}
	}
	return nil
}

// allUse tells whether v is what every manager that lives works with.
func (s *story) allUse(v settings) bool {
	return !slices.ContainsFunc(s.managers, func(m *manager) bool { return !m.cable.isCut() && m.settings.Get() != v })
}

func (s *story) noneRefuses() bool {
	return !slices.ContainsFunc(s.managers, func(m *manager) bool { return m.settings.Err() != nil })
}

func isRejected(err error) bool {
	var r *config.RejectedError
	return errors.As(err, &r)
}
