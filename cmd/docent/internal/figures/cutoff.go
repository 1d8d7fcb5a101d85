package main

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
)

// network is a switch, and a machine for each server: network namespaces, with cables that can be unplugged. Packets then
// vanish, as they do when a machine loses its network. The switch is in the namespace of this process, which is not the
// machine's: see behindSwitch. It needs root, and ip, unshare and nsenter; nothing of the machine's own network changes.
type network struct{ holders []*exec.Cmd } // processes that keep the namespaces

// canCut tells whether this machine allows that.
func canCut() error {
	for _, tool := range []string{"ip", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	if out, err := exec.Command("unshare", "-n", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1").CombinedOutput(); err != nil {
		return fmt.Errorf("network namespaces cannot be made (are we root?): %w: %s", err, out)
	}
	return nil
}

func host(i int) string { return fmt.Sprintf("10.77.0.%d", i+1) }

func newNetwork(n int) (*network, error) {
	w := &network{}
	script := "ip link set lo up && ip link add br0 type bridge && ip addr add 10.77.0.254/24 dev br0 && ip link set br0 up"
	err := shell(nil, script)
	for i := range n {
		if err == nil {
			err = w.machine(i)
		}
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// machine adds one, with a cable to the switch.
func (w *network) machine(i int) error {
	cmd := exec.Command("unshare", "-n", "sh", "-c", "echo ready; exec sleep 86400")
	cmd.SysProcAttr = dieWithUs()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.holders = append(w.holders, cmd)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("unshare -n: %w", err)
	}
	port := "port" + strconv.Itoa(i+1)
	if err := shell(nil, fmt.Sprintf("ip link add %s type veth peer name eth0 netns %d && ip link set %[1]s master br0 && ip link set %[1]s up", port, cmd.Process.Pid)); err != nil {
		return err
	}
	return shell(w.on(i), fmt.Sprintf("ip link set lo up && ip addr add %s/24 dev eth0 && ip link set eth0 up", host(i)))
}

// on returns what to put before a command to run it on a machine.
func (w *network) on(i int) []string {
	return []string{"nsenter", "--net=/proc/" + strconv.Itoa(w.holders[i].Process.Pid) + "/ns/net", "--"}
}

func (w *network) close() {
	for _, cmd := range w.holders {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	_ = shell(nil, "ip link del br0") // of a namespace that ends with this process
}

func shell(on []string, script string) error {
	line := append(on, "sh", "-c", script)
	if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return nil
}

// cut unplugs a server's cable at the switch.
func (e *ensemble) cut(s *server) error { return e.plug(s, "down") }

// join plugs it in again.
func (e *ensemble) join(s *server) error { return e.plug(s, "up") }

func (e *ensemble) plug(s *server, to string) error {
	if e.net == nil {
		return errors.New("these servers have no network of their own")
	}
	return shell(nil, fmt.Sprintf("ip link set port%d %s", s.id, to))
}
