//go:build unix

package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/docent-io/docent/internal/testkit"
)

// What the gateway of scenario C runs: application managers, which know nothing of docent, and a writer of metadata whose
// database refuses who comes late.
var gatewayPrograms = map[string]string{
	"appmgr": `#!/bin/bash
trap 'echo "end $1" >>$SITE/journal; exit 0' TERM
echo "begin $1" >>$SITE/journal
while :; do sleep 0.05; done
`,
	"store": `#!/bin/bash
trap 'exit 0' TERM
while :; do
  read -r highest <$SITE/fence
  if [ "$DOCENT_TOKEN" -ge "$highest" ]; then echo $DOCENT_TOKEN >$SITE/fence.$$ && mv $SITE/fence.$$ $SITE/fence; echo "wrote $1" >>$SITE/journal
  else echo "stale $1" >>$SITE/journal; fi
  sleep 0.1
done
`,
	// The registry of experiments is the file for each, and the highest token that it has seen. All that a launch writes is one
	// transaction: launched_by_token is set where there was none, by nobody with an older token.
	"launch": `#!/bin/bash
echo "decided $1" >>$SITE/journal
while [ -e $SITE/slow-$1 ]; do sleep 0.02; done
(
  flock 9
  read -r highest <$SITE/fence
  if [ "$DOCENT_TOKEN" -lt "$highest" ]; then echo "refused $1" >>$SITE/journal; exit 3; fi
  echo $DOCENT_TOKEN >$SITE/fence
  if [ -e $SITE/$2.launched ]; then echo "known $1" >>$SITE/journal; exit; fi
  echo $DOCENT_TOKEN >$SITE/$2.launched
  echo "launched $1 $2" >>$SITE/journal
) 9>>$SITE/registry
while :; do sleep 0.05; done
`,
}

func (j job) manager(id, flavor, version, host string) *process {
	return j.start(id, `exec docent svc register appmgr --instance `+id+` --flavor `+flavor+` --version `+version+` --host `+host+` --port 9930 --meta cluster=bigred --drain 1s -- appmgr `+id)
}

// Managers of several flavors and versions are found, drained, crash and come back.
func TestScenarioC_Managers(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), gatewayPrograms)
	watcher := j.begin("svc", "watch", "appmgr")
	am1 := j.manager("am1", "slurm", "1.5.0", "am1.gw")
	am3 := j.manager("am3", "slurm", "1.6.2", "am3.gw")
	j.manager("am7", "aws", "2.0.0", "am7.gw")
	for _, id := range []string{"am1", "am3", "am7"} {
		j.line(watcher, "+ "+id+" ")
	}
	table := j.must("svc", "ls", "appmgr")
	for _, row := range []string{
		`FLAVOR +VERSION +ADDRESS +STATUS +LOAD +UP +SESSION +ID`, `slurm +1\.6\.2 +am3\.gw:9930 +up +0\.00 +\d+s +0x[0-9a-f]+ \(\d+s ago\) +am3`,
		`slurm +1\.5\.0 +am1\.gw:9930 +up +0\.00 +\d+s +0x[0-9a-f]+ \(\d+s ago\) +am1`,
		`aws +2\.0\.0 +am7\.gw:9930 +up +0\.00 +\d+s +0x[0-9a-f]+ \(\d+s ago\) +am7`,
	} {
		if !regexp.MustCompile(`(?m)^` + row + `$`).MatchString(table) {
			t.Errorf("svc ls has no row %s:\n%s", row, table)
		}
	}
	find := func(sel string) string {
		t.Helper()
		return j.must("svc", "find", "appmgr", "--select", sel, "--one", "--format", "{{.Host}}:{{.Port}}")
	}
	if out := find("flavor=slurm,version>=1.6"); out != "am3.gw:9930\n" { // as versions, not as text
		t.Errorf("found is %q", out)
	}
	if out := find("flavor=slurm,version<1.10,version!=1.6.2,meta.cluster=bigred"); out != "am1.gw:9930\n" {
		t.Errorf("found is %q", out)
	}
	j.fails(75, "no instance of appmgr", "svc", "find", "appmgr", "--select", "flavor=pbs", "--one")

	// Draining by an operator: picks stop, the process runs on, and ends as itself.
	j.must("svc", "drain", "appmgr", "am3")
	j.line(watcher, "~ am3 am3.gw:9930 draining")
	j.fails(75, "no instance of appmgr", "svc", "find", "appmgr", "--select", "flavor=slurm,version>=1.6", "--one")
	am3.alive()
	// A crash: gone after the session's timeout.
	am1.kill()
	j.line(watcher, "- am1")
	j.fails(75, "no instance of appmgr", "svc", "find", "appmgr", "--select", "flavor=slurm", "--one")
	// A rolling upgrade ends the old, and its callers saw it drain first.
	am3.signal(15)
	if code := am3.exit(); code != 0 {
		t.Errorf("am3 ends with %d: %s", code, am3.stderr)
	}
	j.line(watcher, "- am3")

	// The service is down, and what is watched says so; it comes back, and the picture with it.
	j.kill()
	j.line(watcher, "! stale")
	j.fails(69, "no server reached", "svc", "find", "appmgr", "--one", "--connect", "300ms")
	j.lab.start()
	j.ready()
	j.line(watcher, "! fresh")
	if out := find("flavor=aws"); out != "am7.gw:9930\n" {
		t.Errorf("found is %q", out)
	}
	j.told(watcher)
}

