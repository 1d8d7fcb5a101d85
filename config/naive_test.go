package config_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/servertest"
)

// Each test of this file tells one story twice: with ours, which holds, and with the naive variant that others ship, which
// must not, or else the story would show nothing.

// adder adds one to the counter. between is called once it has read.
type adder func(ctx context.Context, c *client.Client, between func()) error

// naiveAdd is the loop of Curator's DistributedAtomicValue and kazoo's Counter: after whatever error it reads and sets again.
func naiveAdd(ctx context.Context, c *client.Client, between func()) error {
	for {
		node, err := c.Get(ctx, counter, client.Fresh())
		if err != nil {
			return err
		}
		between()
		n, err := strconv.Atoi(string(node.Data))
		if err != nil {
			return err
		}
		_, err = c.Set(ctx, counter, strconv.AppendInt(nil, int64(n+1), 10), node.Stat.Version)
		if !errors.Is(err, client.ErrBadVersion) && !errors.Is(err, client.ErrMaybeApplied) {
			return err
		}
	}
}

func addOnce(ctx context.Context, c *client.Client, between func()) error {
	between()
	_, err := config.NewCounter(c, counter, nil).Add(ctx, 1)
	return err
}

func addByUpdate(ctx context.Context, c *client.Client, between func()) error {
	_, err := config.Update(ctx, c, counter, func(n int64) (int64, error) {
		between()
		return n + 1, nil
	}, config.WithCodec(config.Decimal()))
	return err
}

