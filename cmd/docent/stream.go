package main

import (
	"fmt"
	"io"
)

// change is one step of a stream that tells who comes and goes. First come those who are there already, then the event
// known; what comes behind that has happened since.
type change[T any] struct {
	Event  string `json:"event"`            // came, changed, gone; known; stale, fresh; held
	Member *T     `json:"member,omitempty"` // of the first three
	Count  int    `json:"count,omitempty"`  // of known: how many; of held: how many are still shown that vanished at once
}

const (
	came    = "came"
	changed = "changed"
	gone    = "gone"
	known   = "known" // everybody who was there has been told
	stale   = "stale" // the connection is lost: who came or went meanwhile is told behind fresh
	fresh   = "fresh"
	held    = "held" // so many vanished at once that the network may be ill
)

// changes prints a stream of changes, each on a line.
type changes[T any] struct {
	w    io.Writer
	out  *output
	id   func(T) string
	same func(a, b T) bool
	line func(T) string

	there map[string]T
	begun bool
	stale bool
	held  int
}

// show prints in what list differs from the list before: first who is gone.
func (s *changes[T]) show(list []T) error {
	now := make(map[string]T, len(list))
	for _, m := range list {
		now[s.id(m)] = m
	}
	for _, id := range sortedKeys(s.there) {
		if _, there := now[id]; !there {
			if err := s.tell(gone, "-", s.there[id]); err != nil {
				return err
			}
		}
	}
	for _, m := range list {
		old, there := s.there[s.id(m)]
		event, sign := came, "+"
		if there {
			event, sign = changed, "~"
		}
		if there && s.same(old, m) {
			continue
		}
		if err := s.tell(event, sign, m); err != nil {
			return err
		}
	}
	s.there = now
	if s.begun {
		return nil
	}
	s.begun = true
	return s.note(change[T]{Event: known, Count: len(list)}, fmt.Sprintf("= %d known", len(list)))
}

// health prints when the stream becomes stale or is so no more, and when members are held that vanished at once.
func (s *changes[T]) health(isStale bool, heldNow int) error {
	if !s.begun {
		return nil
	}
	if isStale != s.stale {
		s.stale = isStale
		event, text := fresh, "! fresh: connected again"
		if isStale {
			event, text = stale, "! stale: the connection is lost"
		}
		if err := s.note(change[T]{Event: event}, text); err != nil {
			return err
		}
	}
	if heldNow == s.held {
		return nil
	}
	s.held = heldNow
	text := fmt.Sprintf("! held: %d vanished at once, and are still shown for a while", heldNow)
	if heldNow == 0 {
		text = "! held: nobody any more"
	}
	return s.note(change[T]{Event: held, Count: heldNow}, text)
}

func (s *changes[T]) tell(event, sign string, m T) error {
	return s.note(change[T]{Event: event, Member: &m}, sign+" "+s.line(m))
}

func (s *changes[T]) note(c change[T], text string) error {
	return s.out.one(s.w, c, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, text)
		return err
	})
}
