package groups

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

var codec instanceCodec

func TestInstanceRoundTrip(t *testing.T) {
	in := Instance{
		Service: "appmgr", ID: "am-1", Host: "10.0.0.1", Port: 9930, Version: "1.6.2", Flavor: "slurm", Load: 0.35,
		Status: Draining, Meta: map[string]string{"cluster": "bigred"}, Registered: time.UnixMilli(1795338088286),
	}
	data, err := codec.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.Decode(data)
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("decoded %+v, %v; want %+v", got, err, in)
	}
}

// What Curator's ServiceDiscovery looks for, with the names it gives to it (zookeeper-protocol.md §14.2).
func TestInstanceIsCurators(t *testing.T) {
	data, err := codec.Encode(Instance{Service: "svc", ID: "id-1", Host: "10.0.0.1", Port: 80, Registered: time.UnixMilli(1795338088286)})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"name": "svc", "id": "id-1", "address": "10.0.0.1", "port": 80.0, "sslPort": nil, "enabled": true,
		"registrationTimeUTC": 1795338088286.0, "serviceType": "DYNAMIC", "uriSpec": nil,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v, want %v", name, v, want)
		}
	}
}

func TestInstanceReadsCurators(t *testing.T) {
	at := time.UnixMilli(1795338088286)
	for name, c := range map[string]struct {
		json string
		want Instance
	}{
		"without payload": {
			`{"name":"svc","id":"id-1","address":"10.0.0.1","port":80,"sslPort":null,"payload":null,"registrationTimeUTC":1795338088286,
			"serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true}]}}`,
			Instance{Service: "svc", ID: "id-1", Host: "10.0.0.1", Port: 80, Status: Up, Registered: at},
		},
		"with text, and what we do not know": {
			`{"name":"svc","id":"id-1","address":"a","port":null,"sslPort":443,"payload":"anything","registrationTimeUTC":1795338088286,
			"enabled":false,"colour":"red"}`,
			Instance{Service: "svc", ID: "id-1", Host: "a", Port: 443, Status: Draining, Registered: at},
		},
		"with a Java object": {
			`{"name":"svc","id":"id-1","address":"a","port":1,"payload":{"@class":"org.x.Details","version":"1.2","load":"high"},
			"registrationTimeUTC":1795338088286}`,
			Instance{Service: "svc", ID: "id-1", Host: "a", Port: 1, Version: "1.2", Status: Up, Registered: at},
		},
	} {
		if got, err := codec.Decode([]byte(c.json)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: decoded %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

// CURATOR-574: an entry without bytes, or with foreign ones, is an error and no panic.
func TestInstanceUnreadable(t *testing.T) {
	for _, data := range []string{"", "null", "127.0.0.1", "[]", `{"name":"svc"}`, `{"id":7}`, "\xff\x00"} {
		if in, err := codec.Decode([]byte(data)); err == nil {
			t.Errorf("Decode(%q) = %+v, want an error", data, in)
		}
	}
}

func TestInstanceAddr(t *testing.T) {
	for want, in := range map[string]Instance{
		"10.0.0.1:80": {Host: "10.0.0.1", Port: 80},
		"[::1]:9930":  {Host: "::1", Port: 9930},
	} {
		if got := in.Addr(); got != want {
			t.Errorf("Addr() = %s, want %s", got, want)
		}
	}
}
