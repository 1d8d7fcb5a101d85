package peers

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// cClient is where the Debian package zookeeper-bin puts the shell of ZooKeeper's C client.
const cClient = "/usr/lib/zookeeper/bin/cli_mt"

// CClient starts the shell of ZooKeeper's C client and waits until it is connected. servers may be a list with commas. The
// session's id and password are kept in the file idFile, if it is not empty; if it is there, the shell comes back to the
// session, and that it quits does not end it.
func CClient(t testing.TB, servers, idFile string) *CLI {
	t.Helper()
	if _, err := os.Stat(cClient); err != nil {
		Missing(t, "ZooKeeper's C client (Debian: apt-get install zookeeper-bin): %v", err)
	}
	// Requests are answered in order, and a server does not ask whether the path of a sync is there.
	args := []string{"--host", servers}
	if idFile != "" {
		args = append(args, "--myid", idFile)
	}
	c := startCLI(t, "the C client", exec.Command(cClient, args...),
		dialect{"sync /end-of-answer", "\tname = /end-of-answer", sortC})
	usage, _ := exec.Command(cClient).CombinedOutput() // fails, for it wants a server
	if _, version, ok := strings.Cut(string(usage), "version "); ok {
		c.version = strings.TrimSpace(version)
	}
	if got := c.Event(); got != "CONNECTED" {
		t.Fatalf("the C client's first event is %q, want CONNECTED\n%s", got, c.Tail())
	}
	return c
}

var (
	cEvent = regexp.MustCompile(`^Watcher (\w+)_EVENT state = (\w+)_STATE(?: for path (.*))?$`)
	cNoise = regexp.MustCompile(`^(Got a new session id|Reconnected session|session Id|writing client id|time = \d+ msec|` +
		`\[/end-of-answer\]: rc = 0|\d{4}-\d\d-\d\d .*ZOO_|\s*$)`)
)

func sortC(line string) (event string, no bool) {
	if m := cEvent.FindStringSubmatch(line); m != nil {
		if m[1] == "SESSION" {
			return m[2], true
		}
		return strings.TrimSpace(m[1] + " " + m[3]), true
	}
	return "", cNoise.MatchString(line)
}
