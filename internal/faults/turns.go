//go:build linux

package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
)

// held is what holds have in common.
type held interface {
	Context() context.Context
	Token() uint64
	Txn() *client.Txn
}

// fenced is a write under a lock.
type fenced struct {
	version int32
	token   uint64
}

// turn holds the thing of a name once, and writes its token into a node, in a transaction that fails if it holds no more. In
// the order of the writes tokens never go down: that is mutual exclusion, whatever anybody's clock says.
func turn(ctx context.Context, c *client.Client, name string, sabotage sabotage, while func(held)) (f fenced, err error) {
	var h held
	var release func(context.Context) error
	if name == "leader" {
		term, err := leader.Campaign(ctx, c, "/turns-leader")
		if err != nil {
			return f, err
		}
		h, release = term, term.Resign
	} else {
		l, err := lock.New(c, "/turns-mutex").Lock(ctx)
		if err != nil {
			return f, err
		}
		h, release = l, l.Unlock
	}
	while(h)
	begin := h.Txn
	if sabotage == noFence {
		begin = c.Txn
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	res, err := begin().Set("/fenced/"+name, []byte(strconv.FormatUint(h.Token(), 10)), -1).Commit(limited)
	if err == nil {
		f = fenced{res[len(res)-1].Stat.Version, h.Token()}
	}
	var late *client.TxnError
	if errors.As(err, &late) {
		err = nil // refused: somebody else holds, or may
	}
	bounded, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	return f, errors.Join(err, release(bounded))
}

// playTurns holds a lock now and then, or leads. While no session is ended by force, two holds never live together.
func (w *world) playTurns(name string, roster *testkit.Roster[string]) func(*client.Client, int, *rand.Rand) {
	return func(c *client.Client, player int, r *rand.Rand) {
		for i := 0; w.think(r, 200*time.Millisecond); i++ {
			f, err := turn(w.load, c, name, "", func(h held) {
				who := fmt.Sprintf("player %d with token %d, the %dth time", player, h.Token(), i)
				if together := roster.Enter(h.Context(), who); len(together) > 1 {
					w.fail("hold %s together: %v", name, together)
				}
				w.think(r, 40*time.Millisecond)
			})
			if err != nil && w.load.Err() == nil && !excusable(err) {
				w.fail("%s: %v", name, err)
			}
			if f.token != 0 {
				w.acked.Add(1)
				w.record(func(r *records) { r.fenced[name] = append(r.fenced[name], f) })
			}
		}
	}
}

// inOrder tells whether tokens never go down.
func inOrder(name string, writes []fenced) error {
	slices.SortFunc(writes, func(a, b fenced) int { return int(a.version) - int(b.version) })
	for i := 1; i < len(writes); i++ {
		switch a, b := writes[i-1], writes[i]; {
		case b.token < a.token:
			return fmt.Errorf("%s: version %d was written with token %d, behind %d", name, b.version, b.token, a.token)
		case b.version == a.version:
			return fmt.Errorf("%s: version %d was written twice, with tokens %d and %d", name, b.version, a.token, b.token)
		}
	}
	return nil
}

// puppetEnv holds the configuration of a puppet: a client in a process of its own, which can be paused and killed.
const puppetEnv = "DOCENT_FAULTS_PUPPET"

type puppetConfig struct {
	Servers  []string
	Name     string // of what it takes turns for
	Timeout  time.Duration
	Sabotage sabotage
}

// puppetMain takes turns until it is killed, and tells each write under a lock in a line.
func puppetMain(text string) int {
	var cfg puppetConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Println("wrong:", err)
		return 1
	}
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{Servers: cfg.Servers, SessionTimeout: cfg.Timeout})
	for err != nil && excusable(err) { // cut off from all servers for as long as Dial tries
		c, err = client.Dial(ctx, client.Config{Servers: cfg.Servers, SessionTimeout: cfg.Timeout})
	}
	if err != nil {
		fmt.Println("wrong:", err)
		return 1
	}
	for {
		f, err := turn(ctx, c, cfg.Name, cfg.Sabotage, func(held) { _ = sleep(ctx, time.Duration(rand.Int64N(int64(60*time.Millisecond)))) })
		if err != nil && !excusable(err) {
			fmt.Println("wrong:", err)
		}
		if f.token != 0 {
			fmt.Println("fenced", f.version, f.token)
		}
		_ = sleep(ctx, time.Duration(rand.Int64N(int64(100*time.Millisecond))))
	}
}

// puppet is its owner's side.
type puppet struct {
	w   *world
	cfg puppetConfig

	mu  sync.Mutex // guards cmd
	cmd *exec.Cmd
	wg  sync.WaitGroup // of who reads what it says
}

func (p *puppet) start() {
	text, err := json.Marshal(p.cfg)
	if err != nil {
		p.w.fail("%v", err)
		return
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), puppetEnv+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(p.w.dir, "puppets.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.w.fail("%v", err)
		return
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		p.w.home.do(func() { err = cmd.Start() })
	}
	if err != nil {
		p.w.fail("start a client: %v", errors.Join(err, log.Close()))
		return
	}
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
	p.wg.Go(func() {
		defer log.Close()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.hear(lines.Text())
		}
		_ = cmd.Wait() // it was killed
	})
}

func (p *puppet) hear(line string) {
	var f fenced
	switch n, err := fmt.Sscanf(line, "fenced %d %d", &f.version, &f.token); {
	case n == 2 && err == nil:
		p.w.acked.Add(1)
		p.w.record(func(r *records) { r.fenced[p.cfg.Name] = append(r.fenced[p.cfg.Name], f) })
	case strings.HasPrefix(line, "wrong:"):
		p.w.fail("a client of %s: %s", p.cfg.Name, line)
	}
}

func (p *puppet) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(sig) // one that has ended needs none
	}
}

func (p *puppet) kill() {
	p.signal(syscall.SIGKILL)
	p.wg.Wait()
}
