package differential

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/internal/wire"
)

var (
	requests = flag.Int("requests", 10000, "how many requests to compare")
	seed     = flag.Uint64("seed", 1, "which ones")
)

const sessions = 4

// Differences that are explained: what docent answers as 3.9 does, and 3.8 otherwise, as far as the generator does not
// keep away from it. Each is counted.
var explained = []struct {
	why  string
	fits func(q request, docent, zookeeper string) bool
}{
	{"exists needs READ since 3.9.2 (ZOOKEEPER-2590)", func(q request, docent, zookeeper string) bool {
		return q.op == wire.OpExists && strings.HasPrefix(docent, "error -102,") && strings.HasPrefix(zookeeper, "{")
	}},
	{"checkWatches of 3.8 tells of the watches of any session (mended with ZOOKEEPER-4471)", func(q request, docent, zookeeper string) bool {
		return q.op == wire.OpCheckWatches && docent == "error -121, 0 bytes" && zookeeper == "ok "
	}},
	{"checkWatches of 3.8 walks up a path, which must be one (mended with ZOOKEEPER-4471)", func(q request, docent, zookeeper string) bool {
		return q.op == wire.OpCheckWatches && docent == "error -121, 0 bytes" && zookeeper == "error -5, 0 bytes" && !strings.HasPrefix(q.what, `"/`)
	}},
	{"sync of a null path, which no client sends, is refused as by every other request (no issue known)", func(q request, docent, zookeeper string) bool {
		return q.op == wire.OpSync && docent == "error -5, 0 bytes" && strings.HasPrefix(zookeeper, `"" (wire: null`)
	}},
	{"getAllChildrenNumber of the root by its other name, the empty one, counts the root too (no issue known)", func(q request, docent, zookeeper string) bool {
		d, err1 := strconv.Atoi(docent)
		z, err2 := strconv.Atoi(zookeeper)
		return q.op == wire.OpGetAllChildrenNumber && strings.HasPrefix(q.what, `""`) && errors.Join(err1, err2) == nil && z == d+1
	}},
}

// A step is a request, for the report of a difference.
type step struct {
	session          int
	q                request
	docent, apache   string
	events1, events2 string
}

func (s step) String() string {
	text := fmt.Sprintf("\nsession %d: %v %s\n  %s %s", s.session, s.q.op, s.q.what, s.docent, s.events1)
	if s.docent != s.apache || s.events1 != s.events2 {
		text += fmt.Sprintf("\n  ZooKeeper: %s %s", s.apache, s.events2)
	}
	return text
}

// The same requests to both servers get the same replies, codes, Stats (times aside) and events.
func TestDifferential(t *testing.T) {
	if !peers.Required() {
		t.Skip("takes a minute and needs Apache ZooKeeper: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
	bin := peers.Build(t, "./cmd/docent")
	docent := newSide(t, "docent", startDocent(t, bin), sessions)
	zk := newSide(t, "Apache ZooKeeper", peers.Zookeeper(t, "-Dzookeeper.extendedTypesEnabled=true", "-Dznode.container.checkIntervalMs=100000000",
		"-Dzookeeper.forceSync=no"), sessions)
	known, err := compare(docent, zk, newGenerator(*seed), *requests)
	if err != nil {
		t.Fatalf("seed %d: %v", *seed, err)
	}
	t.Logf("docent took %v, Apache ZooKeeper %v", docent.took.Round(time.Millisecond), zk.took.Round(time.Millisecond))
	t.Logf("seed %d: %d requests; explained differences:", *seed, *requests)
	for why, n := range known {
		t.Logf("%6d %s", n, why)
	}
}

// Two servers that differ in a setting are told apart.
func TestDifferential_Notices(t *testing.T) {
	if !peers.Required() {
		t.Skip("takes a minute and needs Apache ZooKeeper: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
	bin := peers.Build(t, "./cmd/docent")
	a := newSide(t, "docent", startDocent(t, bin), sessions)
	b := newSide(t, "docent without TTLs", startDocent(t, bin, "--extended-types=false"), sessions)
	if _, err := compare(a, b, newGenerator(*seed), 5000); err == nil || !strings.Contains(err.Error(), "createTTL") {
		t.Fatalf("a server without TTLs passes for one with them: %v", err)
	}
}

// compare puts n requests to both sides, up to the first difference that nothing explains.
func compare(docent, zk *side, g *generator, n int) (known map[string]int, err error) {
	const age = 2000
	known = make(map[string]int)
	var history []step
	for i := range n {
		session, q := g.rng.IntN(sessions), request{}
		if i%age == 0 {
			session, q = 0, g.newWorld(i/age)
		} else {
			q = g.next(session)
		}
		s := step{session: session, q: q}
		both(func() { s.docent, s.events1 = docent.step(session, q) }, func() { s.apache, s.events2 = zk.step(session, q) })
		history = append(history, s)
		if s.docent != s.apache || s.events1 != s.events2 {
			why := explain(s)
			if why == "" {
				return known, fmt.Errorf("request %d is answered differently; what led to it:%v", i, related(history))
			}
			known[why]++
			continue
		}
		if q.op == wire.OpCreate && strings.HasPrefix(s.docent, `"`) {
			var path string
			if json.Unmarshal([]byte(s.docent), &path) == nil && !strings.HasSuffix(path, "/a") {
				g.learn(path)
			}
		}
		if err := reconnect(docent, zk, s); err != nil {
			return known, fmt.Errorf("request %d: %w\n%v", i, err, related(history))
		}
	}
	return known, nil
}

// related are the last steps, and those before that concern the node which the last one is about.
func related(history []step) []step {
	last := len(history) - 1
	path := strings.Split(history[last].q.what+`""`, `"`)[1]
	var list []step
	for i, s := range history {
		if i > last-3 || path != "" && (strings.Contains(s.q.what+s.docent+s.events1, `"`+path+`"`) || strings.Contains(s.q.what, path+" ") || strings.Contains(s.q.what, path+"]")) {
			list = append(list, s)
		}
	}
	return list[max(0, len(list)-40):]
}

// both runs the two at once: most of the time is waiting.
func both(f, g func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	g()
	<-done
}

func explain(s step) string {
	if s.events1 != s.events2 {
		return ""
	}
	for _, e := range explained {
		if e.fits(s.q, s.docent, s.apache) {
			return e.why
		}
	}
	return ""
}

// reconnect attaches the sessions again whose connections both servers have closed.
func reconnect(docent, zk *side, s step) error {
	for i := range sessions {
		if !strings.Contains(s.events1, fmt.Sprintf("session %d: closed", i)) {
			continue
		}
		a, b := docent.connect(i), zk.connect(i)
		if a == "expired" && b == "expired" {
			a, b = docent.connect(i), zk.connect(i)
		}
		if a != "attached" || b != "attached" {
			return fmt.Errorf("session %d connects again: docent says %s, ZooKeeper %s", i, a, b)
		}
	}
	return nil
}

func startDocent(t *testing.T, bin string, flags ...string) string {
	t.Helper()
	addr := peers.FreeAddr(t)
	p := peers.Start(t, "docent", exec.Command(bin, append([]string{"serve", "--data", t.TempDir(), "--listen", addr, "--extended-types", "--container-interval", "100h"}, flags...)...))
	if _, err := p.Line("serving", patience); err != nil {
		t.Fatal(err)
	}
	return addr
}
