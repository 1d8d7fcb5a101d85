package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The systems compared.
const (
	docent    = "docent"
	zookeeper = "zookeeper"
)

// zookeeperJar is where Debian puts ZooKeeper; its manifest names the jars it needs.
const zookeeperJar = "/usr/share/java/zookeeper.jar"

// ensemble is some servers of one system, standalone if it is one.
type ensemble struct {
	system  string
	dir     string
	servers []*server
	net     *network // nil: they share this machine's
	warm    bool     // had the load that a virtual machine needs before it is fast
}

// newEnsemble starts n servers with empty data folders, each on a machine of its own if there is a network.
func (c *campaign) newEnsemble(system string, n int, net *network) (*ensemble, error) {
	dir, err := os.MkdirTemp(c.work, fmt.Sprintf("%s-%d-", system, n))
	if err != nil {
		return nil, err
	}
	e := &ensemble{system: system, dir: dir, net: net}
	hosts := slices.Repeat([]string{"127.0.0.1"}, n)
	for i := range hosts {
		if net != nil {
			hosts[i] = host(i)
		}
	}
	ports := make([]int, 3*n)
	for i := range ports {
		if ports[i], err = freePort("127.0.0.1"); err != nil {
			return nil, err
		}
	}
	for i := range n {
		s := &server{id: i + 1, addr: fmt.Sprintf("%s:%d", hosts[i], ports[3*i]), logFile: filepath.Join(dir, fmt.Sprintf("log%d", i+1))}
		if system == docent {
			s.argv = c.docentCommand(dir, i, n, hosts, ports)
		} else if s.argv, err = zookeeperCommand(dir, i, n, hosts, ports); err != nil {
			return nil, err
		}
		if net != nil {
			s.argv = append(net.on(i), s.argv...)
		}
		e.servers = append(e.servers, s)
	}
	for _, s := range e.servers {
		if err := s.start(); err != nil {
			e.close()
			return nil, err
		}
	}
	if err := e.serve(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// docentCommand serves with default settings: each write is on disk before it is acknowledged.
func (c *campaign) docentCommand(dir string, i, n int, hosts []string, ports []int) []string {
	argv := []string{c.docent, "serve", "--data", filepath.Join(dir, strconv.Itoa(i+1)), "--listen", fmt.Sprintf("%s:%d", hosts[i], ports[3*i])}
	if n == 1 {
		return argv
	}
	var peers []string
	for k := range n {
		peers = append(peers, fmt.Sprintf("%d=%s:%d", k+1, hosts[k], ports[3*k+1]))
	}
	return append(argv, "--id", strconv.Itoa(i+1), "--peers", strings.Join(peers, ","))
}

// zookeeperCommand serves with ZooKeeper's default settings, forceSync among them, and the heap that its start script
// gives; half of that in large ensembles, for they share one machine.
func zookeeperCommand(dir string, i, n int, hosts []string, ports []int) ([]string, error) {
	data := filepath.Join(dir, strconv.Itoa(i+1))
	if err := os.MkdirAll(data, 0o777); err != nil {
		return nil, err
	}
	cfg := fmt.Sprintf("tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s\nclientPort=%d\nclientPortAddress=%s\n"+
		"admin.enableServer=false\nmaxClientCnxns=0\n4lw.commands.whitelist=srvr\n", data, ports[3*i], hosts[i])
	class, heap := "org.apache.zookeeper.server.ZooKeeperServerMain", "1000m"
	if n > 1 {
		class = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
		for k := range n {
			cfg += fmt.Sprintf("server.%d=%s:%d:%d\n", k+1, hosts[k], ports[3*k+1], ports[3*k+2])
		}
		if err := os.WriteFile(filepath.Join(data, "myid"), fmt.Appendln(nil, i+1), 0o666); err != nil {
			return nil, err
		}
	}
	if n >= 5 {
		heap = "500m"
	}
	file := filepath.Join(dir, fmt.Sprintf("zoo%d.cfg", i+1))
	if err := os.WriteFile(file, []byte(cfg), 0o666); err != nil {
		return nil, err
	}
	return []string{"java", "-Xmx" + heap, "-cp", zookeeperJar, class, file}, nil
}

// installed tells whether a system is there to be compared with.
func installed(system string) error {
	if system != zookeeper {
		return nil
	}
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("the package zookeeper of Debian is needed: %w", err)
	}
	if _, err := os.Stat(zookeeperJar); err != nil {
		return fmt.Errorf("the package zookeeper of Debian is needed: %w", err)
	}
	return nil
}

// serve waits until all servers that run serve.
func (e *ensemble) serve() error {
	return e.until("serve", time.Minute, func() bool {
		for _, s := range e.servers {
			if s.running() && s.mode() == "" {
				return false
			}
		}
		return true
	})
}

// until waits for something that no event tells of.
func (e *ensemble) until(what string, limit time.Duration, done func() bool) error {
	for end := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		for _, s := range e.servers {
			if !s.running() && s.cmd.ProcessState.ExitCode() > 0 {
				return fmt.Errorf("%s server %d ended by itself:\n%s", e.system, s.id, s.tail())
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: the servers do not %s within %v:\n%s", e.system, what, limit, e.servers[0].tail())
		}
	}
	return nil
}

// leader waits until there is one, and returns it.
func (e *ensemble) leader() (lead *server, err error) {
	err = e.until("elect a leader", time.Minute, func() bool {
		for _, s := range e.servers {
			if m := s.mode(); m == "leader" || m == "standalone" {
				lead = s
			}
		}
		return lead != nil
	})
	return lead, err
}

// follower returns a server that does not lead, other than some.
func (e *ensemble) follower(not ...*server) (*server, error) {
	lead, err := e.leader()
	if err != nil {
		return nil, err
	}
next:
	for _, s := range e.servers {
		if s == lead || !s.running() {
			continue
		}
		for _, other := range not {
			if s == other {
				continue next
			}
		}
		return s, nil
	}
	return nil, fmt.Errorf("%s has no other follower", e.system)
}

// dsn returns where all servers are.
func (e *ensemble) dsn() string { return "zk://" + e.addrs() }

func (e *ensemble) addrs() string {
	var list []string
	for _, s := range e.servers {
		list = append(list, s.addr)
	}
	return strings.Join(list, ",")
}

// pids returns the processes, as docent bench wants them.
func (e *ensemble) pids() string {
	var list []string
	for _, s := range e.servers {
		list = append(list, strconv.Itoa(s.cmd.Process.Pid))
	}
	return strings.Join(list, ",")
}

// close kills the servers and deletes their data.
func (e *ensemble) close() {
	for _, s := range e.servers {
		s.stop(syscall.SIGKILL)
	}
	_ = os.RemoveAll(e.dir) // what is left is below the working folder, which is deleted, too
}
