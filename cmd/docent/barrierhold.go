package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
)

// barrierHoldVerb is the holder that enter starts; people do not.
func barrierHoldVerb(e env) *cobra.Command {
	cmd := &cobra.Command{Use: "hold PATH", Hidden: true, Short: "hold a place at a barrier", Args: exactArgs("PATH"),
		Example: "  docent barrier enter starts it"}
	r, owner := addRemote(cmd, e), addOwner(cmd)
	count := cmd.Flags().Int("count", 0, "")
	next := cmd.Flags().Bool("next", false, "")
	wait := addPatience(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		h, err := newHolding(args[0], *owner)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(cmd.Context())
		defer cancel(nil)
		go func() { // ends with the process
			if line, _ := bufio.NewReader(e.stdin).ReadString('\n'); line != holdOn {
				cancel(errors.New("enter was interrupted"))
			}
		}()
		go func() { cancel(awaitEnd(ctx, h.owner)) }()
		ready := os.NewFile(3, "ready")
		if ready == nil {
			return usagef("this is for docent barrier enter to start")
		}
		var o []barrier.Option
		if *next {
			o = append(o, barrier.Next())
		}
		err = h.hold(ctx, r, wait, ready, func(c *client.Client) *barrier.Double { return barrier.New(c, h.path, *count, o...) })
		if err != nil && ctx.Err() == nil {
			_ = answerTo(ready, holderAnswer{Code: exitCode(err), Error: oneLine(err)})
		}
		return nil // whoever it may concern has been told
	}
	return cmd
}

// hold enters, says so, and holds the place until it is told to leave, or ctx ends.
func (h holding) hold(ctx context.Context, r *remote, wait *patience, ready *os.File, double func(*client.Client) *barrier.Double) error {
	ln, err := h.listen()
	if err != nil {
		return err
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	return r.meet(ctx, func(ctx context.Context, c *client.Client) error {
		within, cancel := wait.bound(ctx, "not enough came")
		defer cancel()
		m, err := double(c).Enter(within)
		if err != nil {
			return notHad(err, barrier.ErrBarrierFull, barrier.ErrRunning)
		}
		if err := answerTo(ready, holderAnswer{Generation: newGeneration(barrier.Report{Generation: m.Generation()})}); err != nil {
			return err
		}
		ready.Close()
		return serveLeave(ln, func(ask leaveRequest, conn net.Conn) holderAnswer { return leaveFor(m, ask, conn) })
	})
}

// leaveRequest is what leave asks a holder for.
type leaveRequest struct {
	Wait    time.Duration
	Limited bool
}

// serveLeave answers who asks to leave. The first that gets an answer is the last.
func serveLeave(ln net.Listener, leave func(leaveRequest, net.Conn) holderAnswer) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err // ctx has ended: the place goes with our session, and counts as crashed
		}
		var ask leaveRequest
		if err := json.NewDecoder(conn).Decode(&ask); err != nil {
			conn.Close()
			continue
		}
		err = answerTo(conn, leave(ask, conn))
		conn.Close()
		return err
	}
}

// leaveFor leaves, and waits for the others as long as whoever asked for it does.
func leaveFor(m *barrier.Member, ask leaveRequest, conn net.Conn) holderAnswer {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	late := tooLate("not all have left within %v", ask.Wait)
	if ask.Limited {
		ctx, cancel = context.WithTimeoutCause(ctx, ask.Wait, late)
		defer cancel()
	}
	go func() { // ends with conn
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	report, err := m.Leave(ctx)
	a := holderAnswer{Generation: newGeneration(report)}
	switch {
	case errors.Is(err, late) && ask.Wait == 0: // whoever asked did not mean to wait
	case errors.Is(err, late):
		a.Code, a.Error = exitTemporary, late.Error()+": "+a.Generation.line()
	case err != nil && m.Context().Err() != nil && !errors.Is(context.Cause(m.Context()), barrier.ErrLeft):
		a.Code, a.Error = exitLost, oneLine(err)
	case err != nil:
		a.Code, a.Error = exitCode(err), oneLine(err)
	}
	return a
}

func answerTo(w interface{ Write([]byte) (int, error) }, a holderAnswer) error {
	return json.NewEncoder(w).Encode(a)
}

// listen takes the socket that leave finds the holder by.
func (h holding) listen() (net.Listener, error) {
	dir, err := runtimeDir()
	if err != nil {
		return nil, err
	}
	path := h.socket(dir)
	ln, err := net.Listen("unix", path)
	if err == nil {
		return ln, nil
	}
	if conn, dialErr := net.Dial("unix", path); dialErr == nil {
		conn.Close()
		return nil, usagef("process %d has a place at %s already", h.owner, h.path)
	}
	if err := os.Remove(path); err != nil { // of a holder that was killed
		return nil, err
	}
	return net.Listen("unix", path)
}

// socket is short, for paths of sockets must be.
func (h holding) socket(dir string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", h.owner, h.path))
	return filepath.Join(dir, fmt.Sprintf("barrier-%x.sock", sum[:8]))
}

// runtimeDir is a folder that only this user may look into.
func runtimeDir() (string, error) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" || len(dir) > 64 {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, fmt.Sprintf("docent-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !st.IsDir() || !ownedByUs(st) || st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is not a folder of ours alone", dir)
	}
	return dir, nil
}
