//go:build unix

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
)

// The job of scenario B: tasks that start in any order, of which one becomes the master, and the others work together.
const meetingJob = `#!/bin/bash
srun --ntasks=$TASKS bash -c '
  J=jobs/$SLURM_JOB_ID
  docent elect --wait 0 --post $J/meet --ready-fd 3 $J/master -- master --listen :0
  rc=$?; [ $rc -eq 75 ] || exit $rc
  eval "$(docent rendezvous wait --wait 1m --export MASTER_ $J/meet)" || exit
  docent barrier run --count $COUNT --wait $PATIENCE $J/step1 -- worker $MASTER_HOST:$MASTER_PORT $MASTER_EPOCH'
`

// What the job calls. srun starts the tasks, tells how each ended, and ends when all have. The master and the workers say
// what they do, and end when the test says so; a worker is killed if there is a file with its number.
var meetingPrograms = map[string]string{
	"srun": `#!/bin/bash
n=${1#--ntasks=}; shift
for i in $(seq 0 $((n-1))); do
  (SLURM_PROCID=$i "$@"; echo "$i $?" >>$SITE/ended) &
done
wait
`,
	"master": `#!/bin/bash
echo "master $SLURM_PROCID $*" >>$SITE/journal
echo "host=n042 port=4242" >&3
while [ ! -e $SITE/master-done ]; do sleep 0.05; done
`,
	"worker": `#!/bin/bash
echo "work $SLURM_PROCID $1 $DOCENT_GENERATION" >>$SITE/journal
while [ ! -e $SITE/go ]; do sleep 0.05; done
[ -e $SITE/crash-$SLURM_PROCID ] && kill -KILL $$
echo "done $SLURM_PROCID" >>$SITE/journal
`,
}

// job is a folder with the programs of a job, which run on the lab's server.
type job struct {
	lab
	dir string
}

func newJob(t *testing.T, l lab, programs map[string]string) job {
	t.Helper()
	j := job{l, t.TempDir()}
	bin := filepath.Join(j.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(docent(t), filepath.Join(bin, "docent")); err != nil {
		t.Fatal(err)
	}
	for name, text := range programs {
		j.put("bin/"+name, text)
	}
	return j
}

func (j job) put(name, text string) {
	j.t.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, name), []byte(text), 0o755); err != nil {
		j.t.Fatal(err)
	}
}

// has returns the lines of a file that begin with prefix, in order.
func (j job) has(name, prefix string) (found []string) {
	text, _ := os.ReadFile(filepath.Join(j.dir, name))
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, prefix) {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}

// eventually waits until a file has n such lines.
func (j job) eventually(n int, name, prefix string) []string {
	j.t.Helper()
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for limit := time.Now().Add(time.Minute); len(j.has(name, prefix)) < n && time.Now().Before(limit); { // many processes on few processors
		<-ticks.C
	}
	found := j.has(name, prefix)
	if len(found) != n {
		j.t.Fatalf("%s has %d lines %q, want %d: %q", name, len(found), prefix, n, found)
	}
	return found
}

// start runs a script of the job in the background, as batch job number id.
func (j job) start(id, script string, vars ...string) *process {
	j.t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(j.dir, "bin")+":"+os.Getenv("PATH"), "SITE="+j.dir, "DOCENT_DSN="+j.dsn(),
		"SLURM_CLUSTER_NAME=hpc", "SLURM_JOB_ID="+id, "DOCENT_IDENTITY=")
	cmd.Env = append(cmd.Env, vars...)
	return run(j.t, "job "+id, cmd)
}

// Workers and a master meet, and start and end together; two workers die during the step.
func TestScenarioB_Step(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), meetingPrograms)
	p := j.start("77", meetingJob, "TASKS=7", "COUNT=6", "PATIENCE=2m")
	work := j.eventually(6, "journal", "work ")
	masters := j.has("journal", "master ")
	if len(masters) != 1 || !strings.HasSuffix(masters[0], " --listen :0") {
		t.Errorf("masters: %q", masters)
	}
	for _, line := range work {
		if !strings.HasSuffix(line, " n042:4242 1") {
			t.Errorf("a worker began with %q", line)
		}
	}
	// One that comes late is told so, or comes in at the next use.
	j.fails(75, "barrier is running", "barrier", "run", "--count", "6", "jobs/77/step1", "--", "true")
	crash := []string{strings.Fields(work[1])[1], strings.Fields(work[4])[1]}
	for _, n := range crash {
		j.put("crash-"+n, "")
	}
	j.put("go", "")
	j.eventually(6, "ended", "") // leave does not hang
	if report := j.must("barrier", "report", "jobs/77/step1"); !regexp.MustCompile(fmt.Sprintf(
		`^4 left, 2 crashed: slurm:hpc:77\.(%[1]s@\S+, slurm:hpc:77\.%[2]s|%[2]s@\S+, slurm:hpc:77\.%[1]s)@\S+\n$`, crash[0], crash[1])).MatchString(report) {
		t.Errorf("report says %q, want %q to have crashed", report, crash)
	}
	for _, line := range j.has("ended", "") {
		n, code, _ := strings.Cut(line, " ")
		if want := map[bool]string{true: "137", false: "0"}[slices.Contains(crash, n)]; code != want {
			t.Errorf("task %s ends with %s, want %s", n, code, want)
		}
	}
	// What yesterday's job posted is gone with its master.
	j.put("master-done", "")
	if code := p.exit(); code != 0 {
		t.Errorf("the job ends with %d: %s", code, p.stderr)
	}
	j.fails(75, "nothing was posted", "rendezvous", "wait", "--wait", "0", "jobs/77/meet")
}

