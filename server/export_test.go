package server

import "github.com/docent-io/docent/server/internal/tree"

// Sabotage carries out a transaction on this server alone, as if it had been applied twice.
func (s *Server) Sabotage(x *tree.Txn) tree.Result {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	r, _ := s.state.tree.Apply(0, x, nil)
	return r
}

// FlipBit changes the data of a node in memory, past the tree.
func (s *Server) FlipBit(path string) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.tree.Node(path).Data()[0] ^= 1
}

// Snapshot takes a snapshot now.
func (s *Server) Snapshot() error { return s.replica.Snapshot() }
