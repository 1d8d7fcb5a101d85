package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/docent-io/docent/internal/wire"
)

// A target is a server to check.
type target struct {
	name  string
	addr  string // its switches are on: nodes with a time to live, hard quotas, the super user
	other string // another member of its ensemble, or the same server
	off   string // a server whose switches are off; "": not to be had
	zk38  bool   // Apache ZooKeeper 3.8: the table of differences holds
	fresh bool   // nothing has been written yet
}

// A scene is a group of checks that share some nodes. A scene whose name holds "trap N" is the test of that trap.
type scene struct {
	name string
	play func(*stage)
}

// scenes are the whole suite.
func scenes() []scene {
	var all []scene
	for _, list := range [][]scene{
		handshakes, frames, creates, nodes, stats, sequences, multis, acls, paths, watches, setWatches, sessions, quotas, others,
	} {
		all = append(all, list...)
	}
	return all
}

// A stage is where a scene is played: on one target, below a node of its own.
type stage struct {
	*testing.T
	*target
	root  string
	scene string
	tally *tally
}

// tally counts the checks that were made.
type tally struct {
	mu     sync.Mutex
	names  map[string]bool
	scenes int
}

func (c *tally) played() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scenes++
}

// is is one check: got is compared with want, or with what the table says of ZooKeeper 3.8.
func (s *stage) is(name string, got, want any) {
	s.Helper()
	name = s.scene + ": " + name
	s.tally.mu.Lock()
	twice := s.tally.names[name]
	s.tally.names[name] = true
	s.tally.mu.Unlock()
	if twice {
		s.Errorf("two checks are called %q", name)
	}
	g, w := show(got), show(want)
	if d, ok := differences[name]; ok && s.zk38 {
		w = d.zk38
	}
	if g != w {
		s.Errorf("%s: got %q, want %q", name, g, w)
	}
}

// words joins what a check compares, each thing behind a blank.
func words(v ...any) string { return strings.TrimSuffix(fmt.Sprintln(v...), "\n") }

func show(v any) string {
	switch v := v.(type) {
	case wire.Code:
		return fmt.Sprint(int32(v))
	case []byte:
		if v == nil {
			return "null"
		}
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// p returns a path below the scene's own node.
func (s *stage) p(path string) string { return s.root + path }

// connect opens a session.
func (s *stage) connect() *raw { return s.connectTo(s.addr) }

func (s *stage) connectTo(addr string) *raw {
	s.Helper()
	r := dial(s.T, addr)
	r.root = s.root
	if resp := r.handshake(wire.ConnectRequest{Timeout: 30_000, Password: make([]byte, 16), HasReadOnly: true}); resp.SessionID == 0 {
		s.Fatal("no session")
	}
	return r
}

// minChecks is how many different checks have to be made on a target.
const minChecks = 250

// perform plays the whole suite on a target.
func perform(t *testing.T, at target) {
	tally := &tally{names: make(map[string]bool)}
	t.Run(at.name, func(t *testing.T) {
		if at.fresh {
			fresh(&stage{T: t, target: &at, scene: "a fresh server", tally: tally})
		}
		for _, sc := range scenes() {
			t.Run(strings.ReplaceAll(sc.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				s := &stage{T: t, target: &at, scene: sc.name, tally: tally}
				s.root = "/" + strings.NewReplacer(" ", "-", ",", "", ":", "", "/", "-").Replace(at.name+" "+sc.name)
				c := s.connect()
				c.root = ""
				c.make(s.root)
				c.sync("/")
				sc.play(s)
				tally.played()
			})
		}
	})
	t.Logf("%s: %d checks", at.name, len(tally.names))
	if tally.scenes < len(scenes()) {
		return // some were not asked for, or have failed
	}
	if len(tally.names) < minChecks {
		t.Errorf("%s: %d checks were made, want at least %d", at.name, len(tally.names), minChecks)
	}
	for name := range differences {
		if at.zk38 && !tally.names[name] && differences[name].zk38 != notAsked {
			t.Errorf("the table of differences names %q, which is no check", name)
		}
	}
}

// skips tells whether a check must not even be tried on this target.
func (s *stage) skips(name string) bool {
	return s.zk38 && differences[s.scene+": "+name].zk38 == notAsked
}
