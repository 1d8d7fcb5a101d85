package sim

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// tap records what a server reads and writes on the connections of its clients, right at the server: behind whatever the
// network does to it.
type tap struct {
	net.Listener
	world *world
	id    uint64
}

func (l *tap) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	rec := &history.Conn{Name: fmt.Sprintf("server %d, %s", l.id, nc.RemoteAddr())}
	l.world.record(func(r *records) { r.conns = append(r.conns, rec) })
	c := &tapped{Conn: nc, in: cutter{frame: rec.Received}, out: cutter{frame: rec.Sent}}
	if l.world.plan.sabotage.ofEvents() {
		c.wrong = &meddler{how: l.world.plan.sabotage}
	}
	return c, nil
}

type tapped struct {
	net.Conn
	in, out cutter
	wrong   *meddler // nil: the server is left alone
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.cut(p[:n])
	return n, err
}

func (c *tapped) Write(p []byte) (int, error) {
	n := len(p)
	if c.wrong != nil {
		p = c.wrong.meddle(p)
	}
	c.out.cut(p)
	if _, err := c.Conn.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

// CloseWrite tells the client that nothing follows.
func (c *tapped) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// cutter cuts a stream into frames. What is none, such as a four-letter word, it leaves alone.
type cutter struct {
	frame func([]byte)

	mu    sync.Mutex // guards the fields below
	buf   []byte
	plain bool
}

func (c *cutter) cut(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plain {
		return
	}
	c.buf = append(c.buf, p...)
	for len(c.buf) >= 4 {
		n := int(int32(binary.BigEndian.Uint32(c.buf)))
		if n < 0 || n > 64*wire.MaxFrame {
			c.plain = true
			return
		}
		if len(c.buf) < 4+n {
			return
		}
		c.frame(c.buf[4 : 4+n])
		c.buf = c.buf[4+n:]
	}
}
