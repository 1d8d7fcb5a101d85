//go:build linux

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// ensemble is the members, and the network they and their clients are connected by.
type ensemble struct {
	members []*member
	parted  bool              // each member has a network of its own, and so links can be cut
	links   [][]*link         // from, to; nil where there is none
	relays  map[[2]int]*relay // of connections, by who dials whom
	groups  []*group
	net     string // the first half of all addresses
}

// group is a machine with clients on it.
type group struct {
	name        string
	addrs       []string // of the members, as seen from there
	there, back []*link  // to and from each member
	relays      []*relay
}

func newEnsemble(p plan, bin, dir string, parted bool, told func(string, ...any)) (e *ensemble, err error) {
	e = &ensemble{parted: parted, relays: make(map[[2]int]*relay), net: fmt.Sprintf("127.%d.%d.", 64+rand.IntN(128), rand.IntN(256))}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	var peers []string
	for i := range p.servers {
		m := &member{id: i + 1, host: e.net + fmt.Sprint(i+1), bin: bin, dir: dir, told: told}
		m.data = filepath.Join(dir, fmt.Sprintf("data-%d", m.id))
		if m.space, err = newSpace(parted); err != nil {
			return nil, err
		}
		e.members = append(e.members, m)
		peers = append(peers, fmt.Sprintf("%d=%s", m.id, m.peerAddr()))
	}
	for _, m := range e.members {
		m.flags = append(p.flags(), "--peers", strings.Join(peers, ","))
	}
	if parted {
		err = e.connect()
	}
	return e, err
}

// connect puts two links between each pair of members: in the network of each, we stand in for the others.
func (e *ensemble) connect() error {
	e.links = make([][]*link, len(e.members))
	for i := range e.members {
		e.links[i] = make([]*link, len(e.members))
		for j := range e.members {
			if i != j {
				e.links[i][j] = new(link)
			}
		}
	}
	for i, from := range e.members {
		for j, to := range e.members {
			if i == j {
				continue
			}
			ln, err := from.space.listen(to.peerAddr())
			if err != nil {
				return err
			}
			dial := func(ctx context.Context) (net.Conn, error) { return to.space.dial(ctx, to.peerAddr()) }
			e.relays[[2]int{from.id, to.id}] = newRelay(ln, e.links[i][j], e.links[j][i], dial)
		}
	}
	return nil
}

// group adds a machine with clients, which has links of its own to all members.
func (e *ensemble) group(name string) (*group, error) {
	g := &group{name: name}
	e.groups = append(e.groups, g)
	for i, m := range e.members {
		ln, err := net.Listen("tcp", net.JoinHostPort(e.net+fmt.Sprint(20*len(e.groups)+i), clientPort))
		if err != nil {
			return nil, err
		}
		there, back := new(link), new(link)
		g.addrs, g.there, g.back = append(g.addrs, ln.Addr().String()), append(g.there, there), append(g.back, back)
		dial := func(ctx context.Context) (net.Conn, error) { return m.space.dial(ctx, m.clientAddr()) }
		g.relays = append(g.relays, newRelay(ln, there, back, dial))
	}
	return g, nil
}

// leader returns which member leads, -1 if none says so.
func (e *ensemble) leader(ctx context.Context) int {
	for i, m := range e.members {
		if !m.up() {
			continue
		}
		if answer, err := m.ask(ctx, "srvr"); err == nil && strings.Contains(answer, "Mode: leader") {
			return i
		}
	}
	return -1
}

// converge waits until all members have carried out the same, and compares their trees. Nobody may write meanwhile.
func (e *ensemble) converge(ctx context.Context) (string, error) {
	for {
		digests := make(map[int]string)
		for _, m := range e.members {
			d, err := m.ask(ctx, "hash")
			if err != nil {
				d = fmt.Sprintf("server %d: %v", m.id, err)
			}
			digests[m.id] = strings.TrimSpace(d)
		}
		same, err := equal(digests)
		switch {
		case err != nil:
			return "", err
		case same:
			return digests[1], nil
		case sleep(ctx, 50*time.Millisecond) != nil:
			return "", fmt.Errorf("servers do not come to the same state: %v", digests)
		}
	}
}

// equal tells whether all are at one zxid. Then they must have the same tree.
func equal(digests map[int]string) (bool, error) {
	first := ""
	for _, d := range digests {
		zxid, _, ok := strings.Cut(d, ": ")
		if first == "" {
			first = zxid
		}
		if !ok || zxid != first || strings.HasPrefix(d, "server ") {
			return false, nil
		}
	}
	for _, d := range digests {
		if d != digests[1] {
			return false, fmt.Errorf("trees differ at one zxid: %v", digests)
		}
	}
	return true, nil
}

// relay returns what carries connections that from dials to to.
func (e *ensemble) relay(from, to *member) *relay { return e.relays[[2]int{from.id, to.id}] }

// healLinks makes those between members good ones.
func (e *ensemble) healLinks() {
	for _, row := range e.links {
		for _, l := range row {
			if l != nil {
				l.heal()
			}
		}
	}
}

func (g *group) heal() {
	for i := range g.there {
		g.there[i].heal()
		g.back[i].heal()
	}
}

// close ends everything.
func (e *ensemble) close() {
	for _, m := range e.members {
		m.kill()
	}
	for _, r := range e.relays {
		r.close()
	}
	for _, g := range e.groups {
		for _, r := range g.relays {
			r.close()
		}
	}
	for _, m := range e.members {
		m.space.close()
	}
}
