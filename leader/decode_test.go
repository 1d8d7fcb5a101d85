package leader

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// FuzzInfo reads anything as a candidate's node. Text is its id, as Curator's candidates have it; what is ours comes back the
// same when it is written.
func FuzzInfo(f *testing.F) {
	f.Add([]byte(`{"id":"a","addr":"a:1","acked":true,"since":"2026-01-02T03:04:05Z","data":"eA=="}`))
	f.Add([]byte("participant-1"))
	f.Add([]byte(`{"id":"a","since":"yesterday"}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		i := info(client.Node{Data: data, Stat: client.Stat{Czxid: 7, Ctime: 1000}})
		if i.Token != 7 || i.Vacant {
			t.Fatalf("%+v", i)
		}
		if !json.Valid(data) {
			if i.ID != string(data) {
				t.Errorf("%q has the id %q", data, i.ID)
			}
			return
		}
		p := profile{ID: i.ID, Addr: i.Addr, Acked: i.Acked, Data: i.Data}
		if i.Acked {
			p.Since = i.Since
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", i, err)
		}
		again := info(client.Node{Data: text, Stat: client.Stat{Czxid: 7, Ctime: 1000}})
		if !same(i, again) && len(i.Data) > 0 || !again.Since.Equal(i.Since) && i.Acked {
			t.Errorf("%+v comes back as %+v", i, again)
		}
		if i.Since.After(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Add(48 * time.Hour)) {
			t.Errorf("it leads since %v", i.Since)
		}
	})
}
