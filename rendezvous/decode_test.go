package rendezvous

import (
	"encoding/json"
	"testing"

	"github.com/docent-io/docent/client"
)

// FuzzPosting reads anything as a posting, for programs that expect a text, a struct or whatever comes: what is taken comes back
// the same when it is posted again.
func FuzzPosting(f *testing.F) {
	f.Add([]byte(`{"by":"m","token":7,"value":"x"}`), "worker-1")
	f.Add([]byte(`{"by":"m","value":{"addr":"a:1"}}`), "00000000000000000000000000000000-")
	f.Add([]byte(`{"by":"m"}`), "")
	f.Add([]byte(""), "zz")
	f.Add([]byte(`{"value":null}`), "é")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		posted[string](t, data)
		posted[struct{ Addr string }](t, data)
		posted[json.RawMessage](t, data)
		if isWorker(name) && len(name) < 33 {
			t.Errorf("%q counts as a worker", name)
		}
		if w := newWorker(name); !isWorker(w) {
			t.Errorf("%q of %q does not", w, name)
		}
	})
}

func posted[T any](t *testing.T, data []byte) {
	t.Helper()
	p := &Point[T]{}
	seen, err := p.decode(client.Node{Path: "/p", Data: data, Stat: client.Stat{Czxid: 5, Mzxid: 6}})
	if err != nil || seen.Gone {
		return
	}
	value, err := json.Marshal(seen.Value)
	if err != nil {
		t.Fatalf("%+v cannot be posted again: %v", seen.Value, err)
	}
	text, err := json.Marshal(envelope{By: seen.Poster, Value: value})
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.decode(client.Node{Path: "/p", Data: text, Stat: client.Stat{Czxid: 5, Mzxid: 6}})
	if err != nil {
		t.Fatalf("%s cannot be read: %v", text, err)
	}
	back, err := json.Marshal(again.Value)
	if err != nil || string(back) != string(value) || again.Poster != seen.Poster || again.Epoch != 5 {
		t.Errorf("%s comes back as %s, %v", value, back, err)
	}
}
