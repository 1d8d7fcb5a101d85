package sim

import (
	"encoding/binary"

	"github.com/docent-io/docent/internal/wire"
)

// sabotage makes something wrong on purpose, to see that it is found.
type sabotage string

const (
	doubleEvents sabotage = "each watch event is sent twice"
	loseEvents   sabotage = "watch events get lost"
	lateEvents   sabotage = "watch events come behind the next answer"
	staleReads   sabotage = "reads without a sync pass for fresh ones"
	fastClocks   sabotage = "sessions are timed three times as fast"
	noSync       sabotage = "disks say that they have synced, and have not"
	tornMulti    sabotage = "a transaction is sent as two"
	noFence      sabotage = "locks are used beyond their end"
)

// ofEvents tells whether what a server sends is meddled with.
func (s sabotage) ofEvents() bool { return s == doubleEvents || s == loseEvents || s == lateEvents }

// meddler makes a server of one that does wrong with events. A server writes whole frames.
type meddler struct {
	how  sabotage
	late []byte // events that wait
	said bool   // the connect request was answered
}

func (m *meddler) meddle(p []byte) (out []byte) {
	for len(p) >= 8 {
		n := 4 + int(binary.BigEndian.Uint32(p))
		if n > len(p) {
			break
		}
		frame := p[:n]
		p = p[n:]
		event := m.said && int32(binary.BigEndian.Uint32(frame[4:])) == wire.XidNotification
		m.said = true
		switch {
		case !event:
			out = append(append(out, frame...), m.late...)
			m.late = nil
		case m.how == doubleEvents:
			out = append(append(out, frame...), frame...)
		case m.how == lateEvents:
			m.late = append(m.late, frame...)
		}
	}
	return append(out, p...)
}
