package client_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// FuzzParseDSN parses anything. What is taken names servers and passes the checks of Dial.
func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{"zk://a:2181,b:2181,c/chroot?session=10s", "zks://user:pass%20word@a:2281/c", "zk://", "zk://a?", "zk://a/%2f?margin=1h&session=-1s", "zk://[::1]:2181"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cfg, err := client.ParseDSN(s)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		if len(cfg.Servers) == 0 || cfg.Servers[0] == "" {
			t.Errorf("%q is taken and names no server", s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if c, err := client.Dial(ctx, cfg); err == nil {
			t.Error("dialed with a context that is over")
			c.Close()
		}
	})
}

// FuzzReply answers a client's requests with anything: each caller hears the end of it, and nothing panics.
func FuzzReply(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add(framed(header(1, 0), int32s(3, 7)), []byte("x"))
	f.Add(framed(header(1, wire.ErrNoNode)), framed(header(2, 0)))
	f.Add(framed(header(wire.XidNotification, 0), int32s(3, 3, 2), []byte("/w")), []byte{0, 0})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, _, p := start(t, client.Config{})
			s := session(t, c)
			get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/x") })
			p.want(wire.OpGetData)
			p.raw(first)
			p.raw(second)
			p.nc.Close()
			c.Close()
			if n, err := get.wait(t); err == nil && len(n.Data) > len(first)+len(second) {
				t.Errorf("%q came out of %d bytes", n.Data, len(first)+len(second))
			}
		})
	})
}