// One writer of metadata at a time; one that was paused and comes back is refused by the database.
func TestScenarioC_OneWriter(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), gatewayPrograms)
	j.put("fence", "0\n")
	const lead = `exec docent elect metadata/leader -- store `
	first := j.start("w1", lead+"one")
	j.eventually(1, "journal", "wrote one")
	second := j.start("w2", lead+"two")
	first.kill() // with its child, which the kernel tells
	testkit.Eventually(t, "the second writes", func() bool { return len(j.has("journal", "wrote two")) > 3 })
	if stale := j.has("journal", "stale two"); stale != nil {
		t.Errorf("the second was refused: %q", stale)
	}
	highest, err := os.ReadFile(filepath.Join(j.dir, "fence"))
	if err != nil || strings.TrimSpace(string(highest)) == "0" {
		t.Errorf("the fence is %q, %v", highest, err)
	}
	second.signal(15)
	second.exit()
}

// An experiment is not launched twice: the orchestrator that had decided to, and was paused before it could, finds its token
// refused when it goes on, whether or not its successor has launched the same.
func TestScenarioC_LaunchedOnce(t *testing.T) {
	for _, x := range []struct{ successor, want string }{
		{"exp-1", "launched two exp-1"}, {"exp-2", "launched two exp-2"},
	} {
		t.Run(x.successor, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newLab(t), gatewayPrograms)
			j.put("fence", "0\n")
			j.put("slow-one", "")
			first := j.start("o1", `exec docent elect orchestrator -- bash -c 'echo pid $$; exec launch one exp-1'`)
			pid := started(t, first)
			j.eventually(1, "journal", "decided one")
			second := j.start("o2", `exec docent elect orchestrator -- launch two `+x.successor)
			first.signal(syscall.SIGSTOP) // the machine is paused, with all that runs there
			syscall.Kill(-pid, syscall.SIGSTOP)
			j.eventually(1, "journal", x.want)
			if err := os.Remove(filepath.Join(j.dir, "slow-one")); err != nil {
				t.Fatal(err)
			}
			syscall.Kill(-pid, syscall.SIGCONT) // and the child wakes first
			j.eventually(1, "journal", "refused one")
			first.signal(syscall.SIGCONT)
			if code := first.exit(); code != 76 {
				t.Errorf("the paused orchestrator ends with %d: %s", code, first.stderr)
			}
			if launched := j.has("journal", "launched "); len(launched) != 1 {
				t.Errorf("launched: %q", launched)
			}
			second.alive()
			second.signal(syscall.SIGTERM)
			second.exit()
		})
	}
}

// Configuration is fetched at start and followed; of two who change it one is told so; a bad one harms nobody.
func TestScenarioC_Config(t *testing.T) {
	t.Parallel()
	j := newJob(t, newLab(t), nil)
	j.put("slurm.json", `{"queue":"long"}`)
	file := "@" + filepath.Join(j.dir, "slurm.json")
	j.must("config", "set", "config/appmgr/slurm", file)
	mgr := j.start("am1", `exec docent config exec config/appmgr/slurm --signal HUP -- bash -c 'trap "cat \$DOCENT_CONFIG_FILE; echo" HUP; cat $DOCENT_CONFIG_FILE; echo; while :; do sleep 0.05; done'`)
	j.line(mgr, `{"queue":"long"}`)
	j.put("slurm.json", `{"queue":"short"}`)
	j.must("config", "set", "config/appmgr/slurm", file, "--if-version", "0")
	j.line(mgr, `{"queue":"short"}`)
	j.fails(75, "version is not 0", "config", "set", "config/appmgr/slurm", file, "--if-version", "0")
	j.put("slurm.json", `{"queue":`)
	j.must("config", "set", "config/appmgr/slurm", file)
	if _, _, err := mgr.stderr.await(0, "docent config exec: /config/appmgr/slurm: the command keeps version 1"); err != nil {
		t.Fatal(err)
	}
	mgr.alive()
	status := func(code int, want string) {
		t.Helper()
		testkit.Eventually(t, "config status: "+want, func() bool {
			got, out, _ := j.do("config", "status", "config/appmgr/slurm")
			return got == code && strings.Contains(strings.Join(strings.Fields(out), " "), want)
		})
	}
	status(1, "1 2 version 2 is not JSON, as it was")
	if out := j.must("config", "status", "--metrics", "config/appmgr/slurm"); !strings.Contains(out, "docent_config_refusing{path=\"/config/appmgr/slurm\"} 1\n") ||
		!strings.Contains(out, "docent_config_readers{path=\"/config/appmgr/slurm\"} 1\n") {
		t.Errorf("metrics are %s", out)
	}
	j.put("slurm.json", `{"queue":"good again"}`)
	j.must("config", "set", "config/appmgr/slurm", file, "--if-version", "2")
	j.line(mgr, `{"queue":"good again"}`)
	status(0, " 3 -")
	mgr.signal(15)
	if code := mgr.exit(); code != 143 {
		t.Errorf("it ends with %d", code)
	}
	if _, out, _ := j.do("config", "status", "config/appmgr/slurm", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("who has ended is still among the readers: %s", out)
	}
}