// RECIPES.md 2.12: the reply is lost, others add a thousand times while we connect again, and the loop adds once more.
func TestCounter_C6_NaiveLoop(t *testing.T) {
	const others, adds = 20, 50 // a thousand in all
	sum := func(t *testing.T, add adder, op string) (got int64) {
		srv, ctx := servertest.New(t), testContext(t)
		direct := srv.Dial(t)
		_, err := direct.Create(ctx, counter, []byte("0"), client.Parents())
		must(t, err)
		var clients []*client.Client
		for range others {
			clients = append(clients, srv.Dial(t))
		}
		first := make(chan struct{})
		// The one whose reply is lost comes back when the others are done.
		var lost int
		c := srv.Dial(t, func(cfg *client.Config) {
			cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if lost++; lost > 1 {
					select {
					case <-first:
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
				return srv.DialContext(ctx, network, addr)
			}
			cfg.SessionTimeout = 20 * time.Second
		})
		s, err := c.Session(ctx)
		must(t, err)
		srv.Inject(servertest.Fault{Kind: servertest.ReplyDropped, Op: op, N: 1, Session: s.ID()})
		done := make(chan error, 1)
		go func() { done <- add(ctx, c, func() {}) }()
		testkit.Eventually(t, "the reply to be lost", func() bool { return c.State() != client.Connected })
		var all sync.WaitGroup
		for _, other := range clients {
			all.Go(func() {
				k := config.NewCounter(other, counter, nil)
				for range adds {
					if _, err := k.Add(ctx, 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		close(first)
		if err := <-done; err != nil {
			t.Errorf("the one whose reply was lost: %v", err)
		}
		got, err = config.NewCounter(direct, counter, nil).Get(ctx)
		must(t, err)
		return got
	}
	if got := sum(t, addOnce, "multi"); got != others*adds+1 {
		t.Errorf("the counter is %d, want %d", got, others*adds+1)
	}
	if got := sum(t, naiveAdd, "setData"); got != others*adds+2 {
		t.Errorf("with the naive loop it is %d: not caught", got)
	}
}

// CURATOR-688: the version reaches −1, which means "any": the compare-and-set of the naive loop is a blind write, and what
// another added in between is lost. (CURATOR-344, CURATOR-151: others that trip over versions. Ours orders by mzxid, and asks
// versions only whether they are equal.)
func TestCounter_C6_NaiveWrap(t *testing.T) {
	for what, v := range map[string]struct {
		add   adder
		loses bool
	}{"Counter": {addOnce, false}, "Update": {addByUpdate, false}, "naive": {naiveAdd, true}} {
		t.Run(what, func(t *testing.T) {
			srv, ctx := servertest.New(t), testContext(t)
			shifted := func(cfg *client.Config) { cfg.DialContext = shift{-3}.dialer(srv.DialContext) }
			c, other := srv.Dial(t, shifted), srv.Dial(t, shifted)
			_, err := srv.Dial(t).Create(ctx, counter, []byte("0"), client.Parents())
			must(t, err)
			want := int64(0)
			for range 8 { // from version −3: the second finds −1
				once := sync.OnceFunc(func() {
					must(t, addOnce(ctx, other, func() {}))
					want++
				})
				must(t, v.add(ctx, c, once))
				want++
			}
			got, err := config.NewCounter(c, counter, nil).Get(ctx)
			must(t, err)
			if lost := got < want; lost != v.loses {
				t.Errorf("the counter is %d of %d", got, want)
			}
			node, err := c.Get(ctx, counter)
			if err != nil || node.Stat.Version < 0 {
				t.Errorf("the version is %d, %v: it did not come past −1", node.Stat.Version, err)
			}
		})
	}
}

// Several add at once while the version comes past −1.
func TestCounter_C6_WrapAmongOthers(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	var all sync.WaitGroup
	const adders, adds = 4, 10
	for i := range adders {
		c := srv.Dial(t, func(cfg *client.Config) { cfg.DialContext = shift{-20}.dialer(srv.DialContext) })
		all.Go(func() {
			k := config.NewCounter(c, counter, nil)
			for range adds {
				var err error
				if i%2 == 0 {
					_, err = k.Add(ctx, 1)
				} else {
					err = addByUpdate(ctx, c, func() {})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	wantCount(ctx, t, config.NewCounter(srv.Dial(t), counter, nil), adders*adds)
}

// shift stands between a client and a server, and makes every version of data look by so much higher: nobody has the
// time to write a node 2³² times.
type shift struct{ by int32 }

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func (s shift) dialer(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		server, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		ops := new(sync.Map) // by xid
		go pump(server, far, func(frame []byte) []byte { return s.request(frame, ops) })
		go pump(far, server, func(frame []byte) []byte { return s.reply(frame, ops) })
		return near, nil
	}
}

// pump passes frames on until either end closes. The first is the handshake.
func pump(to, from net.Conn, change func([]byte) []byte) {
	defer to.Close()
	defer from.Close()
	for first := true; ; first = false {
		frame, err := wire.ReadFrame(from, nil, 0)
		if err != nil {
			return
		}
		if !first {
			frame = change(frame)
		}
		if _, err := to.Write(wire.EndFrame(append(wire.BeginFrame(nil), frame...), 0)); err != nil {
			return
		}
	}
}

func (s shift) down(v int32) int32 {
	if v == -1 {
		return v // any version
	}
	return v - s.by
}

func (s shift) request(frame []byte, ops *sync.Map) []byte {
	r := wire.NewReader(frame)
	var h wire.RequestHeader
	h.Decode(r)
	ops.Store(h.Xid, h.Op)
	switch h.Op {
	case wire.OpSetData, wire.OpDelete:
		at := frame[len(frame)-4:]
		binary.BigEndian.PutUint32(at, uint32(s.down(int32(binary.BigEndian.Uint32(at)))))
	case wire.OpMulti:
		list := r.MultiOps(h.Op)
		for i := range list {
			list[i].Set.Version, list[i].Check.Version = s.down(list[i].Set.Version), s.down(list[i].Check.Version)
		}
		return wire.AppendMulti(h.Append(nil), list)
	}
	return frame
}

const (
	replyHeader   = 16 // bytes: xid, zxid, error
	statLen       = 68
	versionInStat = 32
)

func (s shift) reply(frame []byte, ops *sync.Map) []byte {
	xid := int32(binary.BigEndian.Uint32(frame))
	op, _ := ops.Load(xid)
	if failed := binary.BigEndian.Uint32(frame[replyHeader-4:]) != 0; failed || xid < 0 {
		return frame
	}
	switch op {
	case wire.OpGetData, wire.OpExists, wire.OpSetData, wire.OpCreate2:
		at := frame[len(frame)-statLen+versionInStat:]
		binary.BigEndian.PutUint32(at, binary.BigEndian.Uint32(at)+uint32(s.by))
	case wire.OpMulti:
		results := wire.NewReader(frame[replyHeader:]).MultiResults()
		for i := range results {
			results[i].Stat.Version += s.by
		}
		return wire.AppendMultiResults(frame[:replyHeader:replyHeader], results)
	}
	return frame
}
