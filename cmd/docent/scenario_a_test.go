//go:build unix

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
)

// The job of scenario A, as a batch system runs it for each task of an array: at most once a night, with one of some
// licence seats, and publishing one after the other into a database that refuses who comes late.
const arrayJob = `#!/bin/bash
docent once --key nightly/$NIGHT --ttl 20h --scope array || exit 0
docent sem --permits 8 --weight ${WEIGHT:-1} --wait ${SEAT_WAIT:-4h} seats/matlab -- \
   sh -c 'LM_LICENSE_FILE=seat$DOCENT_SLOT.lic exec simulate --task $SLURM_ARRAY_TASK_ID'
rc=$?
[ $rc -eq 75 ] && scontrol requeue $SLURM_JOB_ID
[ $rc -eq 76 ] && exit 99
[ $rc -eq 0 ] || exit $rc
docent lock --wait 30m --note "publish $SLURM_ARRAY_TASK_ID" publish -- \
   sh -c 'psql -v tok="$DOCENT_TOKEN" -v task="$SLURM_ARRAY_TASK_ID" -v ON_ERROR_STOP=1 -f publish.sql'
`

// seats is how many licences there are.
const seats = 8

// What the job calls. simulate says when it begins and ends, and what seats it had; psql is the database's
// fence_admit: it refuses a token below the highest that it has seen.
var arrayPrograms = map[string]string{
	"simulate": `#!/bin/bash
trap 'echo "term $SLURM_ARRAY_TASK_ID" >>$SITE/journal; exit 143' TERM
echo "enter $SLURM_ARRAY_TASK_ID $DOCENT_SLOTS $LM_LICENSE_FILE" >>$SITE/journal
while [ -e $SITE/long ]; do sleep 0.02; done
sleep 0.05
echo "leave $SLURM_ARRAY_TASK_ID $DOCENT_SLOTS $LM_LICENSE_FILE" >>$SITE/journal
`,
	"psql": `#!/bin/bash
tok=${2#tok=} task=${4#task=}
[ -e $SITE/slow ] && { echo "begin $tok" >>$SITE/psql; while [ -e $SITE/slow ]; do sleep 0.02; done; }
read -r highest <$SITE/fence
[ "$tok" -ge "$highest" ] || { echo "stale $tok" >>$SITE/psql; exit 3; }
echo "$tok" >$SITE/fence
echo "$task $tok" >>$SITE/published
`,
	"scontrol": `#!/bin/sh
echo "$@" >>$SITE/scontrol
`,
}

// site is a place with a batch system, of which only what a job sees is there.
type site struct {
	t    *testing.T
	dir  string
	dsn  string
	bare []string // of the environment of all jobs
}

func newSite(t *testing.T, session time.Duration, servers ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), dsn: fmt.Sprintf("zk://%s/proj/climate?session=%v", strings.Join(servers, ","), session)}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(docent(t), filepath.Join(bin, "docent")); err != nil {
		t.Fatal(err)
	}
	for name, text := range arrayPrograms {
		s.write("bin/"+name, text)
	}
	s.write("job.sh", arrayJob)
	s.write("fence", "0\n")
	s.bare = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SITE="+s.dir, "DOCENT_DSN="+s.dsn, "SLURM_CLUSTER_NAME=hpc")
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// lines are those that the programs have written into a file.
func (s *site) lines(name string) []string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(bytes.TrimSpace(text))))
}

// await waits until a file has n lines that begin with prefix.
func (s *site) await(name, prefix string, n int) {
	s.t.Helper()
	testkit.Eventually(s.t, fmt.Sprintf("%d lines %q in %s", n, prefix, name), func() bool { return s.count(name, prefix) >= n })
}

