package interop_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
)

// Programs that contend for one lock, each with the recipe of another client. They read orders from their standard
// input, one a line, and answer "done":
//
//	turns ADDR PATH COUNTER N        enter N times, and add one to the number in the file COUNTER each time
//	terms ADDR PATH COUNTER N LAYOUT the same as the leader of an election, each time of another one
//	bench ADDR PATH CONTENDERS MS    let so many contenders take turns for so long; the answer tells "COUNT NANOSECONDS"
//	relock ADDR PATH CONTENDERS MS   the same by Mutex.Relock; docent's alone
//
// ADDR may be a list with commas; a %d in the PATH of bench gives each contender a lock of its own.

// contender is such a program.
type contender struct {
	*peers.Process
	orders io.Writer
}

const contendTime = 3 * time.Minute // for an order

func startContender(t testing.TB, name string, cmd *exec.Cmd) *contender {
	t.Helper()
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &contender{Process: peers.Start(t, name, cmd), orders: orders}
	if _, err := c.Line("ready", contendTime); err != nil {
		t.Fatal(err)
	}
	return c
}

// do gives an order, and returns the rest of the answer.
func (c *contender) do(order string, args ...any) (string, error) {
	if _, err := fmt.Fprintln(c.orders, append([]any{order}, args...)...); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", c.Name, err, c.Tail())
	}
	answer, err := c.Line("done", contendTime)
	return strings.TrimPrefix(answer, "done"), err
}

func docentContender(t testing.TB, flags ...string) *contender {
	return startContender(t, "docent", exec.Command(peers.Build(t, "./internal/interop/contend"), flags...))
}

func gozkContender(t testing.TB) *contender {
	t.Helper()
	download := exec.Command("go", "mod", "download")
	download.Dir = "gozk"
	if out, err := download.CombinedOutput(); err != nil {
		peers.Missing(t, "go-zookeeper/zk cannot be downloaded: %v\n%s", err, out)
	}
	bin := filepath.Join(t.TempDir(), "contend")
	build := exec.Command("go", "build", "-o", bin, "./contend")
	build.Dir = "gozk"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build in gozk: %v\n%s", err, out)
	}
	return startContender(t, "go-zookeeper", exec.Command(bin))
}

// curatorPath is the class path of Debian's jars, whose manifests name those that they need.
func curatorPath(t testing.TB) string {
	t.Helper()
	const dir = "/usr/share/java/"
	for _, jar := range []string{"curator-recipes.jar", "curator-x-discovery.jar"} {
		if _, err := os.Stat(dir + jar); err != nil {
			peers.Missing(t, "Curator (Debian: apt-get install libcurator-recipes-java libcurator-discovery-java): %v", err)
		}
	}
	if _, err := exec.LookPath("javac"); err != nil {
		peers.Missing(t, "no javac in PATH (Debian: apt-get install default-jdk-headless)")
	}
	var jars []string
	for _, jar := range []string{"curator-recipes", "curator-x-discovery", "curator-framework", "curator-client", "zookeeper",
		"jackson-databind", "jackson-core", "jackson-annotations", "guava", "slf4j-nop"} {
		jars = append(jars, dir+jar+".jar")
	}
	return strings.Join(jars, ":")
}

// curatorProgram compiles and starts a program of testdata that takes orders.
func curatorProgram(t testing.TB, class string) *contender {
	t.Helper()
	dir, path := t.TempDir(), curatorPath(t)
	if out, err := exec.Command("javac", "-cp", path, "-d", dir, "testdata/"+class+".java").CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return startContender(t, "Curator", exec.Command("java", "-Xmx256m", "-cp", path+":"+dir, class))
}

func curatorContender(t testing.TB) *contender { return curatorProgram(t, "Contend") }

// kazooContender uses names that Curator can read, unless they are to be kazoo's own.
func kazooContender(t *testing.T, args ...string) *contender {
	return startContender(t, "kazoo", exec.Command(findKazoo(t), append([]string{"testdata/contend.py"}, args...)...))
}

