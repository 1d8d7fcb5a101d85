package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// memberTimeout bounds a change of members that an operator asks for: a new voter may have gigabytes to get first.
const memberTimeout = 10 * time.Minute

const jsonType = "application/json"

// adminMembers tells who belongs to the ensemble, as far as this server knows.
func adminMembers(s *Server) (map[string]any, error) {
	leader, _ := s.replica.Leader()
	return map[string]any{"members": s.Members(), "leader": leader, "server_id": s.cfg.ID}, nil
}

func adminObservers(s *Server) (map[string]any, error) {
	list := []Member{}
	for _, m := range s.Members() {
		if m.Observer {
			list = append(list, m)
		}
	}
	return map[string]any{"synced_observers": len(list), "observers": list}, nil
}

// serveMember carries out /commands/member/add, remove or transfer. The body is a [Member] as JSON, of which remove and
// transfer need the id; the answer is that of /commands/member. It needs what a backup needs.
func (s *Server) serveMember(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	// A page in a browser on this machine cannot send this type without asking first.
	if r.Header.Get("Content-Type") != jsonType {
		http.Error(w, "want a member as "+jsonType, http.StatusUnsupportedMediaType)
		return
	}
	m, err := readMember(r.Body)
	if err != nil {
		http.Error(w, `want {"id": 1 to 254, "address": "HOST:PORT", "observer": true or false}`, http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), memberTimeout)
	defer cancel()
	verb := r.PathValue("verb")
	members, err := s.changeMember(ctx, verb, m)
	if err != nil {
		s.log.Info("change of members refused", "verb", verb, "id", m.ID, "address", m.Addr, "by", r.RemoteAddr, "cause", err)
		http.Error(w, fmt.Sprintf("%s: %v", verb, err), memberStatus(err))
		return
	}
	s.log.Info("members changed", "verb", verb, "id", m.ID, "address", m.Addr, "by", r.RemoteAddr)
	leader, _ := s.replica.Leader()
	w.Header().Set("Content-Type", jsonType)
	fields := map[string]any{"members": members, "leader": leader, "server_id": s.cfg.ID}
	if err := writeCommand(w, fields, "member", ""); err != nil {
		s.log.Debug("operator not answered", "command", "member", "error", err)
	}
}

var errNoMember = errors.New("no member as JSON")

// readMember reads a member and nothing behind it: what is half understood changes no ensemble.
func readMember(body io.Reader) (m Member, err error) {
	d := json.NewDecoder(io.LimitReader(body, 4096))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Member{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || m.ID < 1 || m.ID > maxID {
		return Member{}, errNoMember
	}
	return m, nil
}

var errNoVerb = errors.New("want add, remove or transfer")

func (s *Server) changeMember(ctx context.Context, verb string, m Member) ([]Member, error) {
	switch verb {
	case "add":
		return s.AddMember(ctx, m)
	case "remove":
		return s.RemoveMember(ctx, m.ID)
	case "transfer":
		err := s.TransferLead(ctx, m.ID)
		return s.Members(), err
	}
	return nil, errNoVerb
}

func memberStatus(err error) int {
	switch {
	case errors.Is(err, errNoVerb):
		return http.StatusNotFound
	case errors.Is(err, ErrUnknownMember):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrMemberExists), errors.Is(err, ErrChanging), errors.Is(err, ErrNoMajority), errors.Is(err, ErrUnreachable):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}
