package rendezvous_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
	"github.com/docent-io/docent/server/servertest"
)

const meet = "/jobs/7/meet"

// endpoint is what the masters of these tests post.
type endpoint struct {
	Host string
	Port int
}

type (
	point = rendezvous.Point[endpoint]
	info  = rendezvous.Info[endpoint]
)

func at(c *client.Client, o ...rendezvous.Option) *point {
	return rendezvous.At[endpoint](c, meet, o...)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func named(name string) func(*client.Config) {
	return func(cfg *client.Config) { cfg.Identity = name }
}

// watching returns once n watches are set on srv.
func watching(t *testing.T, srv *servertest.Server, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprint(n, " watches to be set"), func() bool { return watches(srv) == n })
}

// watches returns how many watches clients have set on srv, or −1 if it does not say.
func watches(srv *servertest.Server) int {
	nc, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		return -1
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("mntr")); err != nil {
		return -1
	}
	answer, err := io.ReadAll(nc)
	if err != nil {
		return -1
	}
	_, count, _ := strings.Cut(string(answer), "zk_watch_count\t")
	n := -1
	fmt.Sscan(count, &n)
	return n
}

// outcome is what a Wait returned, or a step of a Follow.
type outcome struct {
	info
	err error
}

func waitFor(ctx context.Context, p *point) <-chan outcome {
	out := make(chan outcome, 1)
	go func() {
		i, err := p.Wait(ctx)
		out <- outcome{i, err}
	}()
	return out
}

// follow passes on what Follow yields; the channel is closed when the loop has ended.
func follow(ctx context.Context, p *point) <-chan outcome {
	out := make(chan outcome, 100)
	go func() {
		defer close(out)
		for i, err := range p.Follow(ctx) {
			out <- outcome{i, err}
		}
	}()
	return out
}

// term is a term of leadership, without the leader.
type term struct {
	s     *client.Session
	ctx   context.Context
	end   context.CancelFunc
	token uint64
}

func newTerm(t *testing.T, c *client.Client, token uint64) *term {
	t.Helper()
	s, err := c.Session(testContext(t))
	must(t, err)
	ctx, end := context.WithCancel(s.Context())
	t.Cleanup(end)
	return &term{s, ctx, end, token}
}

func (t *term) Session() *client.Session { return t.s }
func (t *term) Context() context.Context { return t.ctx }
func (t *term) Token() uint64            { return t.token }
