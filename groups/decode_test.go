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
