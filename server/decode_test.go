package server

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// FuzzMembers reads anything as the members that a client wants (reconfig) or that zoo.cfg names: what is taken comes out the
// same of the lines that are kept of it.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{"server.1=a:1:2:participant;0.0.0.0:3", "server.2=[::1]:1:2:observer\nversion=0", "server.3=a:1:2,server.4=b:1:2", "=", "server.=::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, lines, err := parseMembers(text)
		if err != nil {
			return
		}
		again, _, err := parseMembers(strings.Join(slices.Collect(maps.Values(lines)), "\n"))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%q is taken as %v, and its lines are not: %v", text, list, err)
		}
		for _, m := range list {
			if !slices.Contains(again, m) {
				t.Errorf("%+v comes back as %+v", m, again)
			}
		}
	})
}

// FuzzOperations decodes anything as the body of each operation that a client may send. What becomes a transaction is encoded,
// for that is what goes into the log, and every server must read it.
func FuzzOperations(f *testing.F) {
	f.Add(int32(wire.OpCreate), wire.AppendString(nil, "/a"))
	f.Add(int32(wire.OpMulti), wire.AppendMulti(nil, []wire.MultiOp{{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: "/a"}}}))
	f.Fuzz(func(t *testing.T, number int32, body []byte) {
		o, ok := operations[wire.Op(number)]
		if !ok {
			return
		}
		r := wire.NewReader(body)
		if o.read != nil {
			o.read(r)
			return
		}
		x := tree.Txn{Session: 1, Epoch: 1, Op: wire.Op(number)}
		if o.write(r, &x); r.Err() != nil {
			return
		}
		var y tree.Txn
		if err := y.Decode(x.Append(nil)); err != nil {
			t.Errorf("%v %x goes into the log and cannot be read there: %v", x.Op, body, err)
		}
	})
}