func (s *site) count(name, prefix string) (n int) {
	for _, line := range s.lines(name) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// task starts a task of an array, with more for its environment, in a session of its own as a batch system does.
func (s *site) task(array, task int, more ...string) *process {
	s.t.Helper()
	cmd := exec.Command("bash", filepath.Join(s.dir, "job.sh"))
	cmd.Env = append(slices.Clone(s.bare), fmt.Sprint("SLURM_ARRAY_JOB_ID=", array), fmt.Sprint("SLURM_JOB_ID=", array+task), fmt.Sprint("SLURM_ARRAY_TASK_ID=", task), "NIGHT=2026-11-22")
	cmd.Env = append(cmd.Env, more...)
	cmd.SysProcAttr = dieWithUs()
	cmd.SysProcAttr.Setsid = true
	p := run(s.t, fmt.Sprintf("task %d_%d", array, task), cmd)
	s.t.Cleanup(func() { // before its own: what it has started has its stdout
		for _, pid := range s.pids(p, "") {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return p
}

// pids are the processes of a task's session whose command line contains word.
func (s *site) pids(p *process, word string) (pids []int) {
	s.t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,args=", "--no-headers", "-s", fmt.Sprint(p.cmd.Process.Pid)).Output()
	if err != nil {
		return nil // it has ended
	}
	for line := range strings.Lines(string(out)) {
		text, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(text); err == nil && strings.Contains(args, word) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// signal sends a signal to a task's processes whose command line contains word.
func (s *site) signal(p *process, word string, sig syscall.Signal) {
	s.t.Helper()
	pids := s.pids(p, word)
	if len(pids) == 0 {
		s.t.Fatalf("%s has no %q", p.name, word)
	}
	for _, pid := range pids {
		syscall.Kill(pid, sig)
	}
}

// dead waits until no process of a task's session whose command line contains word is left.
func (s *site) dead(p *process, word string) {
	s.t.Helper()
	testkit.Eventually(s.t, word+" has ended", func() bool { return len(s.pids(p, word)) == 0 })
}

const docentSem = "docent sem"

// The whole array runs: never more seats out than there are, none twice, all published once and in the order of their
// tokens. What is submitted a second time in the night does nothing.
func TestScenarioA_Array(t *testing.T) {
	const tasks = 200
	s := newSite(t, 10*time.Second, newLab(t).addr)
	var all []*process
	for i := range tasks {
		more := "WEIGHT=1"
		if i%5 == 0 {
			more = "WEIGHT=2"
		}
		all = append(all, s.task(88000, i, more))
	}
	limit := time.After(5 * time.Minute) // they all are there at once, on whatever machine this is
	for _, p := range all {
		select {
		case <-p.ended:
		case <-limit:
			t.Fatalf("%d of %d simulated, %d published", s.count("journal", "leave"), tasks, s.count("published", ""))
		}
		if code := p.exit(); code != 0 {
			t.Errorf("%s: exit code %d\n%s", p.name, code, p.stderr)
		}
	}
	s.checkSeats(tasks, seats)
	var published []int
	last := 0
	for _, line := range s.lines("published") {
		var task, tok int
		if _, err := fmt.Sscan(line, &task, &tok); err != nil || tok <= last {
			t.Errorf("published %q after token %d", line, last)
		}
		last = tok
		published = append(published, task)
	}
	if slices.Sort(published); len(published) != tasks || len(slices.Compact(published)) != tasks {
		t.Errorf("published: %v", published)
	}
	if again := s.task(89000, 0); again.exit() != 0 || s.count("journal", "enter") != tasks {
		t.Errorf("a second array of the night: %v, %d simulations", again.cmd.ProcessState, s.count("journal", "enter"))
	}
	if requeued := s.task(88000, 3); requeued.exit() != 0 || s.count("journal", "enter") != tasks+1 {
		t.Errorf("a requeued task: %v, %d simulations", requeued.cmd.ProcessState, s.count("journal", "enter"))
	}
}

// checkSeats reads the journal of all simulations.
func (s *site) checkSeats(tasks, seats int) {
	s.t.Helper()
	out := make(map[string]string) // seat to task
	for _, line := range s.lines("journal") {
		f := strings.Fields(line)
		slots := strings.Split(f[2], ",")
		if f[3] != "seat"+slots[0]+".lic" {
			s.t.Errorf("%q: not its licence", line)
		}
		for _, slot := range slots {
			if n, err := strconv.Atoi(slot); err != nil || n >= seats {
				s.t.Errorf("%q: there are %d seats", line, seats)
			}
			if by, taken := out[slot]; f[0] == "enter" && taken {
				s.t.Errorf("%q, while task %s has seat %s", line, by, slot)
			}
			if f[0] == "enter" {
				out[slot] = f[1]
			} else {
				delete(out, slot)
			}
		}
	}
	if n := s.count("journal", "leave"); n != tasks || len(out) != 0 {
		s.t.Errorf("%d of %d have left, seats out: %v", n, tasks, out)
	}
}

// The failure table.
func TestScenarioA_Failures(t *testing.T) {
	for _, x := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"no seat within --wait: requeued", testNoSeat},
		{"task killed: seat freed, one waiter wakes", testTaskKilled},
		{"scancel: TERM goes through, 143, seat freed at once", testScancel},
		{"one server restarts: nothing happens", testServerRestarts},
		{"ensemble away for a moment: nothing happens; for long: TERM, 76", testEnsembleAway},
		{"task suspended and resumed: stopped at once, and refused", testSuspended},
		{"docent killed: TERM for the child, and the token protects", testDocentKilled},
		{"queue looks stuck: it tells who", testQueueStuck},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			x.run(t)
		})
	}
}

func testNoSeat(t *testing.T) {
	l := newLab(t)
	s := newSite(t, 2*time.Second, l.addr)
	seats, err := lock.NewSemaphore(l.client(), "/proj/climate/seats/matlab", seats).Acquire(l.ctx(), seats)
	if err != nil {
		t.Fatal(err)
	}
	defer seats.Close()
	p := s.task(1000, 7, "SEAT_WAIT=100ms")
	if code := p.exit(); code != 75 || !slices.Equal(s.lines("scontrol"), []string{"requeue 1007"}) {
		t.Errorf("exit code %d, scontrol was told %q", code, s.lines("scontrol"))
	}
}

// busySite has all seats taken by a task that goes on, and another that waits.
func busySite(t *testing.T, session time.Duration, servers ...string) (s *site, first, second *process) {
	t.Helper()
	s = newSite(t, session, servers...)
	s.write("long", "")
	first = s.task(1000, 1, fmt.Sprint("WEIGHT=", seats))
	s.await("journal", "enter 1", 1)
	second = s.task(1000, 2, fmt.Sprint("WEIGHT=", seats))
	return s, first, second
}

// free lets simulations end by themselves.
func (s *site) free() {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, "long")); err != nil {
		s.t.Fatal(err)
	}
}

