package barrier

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/client"
)

// FuzzPlaces reads anything as the names of members and as the list of those who started together: what is recognised comes
// back from a list that is written of it, in the same order.
func FuzzPlaces(f *testing.F) {
	_, name := newName("worker 1/2")
	f.Add(name+"0000000001\n"+name+"0000000000", "worker 1/2")
	f.Add(strings.Repeat("0", guidLen)+"--0000000000\nready\n"+strings.Repeat("f", guidLen)+"-%zz-0000000001", "")
	f.Add(strings.Repeat("é", guidLen)+"-%2-0000000000", strings.Repeat("€", maxWho))
	f.Fuzz(func(t *testing.T, text, identity string) {
		places := decodePlaces([]byte(text))
		again := decodePlaces(encodePlaces(places))
		if !slices.Equal(places, again) {
			t.Errorf("%v come back as %v", places, again)
		}
		d := &Double{n: 2}
		if late := d.lately(places, again); len(late) > d.n {
			t.Errorf("%d are written down as late, of %d", len(late), d.n)
		}
		for _, p := range places {
			if p.seq < 0 {
				t.Errorf("%q has the place %d", p.name, p.seq)
			}
			if len(p.doneName()) != 10 {
				t.Errorf("%q leaves as %q", p.name, p.doneName())
			}
		}
		guid, prefix := newName(identity)
		p, ok := parsePlace(prefix + "0000000007")
		if !ok || p.seq != 7 || !strings.HasPrefix(p.name, guid) || len(p.name) > maxName || !strings.HasPrefix(identity, p.who) {
			t.Errorf("the name %q of %q is read as %+v, %v", prefix, identity, p, ok)
		}
	})
}

// FuzzState reads anything as the node of a barrier: what is taken comes back the same when it is written.
func FuzzState(f *testing.F) {
	f.Add((&state{Gen: 1, N: 2, State: stateOpen}).encode())
	f.Add([]byte(`{"gen":9223372036854775807,"n":2,"state":"running"}`))
	f.Add([]byte(`{"gen":-1,"n":-2}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &Double{path: "/b"}
		if json.Unmarshal(data, &struct{ N *int }{&d.n}) != nil {
			return
		}
		st, err := d.decode(client.Node{Data: data})
		if err != nil {
			return
		}
		if again, err := d.decode(client.Node{Data: st.encode()}); err != nil || again != st {
			t.Errorf("%+v comes back as %+v, %v", st, again, err)
		}
	})
}
