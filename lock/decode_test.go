package lock

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/client"
)

// FuzzLease reads anything as the node of a lease and as that of a semaphore: what is taken is a weight with as many slots,
// and what is left of the permits goes to nobody twice.
func FuzzLease(f *testing.F) {
	f.Add([]byte(`{"id":"a","weight":2,"slots":[0,1]}`), []byte("3"))
	f.Add([]byte(`{"weight":9223372036854775807,"slots":[]}`), []byte("-1"))
	f.Add([]byte(`{"weight":1,"slots":[-1]}`), []byte("9223372036854775807"))
	f.Add([]byte("10.0.0.1"), []byte(""))
	f.Fuzz(func(t *testing.T, data, permits []byte) {
		l := parseLease(data)
		if l.Weight < 1 || l.Slots != nil && len(l.Slots) != l.Weight {
			t.Fatalf("a lease of weight %d with slots %v", l.Weight, l.Slots)
		}
		if l.Slots != nil {
			again, err := json.Marshal(l)
			if b := parseLease(again); err != nil || b.Weight != l.Weight || !slices.Equal(b.Slots, l.Slots) {
				t.Errorf("%s comes back as %+v, %v", again, b, err)
			}
		}
		n, err := parsePermits(client.Node{Path: "/s", Data: permits})
		if err == nil && n < 1 {
			t.Fatalf("%d permits", n)
		}
		if err != nil {
			n = 2
		}
		slots, ok := room(map[string]lease{"a": l, "b": {Weight: 1}}, n, 1)
		if ok != (n-l.Weight >= 2) {
			t.Errorf("room for one beside %d and 1 of %d: %v", l.Weight, n, ok)
		}
		if ok && (len(slots) != 1 || slices.Contains(l.Slots, slots[0])) {
			t.Errorf("slots %v beside %v", slots, l.Slots)
		}
	})
}

// directory has the children that it is made of.
type directory struct {
	client.Ops
	names []string
}

func (d directory) Children(context.Context, string, ...client.ReadOption) ([]string, client.Stat, error) {
	return d.names, client.Stat{}, nil
}

// FuzzReaders lines up anything as the children of a read-write lock, in each layout: a reader that has its turn has no writer
// ahead, and one that waits does so for a writer ahead of it.
func FuzzReaders(f *testing.F) {
	f.Add("_c_1-__READ__0000000001\n_c_2-__WRIT__0000000002\n_c_3-__READ__0000000003")
	f.Add("a__rlock__0000000001\nb__lock__0000000000\nb__READ__-2147483648")
	f.Fuzz(func(t *testing.T, text string) {
		names := strings.Split(text, "\n")
		for _, layout := range []Layout{LayoutCurator, LayoutKazoo} {
			m := RWMutex{queue{path: "/l", opt: options{layout: layout}}}
			l := m.line(shared)
			if slices.ContainsFunc(names, l.Bars) {
				continue // refused
			}
			line, err := l.List(t.Context(), directory{names: names})
			if err != nil {
				t.Fatal(err)
			}
			for own, p := range line {
				if !reads(p) {
					continue
				}
				b := nearestWriter(line, own)
				if b >= own || b >= 0 && reads(line[b]) {
					t.Fatalf("%q waits for number %d of %v", p.Name, b, line)
				}
				for _, between := range line[b+1 : own] {
					if !reads(between) {
						t.Errorf("%q does not wait for %q", p.Name, between.Name)
					}
				}
			}
		}
	})
}
