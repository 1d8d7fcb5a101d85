package groups

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Status says whether an instance wants to be picked.
type Status string

const (
	Up       Status = "up"       // may be picked
	Draining Status = "draining" // finishes what it has, and is not picked any more
)

// Instance is one running instance of a service: where it is, what it is, and how busy. It is liveness and a little
// description, and no place for state: it is gone with its process.
type Instance struct {
	Service string            // the kind of service, as pickers ask for it
	ID      string            // unique within the service; made from the client's identity when empty
	Host    string            // name or address to connect to
	Port    int               // 0 to 65535
	Version string            // semantic version, such as 1.6.2
	Flavor  string            // what sets it apart from other instances of the service
	Load    float64           // 0 is idle and 1 is full; what counts as load is the service's own affair
	Status  Status            // Up when empty
	Meta    map[string]string // whatever else pickers select by

	Registered time.Time // when it registered, by its own clock; set by Register
	Epoch      uint64    // czxid of its node: tells two lives of one ID apart; set by a Directory
	Session    int64     // that the node belongs to, as Session.ID; set by a Directory
}

// Addr returns host:port, or [host]:port for an IPv6 address.
func (in Instance) Addr() string { return net.JoinHostPort(in.Host, strconv.Itoa(in.Port)) }

// serviceInstance is the JSON of Curator's ServiceInstance, which its ServiceDiscovery reads and writes.
type serviceInstance struct {
	Name         string          `json:"name"`
	ID           string          `json:"id"`
	Address      *string         `json:"address"`
	Port         *int            `json:"port"`
	SSLPort      *int            `json:"sslPort"`
	Payload      json.RawMessage `json:"payload"`
	Registration int64           `json:"registrationTimeUTC"` // milliseconds
	ServiceType  string          `json:"serviceType"`
	URISpec      json.RawMessage `json:"uriSpec"`
	Enabled      *bool           `json:"enabled,omitempty"`
}

// payload is what Curator has no field for. Curator's clients see it as a map.
type payload struct {
	Version string            `json:"version,omitempty"`
	Flavor  string            `json:"flavor,omitempty"`
	Load    float64           `json:"load"`
	Status  Status            `json:"status"`
	Meta    map[string]string `json:"meta,omitempty"`
}

// instanceCodec writes an Instance as Curator does, and reads what Curator and we wrote.
type instanceCodec struct{}

// Encode writes the JSON of a ServiceInstance. An instance that drains is not enabled, which turns Curator's pickers
// away too.
func (instanceCodec) Encode(in Instance) ([]byte, error) {
	p, err := json.Marshal(payload{in.Version, in.Flavor, in.Load, in.Status, in.Meta})
	if err != nil {
		return nil, fmt.Errorf("encode the payload of instance %s: %w", in.ID, err)
	}
	enabled := in.Status != Draining
	return json.Marshal(serviceInstance{
		Name: in.Service, ID: in.ID, Address: &in.Host, Port: &in.Port, Payload: p,
		Registration: in.Registered.UnixMilli(), ServiceType: "DYNAMIC", Enabled: &enabled,
	})
}

// Decode reads the JSON of a ServiceInstance. What the payload holds beyond our own fields, or instead of them, is the
// affair of those who wrote it: it is left out, and the instance can be found all the same. (CURATOR-275: a missing
// enabled means yes. CURATOR-574: no bytes are an error here and never a panic.)
func (instanceCodec) Decode(data []byte) (Instance, error) {
	var s serviceInstance
	if err := json.Unmarshal(data, &s); err != nil {
		return Instance{}, fmt.Errorf("decode a service instance: %w", err)
	}
	if s.ID == "" {
		return Instance{}, fmt.Errorf("decode a service instance: it has no id")
	}
	in := Instance{Service: s.Name, ID: s.ID, Status: Up, Registered: time.UnixMilli(s.Registration)}
	if s.Address != nil {
		in.Host = *s.Address
	}
	switch {
	case s.Port != nil:
		in.Port = *s.Port
	case s.SSLPort != nil: // Curator's way to say that the only port speaks TLS
		in.Port = *s.SSLPort
	}
	var p payload
	_ = json.Unmarshal(s.Payload, &p) // valid JSON of an unknown kind: fields that do not fit stay empty
	in.Version, in.Flavor, in.Load, in.Meta = p.Version, p.Flavor, p.Load, p.Meta
	if p.Status != "" {
		in.Status = p.Status
	}
	if s.Enabled != nil && !*s.Enabled {
		in.Status = Draining
	}
	return in, nil
}