// A worker too many is told so at once, or with --next works in the barrier's next use.
func TestScenarioB_LateWorker(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), meetingPrograms)
	worker := func(name, flags string) *process {
		return j.start(name, `exec docent barrier run --count 2 --wait 1m `+flags+` b -- bash -c 'echo "$DOCENT_GENERATION $0" >>$SITE/journal
			while [ ! -e $SITE/go-$DOCENT_GENERATION ]; do sleep 0.02; done' `+name)
	}
	all := []*process{worker("1", ""), worker("2", "")}
	j.eventually(2, "journal", "1 ")
	j.fails(75, "barrier is running", "barrier", "run", "--count", "2", "b", "--", "true")
	all = append(all, worker("3", "--next"), worker("4", "--next"))
	j.put("go-1", "")
	if late := j.eventually(2, "journal", "2 "); strings.Join(late, ",") != "2 3,2 4" {
		t.Errorf("of the second use are %q", late)
	}
	j.put("go-2", "")
	for _, p := range all {
		if code := p.exit(); code != 0 {
			t.Errorf("%s ends with %d: %s", p.name, code, p.stderr)
		}
	}
}

// Two of those awaited never come: nobody starts alone, everybody is told, and it is known who was there.
func TestScenarioB_NeverFires(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), meetingPrograms)
	p := j.start("78", meetingJob, "TASKS=5", "COUNT=6", "PATIENCE=6s")
	for _, line := range j.eventually(4, "ended", "") {
		if !strings.HasSuffix(line, " 75") {
			t.Errorf("task %q, want 75", line)
		}
	}
	if work := j.has("journal", "work "); work != nil {
		t.Errorf("some started: %q", work)
	}
	report := j.must("barrier", "report", "jobs/78/step1")
	if !strings.HasPrefix(report, "it did not start: 4 of 6 came and gave up: ") || strings.Count(report, "slurm:hpc:78.") != 4 {
		t.Errorf("report says %q", report)
	}
	j.put("master-done", "")
	if code := p.exit(); code != 0 {
		t.Errorf("the job ends with %d", code)
	}
}

// The master's node is lost, and a paused master comes back: workers see it go, and follow the next, whose epoch is higher.
func TestScenarioB_MasterReplaced(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), meetingPrograms)
	const master = `exec docent elect --post m/meet --ready-fd 3 m/master -- bash -c 'echo host=$0 port=$$ >&3; echo "$0 $DOCENT_TOKEN" >>$SITE/journal; while :; do sleep 0.05; done' `
	worker := j.begin("rendezvous", "follow", "m/meet", "--format", "{{.Gone}} {{if not .Gone}}{{.Value.host}}{{end}} {{.Epoch}}")
	first := j.start("1", master+"first")
	a := strings.Fields(j.line(worker, "false first"))
	second := j.start("2", master+"second")
	c0, ctx := j.client(), j.ctx()
	testkit.Eventually(t, "the second stands by", func() bool {
		names, _, err := c0.Children(ctx, "/m/master")
		return err == nil && len(names) == 2
	})
	third := j.start("3", master+"third")
	first.kill()
	j.line(worker, "true ")
	b := strings.Fields(j.line(worker, "false second"))
	if len(a) != 3 || len(b) != 3 || len(b[2]) < len(a[2]) || len(b[2]) == len(a[2]) && b[2] <= a[2] {
		t.Errorf("epochs %q and then %q, want them to grow", a, b)
	}
	second.signal(syscall.SIGSTOP) // as a paused machine; its posting goes with its session
	c := strings.Fields(j.line(worker, "false third"))
	second.signal(syscall.SIGCONT)
	if code := second.exit(); code != 76 {
		t.Errorf("the old master ends with %d: %s", code, second.stderr)
	}
	if out := j.must("rendezvous", "wait", "--wait", "0", "m/meet", "--format", "{{.Epoch}}"); out != c[2]+"\n" {
		t.Errorf("the old master changed the posting: epoch %s, want %s", out, c[2])
	}
	if tokens := j.has("journal", ""); len(tokens) != 3 {
		t.Errorf("masters: %q", tokens)
	}
	third.kill()
}