// takeTurns lets all contenders enter so many times under one lock at once.
func takeTurns(t *testing.T, addr, path string, turns int, all ...*contender) {
	t.Helper()
	contend(t, turns, all, func(c *contender, counter string) (string, error) { return c.do("turns", addr, path, counter, turns) })
}

// contend lets all add to a counter so many times, at once.
func contend(t *testing.T, turns int, all []*contender, order func(c *contender, counter string) (string, error)) {
	t.Helper()
	counter := filepath.Join(t.TempDir(), "counter")
	if err := os.WriteFile(counter, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if _, err := order(c, counter); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(counter)
	if want := strconv.Itoa(turns * len(all)); err != nil || string(text) != want {
		t.Errorf("the counter is %s (%v), want %s: some were inside together", text, err, want)
	}
}

// turns is how often each program enters while the others wait, and pairTurns while one other does; with -short, less.
const turns, pairTurns = 200, 30

func some(n int) int {
	if testing.Short() {
		return n / 4
	}
	return n
}

// contendedServers are docent and Apache ZooKeeper, by their names in the matrix.
func contendedServers(t *testing.T) map[string]string {
	apache := peers.Zookeeper(t)
	return map[string]string{
		"docent 1": peers.Standalone(t, peers.Build(t, "./cmd/docent")).Addr,
		zookeeperColumn(peers.Version(t, apache)): apache,
	}
}

// Go, Curator, kazoo and go-zookeeper contend for one lock, any two of them and all together. Curator does not see the
// names kazoo gives its nodes by itself, so kazoo takes part with others; see zookeeper-protocol.md 14.5.
func TestLock_AllClientsTakeTurns(t *testing.T) {
	needContenders(t)
	all := []*contender{docentContender(t), curatorContender(t), gozkContender(t), kazooContender(t, "--curator")}
	names := []string{"docent", "Curator", "go-zookeeper", "kazoo, Curator's names"}
	for name, addr := range contendedServers(t) {
		t.Run(name, func(t *testing.T) {
			for i := range all {
				for j := i + 1; j < len(all); j++ {
					takeTurns(t, addr, fmt.Sprintf("/locks/pair-%d-%d", i, j), some(pairTurns), all[i], all[j])
					met(t, name, "lock", names[i], names[j])
				}
			}
			takeTurns(t, addr, "/locks/mixed", some(turns), all...)
		})
	}
}

// Kazoo as it comes heeds no names but its own, so docent uses those (Compat).
func TestLock_PlainKazooTakesTurns(t *testing.T) {
	needContenders(t)
	all := []*contender{docentContender(t, "-kazoo"), docentContender(t, "-kazoo"), kazooContender(t), kazooContender(t)}
	for name, addr := range contendedServers(t) {
		t.Run(name, func(t *testing.T) {
			takeTurns(t, addr, "/locks/plain", some(turns), all...)
			met(t, name, "lock", "docent", "kazoo, its own names")
		})
	}
}

// terms is how often each candidate leads while the others wait.
const terms = 60

// Candidates of docent and of Curator's LeaderLatch, its LeaderSelector, and kazoo's Election stand for one office: one
// leads at a time, and each in its turn.
func TestLeader_CandidatesOfOthersTakeTurns(t *testing.T) {
	needContenders(t)
	ours := []*contender{docentContender(t), docentContender(t)}
	curator := []*contender{curatorContender(t)}
	kazoo := []*contender{kazooContender(t), kazooContender(t)}
	for name, addr := range contendedServers(t) {
		for layout, theirs := range map[string][]*contender{"latch": curator, "selector": curator, "kazoo": kazoo} {
			t.Run(name+"/"+layout, func(t *testing.T) {
				contend(t, some(terms), slices.Concat(ours, theirs), func(c *contender, counter string) (string, error) {
					return c.do("terms", addr, "/elect/"+layout, counter, some(terms), layout)
				})
			})
		}
	}
}

func needContenders(t *testing.T) {
	t.Helper()
	if !peers.Required() {
		t.Skip("takes a minute and needs foreign clients: run `make interop` (DOCENT_REQUIRE_PEERS=1)")
	}
}