// goesOn checks that a task gets its seat now, and does all its work.
func (s *site) goesOn(p *process, task int) {
	s.t.Helper()
	s.free()
	s.await("journal", fmt.Sprint("leave ", task), 1)
	if code := p.exit(); code != 0 {
		s.t.Errorf("%s: exit code %d\n%s", p.name, code, p.stderr)
	}
}

func testTaskKilled(t *testing.T) {
	const session = 2 * time.Second
	s, first, second := busySite(t, session, newLab(t).addr)
	at := time.Now()
	syscall.Kill(-first.cmd.Process.Pid, syscall.SIGKILL) // the batch script and docent; the step's own group is next
	for _, pid := range s.pids(first, "") {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	s.goesOn(second, 2)
	if took := time.Since(at); took > session+5*time.Second {
		t.Errorf("the seat was free after %v", took)
	}
}

func testScancel(t *testing.T) {
	s, first, second := busySite(t, 30*time.Second, newLab(t).addr)
	s.signal(first, docentSem, syscall.SIGTERM)
	if code := first.exit(); code != 143 || s.count("journal", "term 1") != 1 {
		t.Errorf("exit code %d, journal %q", code, s.lines("journal"))
	}
	s.goesOn(second, 2) // long before any session would end
}

func testServerRestarts(t *testing.T) {
	e := startEnsemble(t)
	s, first, second := busySite(t, 10*time.Second, e.addrs()...)
	for _, m := range e {
		m.kill()
		m.start()
		m.ready()
		e.leader(t)
	}
	if n := s.count("journal", "term"); n != 0 || len(s.pids(first, "simulate")) == 0 {
		t.Fatalf("it was stopped: %q", s.lines("journal"))
	}
	s.free()
	for _, p := range []*process{first, second} {
		if code := p.exit(); code != 0 {
			t.Errorf("%s: exit code %d\n%s", p.name, code, p.stderr)
		}
	}
	s.checkSeats(2, seats)
}

// Of a session of 6 s, TERM comes 3 s after the last answered ping, and pings are a second apart.
func testEnsembleAway(t *testing.T) {
	l := newLab(t)
	s, first, _ := busySite(t, 6*time.Second, l.addr)
	pause := func(d time.Duration) { // the time of silence is what this is about
		l.signal(syscall.SIGSTOP)
		select {
		case <-time.After(d):
		case <-first.ended:
		}
		l.signal(syscall.SIGCONT)
	}
	pause(1500 * time.Millisecond)
	if err := dial(t, 2*time.Second, l.addr).Sync(l.ctx(), "/"); err != nil {
		t.Fatal(err)
	}
	if n := s.count("journal", "term"); n != 0 || len(s.pids(first, "simulate")) == 0 {
		t.Fatalf("it was stopped after a moment: %q", s.lines("journal"))
	}
	// Until a ping was answered the first silence counts: they are a second apart.
	select {
	case <-time.After(1500 * time.Millisecond):
	case <-first.ended:
	}
	at := time.Now()
	pause(patience)
	if code := first.exit(); code != 99 || s.count("journal", "term 1") != 1 {
		t.Errorf("exit code %d, journal %q\n%s", code, s.lines("journal"), first.stderr)
	}
	if took := time.Since(at); took < 2*time.Second || took > 6*time.Second {
		t.Errorf("stopped after %v", took)
	}
	s.await("journal", "enter 2", 1) // who is cut off as well waits on
}

// A task that publishes is suspended with all it consists of, and somebody else publishes meanwhile.
func testSuspended(t *testing.T) {
	l := newLab(t)
	s := newSite(t, 2*time.Second, l.addr)
	s.write("slow", "")
	p := s.task(1000, 1)
	s.await("psql", "begin", 1)
	for _, pid := range s.pids(p, "") {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	held, err := lock.New(l.client(), "/proj/climate/publish").Lock(l.ctx())
	if err != nil {
		t.Fatal(err)
	}
	s.write("fence", fmt.Sprintln(held.Token()))
	if err := os.Remove(filepath.Join(s.dir, "slow")); err != nil {
		t.Fatal(err)
	}
	// The child wakes first, as bad luck may have it, and goes on as if nothing had happened.
	group, err := syscall.Getpgid(s.pids(p, "bin/psql")[0])
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(-group, syscall.SIGCONT)
	s.await("psql", "stale", 1)
	for _, pid := range s.pids(p, "") {
		syscall.Kill(pid, syscall.SIGCONT)
	}
	if code := p.exit(); code != 76 || s.count("published", "") != 0 {
		t.Errorf("exit code %d, published %q\n%s", code, s.lines("published"), p.stderr)
	}

	// And another that would go on for ever is stopped at once.
	s.write("long", "")
	p = s.task(1000, 2)
	s.await("journal", "enter 2", 1)
	sem := s.pids(p, docentSem)
	for _, pid := range sem {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	seats, err := lock.NewSemaphore(l.client(), "/proj/climate/seats/matlab", seats).Acquire(l.ctx(), seats)
	if err != nil {
		t.Fatal(err)
	}
	defer seats.Close()
	s.signal(p, docentSem, syscall.SIGCONT)
	at := time.Now()
	if code := p.exit(); code != 99 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	if took := time.Since(at); took > 5*time.Second { // at once, on a machine that has much to do
		t.Errorf("stopped %v after it woke", took)
	}
	s.dead(p, "simulate")
	if n := s.count("journal", "term 2"); n != 0 {
		t.Error("it was given time, although somebody else has its seats")
	}
}

func testDocentKilled(t *testing.T) {
	if attributes := dieWithUs(); attributes.Pdeathsig == 0 {
		t.Skip("no parent-death signal on this system")
	}
	s, first, second := busySite(t, 2*time.Second, newLab(t).addr)
	s.signal(first, docentSem, syscall.SIGKILL)
	s.await("journal", "term 1", 1)
	s.dead(first, "simulate")
	if code := first.exit(); code != 137 {
		t.Errorf("exit code %d", code)
	}
	s.goesOn(second, 2)
}

func testQueueStuck(t *testing.T) {
	l := newLab(t)
	s := newSite(t, 10*time.Second, l.addr)
	s.write("slow", "")
	first := s.task(88123, 17)
	s.await("psql", "begin", 1)
	second := s.task(88123, 18)
	m := lock.New(l.client(), "/proj/climate/publish")
	testkit.Eventually(t, "one waits", func() bool {
		q, err := m.Inspect(l.ctx())
		return err == nil && len(q.Waiting) == 1
	})
	ls := exec.Command(docent(t), "lock", "ls", "publish")
	ls.Env = s.bare
	p := run(t, "docent lock ls", ls)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"slurm:hpc:88123_17@", "slurm:hpc:88123_18@", "publish 17"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("docent lock ls does not tell of %q", want)
		}
	}
	if err := os.Remove(filepath.Join(s.dir, "slow")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{first, second} {
		if code := p.exit(); code != 0 {
			t.Errorf("%s: exit code %d\n%s", p.name, code, p.stderr)
		}
	}
	if err := checkGone(l, "/proj/climate/publish"); err != nil {
		t.Error(err)
	}
}

// checkGone tells whether nobody is left in a lock's line.
func checkGone(l lab, path string) error {
	names, _, err := l.client().Children(l.ctx(), path, client.Fresh())
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("left behind in %s: %v", path, names)
	}
	return err
}
