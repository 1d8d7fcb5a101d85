package groups

import (
	"reflect"
	"testing"
)

// FuzzInstance reads anything as the payload of a member: what is taken survives being written and read again.
func FuzzInstance(f *testing.F) {
	f.Add([]byte(`{"name":"s","id":"1","address":"a","port":1,"payload":{"version":"1"},"registrationTimeUTC":1,"serviceType":"DYNAMIC","enabled":false}`))
	f.Add([]byte(`{"id":"1","payload":[1],"sslPort":7}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := instanceCodec{}.Decode(data)
		if err != nil {
			return
		}
		b, err := instanceCodec{}.Encode(in)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", in, err)
		}
		again, err := instanceCodec{}.Decode(b)
		if err != nil {
			t.Fatalf("%s cannot be read: %v", b, err)
		}
		if in.Meta != nil && len(in.Meta) == 0 {
			in.Meta = nil // left out
		}
		if !reflect.DeepEqual(in, again) {
			t.Errorf("%+v comes back as %+v", in, again)
		}
	})
}

// FuzzStatus changes the status in anything that is a service instance: the status is the new one then, and nothing else changes.
func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"name":"s","id":"1","address":"a","port":1,"payload":{"version":"1","status":"up"},"uriSpec":{"parts":[1.50]},"enabled":true}`))
	f.Add([]byte(`{"id":"1","payload":[1],"ENABLED":true}`))
	f.Add([]byte(`{"id":"1","payload":{"status":"busy","more":1e400}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := instanceCodec{}.Decode(data)
		for _, status := range []Status{Up, Draining} {
			changed, e := withStatus(data, status)
			if (e == nil) != (err == nil) {
				t.Fatalf("it is read with error %v, and changed with %v", err, e)
			}
			if err != nil {
				return
			}
			after, err := instanceCodec{}.Decode(changed)
			if err != nil {
				t.Fatalf("%s cannot be read: %v", changed, err)
			}
			if known := before.Status == Up || before.Status == Draining; known && after.Status != status {
				t.Errorf("%s has the status %q, want %q", changed, after.Status, status)
			}
			if after.Status = before.Status; !reflect.DeepEqual(after, before) {
				t.Errorf("%+v has become %+v", before, after)
			}
		}
	})
}

// FuzzVersion compares anything with anything: the order is one, and what is equal has the same precedence both ways.
func FuzzVersion(f *testing.F) {
	f.Add("1.6.2", "1.6.2-rc.1+b", "v2")
	f.Add("01.2", "1.2.0", "1.2-0.x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		v, err1 := parseVersion(a)
		w, err2 := parseVersion(b)
		x, err3 := parseVersion(c)
		if err1 != nil || err2 != nil {
			return
		}
		if v.compare(w) != -w.compare(v) || v.compare(v) != 0 {
			t.Errorf("%q and %q: %d and %d", a, b, v.compare(w), w.compare(v))
		}
		if err3 == nil && v.compare(w) <= 0 && w.compare(x) <= 0 && v.compare(x) > 0 {
			t.Errorf("%q <= %q <= %q, and the first is above the last", a, b, c)
		}
	})
}
