package peers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// zookeeperJar is where the Debian package libzookeeper-java puts ZooKeeper; its manifest names the jars it needs.
const zookeeperJar = "/usr/share/java/zookeeper.jar"

// Distribution is an Apache ZooKeeper that is installed. The zero value is that of the Debian package zookeeper.
type Distribution struct {
	dir string // with its jars in lib; empty: Debian's
}

// Distributions returns Debian's, and the one in the folder DOCENT_ZOOKEEPER_DIR, if that is set: an unpacked
// apache-zookeeper-VERSION-bin, for instance.
func Distributions() []Distribution {
	all := []Distribution{{}}
	if dir := os.Getenv("DOCENT_ZOOKEEPER_DIR"); dir != "" {
		all = append(all, Distribution{dir})
	}
	return all
}

// ClassPath is what Java needs to find its classes.
func (d Distribution) ClassPath() string {
	if d.dir == "" {
		return zookeeperJar
	}
	return filepath.Join(d.dir, "lib", "*")
}

// Zookeeper starts an Apache ZooKeeper server of the Debian package: see [Distribution.Server].
func Zookeeper(t testing.TB, settings ...string) string {
	t.Helper()
	return Distribution{}.Server(t, settings...)
}

// Server starts an Apache ZooKeeper server, standalone on a free loopback port with an empty data folder, and returns its
// address once it serves. The test's cleanup stops it. Ticks are 500 ms, session timeouts may be 1 to 60 s, and all
// four-letter words are allowed. Settings are lines for zoo.cfg, or, if they begin with -D, properties for Java. See
// [Missing] for where the distribution is not there.
func (d Distribution) Server(t testing.TB, settings ...string) string {
	t.Helper()
	d.need(t)
	for try := 1; ; try++ {
		addr, err := d.server(t, settings)
		if err == nil {
			return addr
		}
		if try == 3 { // the port may have been taken meanwhile
			t.Fatalf("start Apache ZooKeeper: %v", err)
		}
	}
}

func (d Distribution) server(t testing.TB, settings []string) (string, error) {
	addr, dir := FreeAddr(t), t.TempDir()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	cfg := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPort=%s\nclientPortAddress=%s\nadmin.enableServer=false\n"+
		"4lw.commands.whitelist=*\nmaxClientCnxns=0\nminSessionTimeout=1000\nmaxSessionTimeout=60000\n",
		filepath.Join(dir, "data"), port, host)
	var properties []string
	for _, s := range settings {
		if strings.HasPrefix(s, "-D") {
			properties = append(properties, s)
		} else {
			text += s + "\n"
		}
	}
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		return "", err
	}
	p := Start(t, "Apache ZooKeeper", d.java(properties, "org.apache.zookeeper.server.ZooKeeperServerMain", cfg))
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			return "", fmt.Errorf("it ended: %w\n%s", p.err, p.Tail())
		default:
		}
		if strings.Contains(fourLetter(addr, "srvr"), "Mode: standalone") {
			return addr, nil
		}
	}
	p.Kill()
	return "", errors.New("it does not serve")
}

// fourLetter returns the answer to a four-letter word, or "" when there is none.
func fourLetter(addr, word string) string {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprint(c, word)
	answer, _ := io.ReadAll(c) // what came before an error is an answer, too
	return string(answer)
}

// Version asks a server of Apache ZooKeeper for its version, such as "3.8.0".
func Version(t testing.TB, addr string) string {
	t.Helper()
	_, rest, _ := strings.Cut(fourLetter(addr, "srvr"), "Zookeeper version: ")
	version, _, ok := strings.Cut(rest, "-")
	if !ok {
		t.Fatalf("%s does not tell its version", addr)
	}
	return version
}

// Leads tells whether the server is the leader of its ensemble.
func Leads(addr string) bool { return strings.Contains(fourLetter(addr, "srvr"), "Mode: leader") }

// need ends the test where it cannot be run.
func (d Distribution) need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		Missing(t, "no java in PATH (Debian: apt-get install zookeeper)")
	}
	if d.dir != "" {
		if jars, _ := filepath.Glob(filepath.Join(d.dir, "lib", "zookeeper-[0-9]*.jar")); len(jars) == 0 {
			t.Fatalf("no lib/zookeeper-VERSION.jar in DOCENT_ZOOKEEPER_DIR=%s", d.dir)
		}
		return
	}
	if _, err := os.Stat(zookeeperJar); err != nil {
		Missing(t, "Apache ZooKeeper (Debian: apt-get install zookeeper): %v", err)
	}
}

// java is a command that runs one of ZooKeeper's classes, with a virtual machine tuned for a short life.
func (d Distribution) java(properties []string, class string, args ...string) *exec.Cmd {
	line := append([]string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Dzookeeper.4lw.commands.whitelist=*"}, properties...)
	return exec.Command("java", append(append(line, "-cp", d.ClassPath(), class), args...)...)
}
