package tree_test

import (
	"slices"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

func TestDigestID(t *testing.T) {
	for auth, want := range map[string]string{
		"bob:pw": "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=", "super:pw": "super:0bX78nEegDzJM3ju0iLBEJdWzjg=",
		"u:p": "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
		// Trap 34: any bytes authenticate.
		"": ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "x": "x:EfatjsUqKYSrqv18O1FlA3hcIHI=",
	} {
		if got := tree.DigestID([]byte(auth)); got != want {
			t.Errorf("DigestID(%q) = %q, want %q", auth, got, want)
		}
	}
}

func TestAllowed(t *testing.T) {
	acl := func(perms int32, scheme, id string) []wire.ACL {
		return []wire.ACL{{Perms: wire.PermAll &^ perms, Scheme: "world", ID: "anyone"}, {Perms: perms, Scheme: scheme, ID: id}}
	}
	id := func(scheme, id string) []wire.ID {
		return []wire.ID{{Scheme: "x509", ID: "CN=other"}, {Scheme: scheme, ID: id}}
	}
	for _, c := range []struct {
		name string
		acl  []wire.ACL
		ids  []wire.ID
		want bool
	}{
		{"no ACL", nil, nil, true},
		{"world", acl(wire.PermRead, "world", "anyone"), nil, true},
		{"another permission", acl(wire.PermRead, "none", ""), nil, false},
		{"digest", acl(wire.PermRead, "digest", "u:h"), id("digest", "u:h"), true},
		{"other digest", acl(wire.PermRead, "digest", "u:h"), id("digest", "u:i"), false},
		{"other scheme", acl(wire.PermRead, "digest", "u:h"), id("sasl", "u:h"), false},
		{"super", acl(wire.PermRead, "digest", "u:h"), id("super", ""), true},
		{"address", acl(wire.PermRead, "ip", "10.1.2.3"), id("ip", "10.1.2.3"), true},
		{"other address", acl(wire.PermRead, "ip", "10.1.2.3"), id("ip", "10.1.2.4"), false},
		{"range", acl(wire.PermRead, "ip", "10.1.0.0/16"), id("ip", "10.1.2.4"), true},
		{"range with host bits", acl(wire.PermRead, "ip", "10.1.2.3/16"), id("ip", "10.1.9.9"), true},
		{"out of range", acl(wire.PermRead, "ip", "10.1.0.0/16"), id("ip", "10.2.2.4"), false},
		{"all addresses", acl(wire.PermRead, "ip", "0.0.0.0/0"), id("ip", "10.2.2.4"), true},
		{"IPv6", acl(wire.PermRead, "ip", "fe80::/10"), id("ip", "fe80::1%eth0"), true},
		{"IPv4 in IPv6", acl(wire.PermRead, "ip", "127.0.0.1"), id("ip", "::ffff:127.0.0.1"), true},
		{"not an address", acl(wire.PermRead, "ip", "10.1.0.0/16"), id("ip", "localhost"), false},
	} {
		if got := tree.Allowed(c.acl, wire.PermRead, c.ids); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestACL_Validity(t *testing.T) {
	for _, c := range []struct {
		scheme, id string
		features   tree.Features
		want       wire.Code
	}{
		{"world", "anyone", 0, wire.OK},
		{"world", "someone", 0, wire.ErrInvalidACL},
		{"", "", 0, wire.ErrInvalidACL},
		{"super", "", 0, wire.ErrInvalidACL},
		{"sasl", "u", 0, wire.ErrInvalidACL},
		{"x509", "CN=u", 0, wire.ErrInvalidACL},
		{"x509", "CN=u", tree.FeatureX509, wire.OK},
		{"auth", "", 0, wire.ErrInvalidACL}, // an address does not say who someone is
		{"digest", "u:h", 0, wire.OK}, {"digest", ":h", 0, wire.OK}, {"digest", "u:h:", 0, wire.OK},
		{"digest", "u", 0, wire.ErrInvalidACL}, {"digest", "u:", 0, wire.ErrInvalidACL},
		{"digest", "u:h:i", 0, wire.ErrInvalidACL}, {"digest", "", 0, wire.ErrInvalidACL},
		{"ip", "1.2.3.4", 0, wire.OK}, {"ip", "1.2.3.4/0", 0, wire.OK}, {"ip", "1.2.3.4/32", 0, wire.OK},
		{"ip", "::1", 0, wire.OK}, {"ip", "::/128", 0, wire.OK},
		{"ip", "1.2.3", 0, wire.ErrInvalidACL}, {"ip", "1.2.3.256", 0, wire.ErrInvalidACL}, {"ip", "host", 0, wire.ErrInvalidACL},
		{"ip", "1.2.3.4/33", 0, wire.ErrInvalidACL}, {"ip", "1.2.3.4/-1", 0, wire.ErrInvalidACL}, {"ip", "1.2.3.4/", 0, wire.ErrInvalidACL},
		{"ip", "", 0, wire.ErrInvalidACL},
	} {
		w := newWorld(t)
		w.feature = c.features
		acl := wire.ACL{Perms: 255, Scheme: c.scheme, ID: c.id} // bits are not validated
		r := w.one(createWith(wire.OpCreate, "/x", 0, 0, acl))
		if r.Err != c.want {
			t.Errorf("%s:%s = %v, want %v", c.scheme, c.id, r.Err, c.want)
		} else if c.want == wire.OK && !slices.Equal(w.Node("/x").ACL(), []wire.ACL{acl}) {
			t.Errorf("stored %v, want %v", w.Node("/x").ACL(), acl)
		}
	}
}

// Trap 33: auth is expanded when it is written, and the expansion is what is stored; digests are masked.
func TestACL_Trap33_AuthExpands(t *testing.T) {
	w := newWorld(t)
	w.ids = append(w.ids, wire.ID{Scheme: "digest", ID: "u:h"}, wire.ID{Scheme: "super"}, wire.ID{Scheme: "digest", ID: "v:i"})
	auth := wire.ACL{Perms: 3, Scheme: "auth"}
	u, v := wire.ACL{Perms: 3, Scheme: "digest", ID: "u:h"}, wire.ACL{Perms: 3, Scheme: "digest", ID: "v:i"}
	w.must(createWith(wire.OpCreate, "/x", 0, 0, u, auth, readOnly, auth, readOnly))
	// Duplicates go before the expansion, so it may bring one back.
	if got := w.Node("/x").ACL(); !slices.Equal(got, []wire.ACL{u, u, v, readOnly}) {
		t.Errorf("stored %v", got)
	}
	masked := tree.MaskedACL(w.Node("/x").ACL())
	if masked[0].ID != "u:x" || masked[2].ID != "v:x" || masked[3] != readOnly {
		t.Errorf("masked %v", masked)
	}
	if w.Node("/x").ACL()[0].ID != "u:h" {
		t.Error("masking changed the node")
	}
}

// Trap 32: a node's own ACL does not protect it from deletion, its parent's does.
func TestACL_Trap32_ParentDecides(t *testing.T) {
	w := newWorld(t)
	w.must(createWith(wire.OpCreate, "/open", 0, 0, open))
	w.must(createWith(wire.OpCreate, "/open/x", 0, 0, readOnly))
	w.must(del("/open/x", -1))
	all, noDelete := open, open
	all.Scheme, all.ID = "ip", "127.0.0.1"
	noDelete.Perms &^= wire.PermDelete
	w.must(createWith(wire.OpCreate, "/keep", 0, 0, noDelete))
	w.must(createWith(wire.OpCreate, "/keep/x", 0, 0, all))
	if r := w.one(del("/keep/x", -1)); r.Err != wire.ErrNoAuth {
		t.Errorf("delete = %v", r.Err)
	}
	w.ids = []wire.ID{{Scheme: "super"}}
	w.must(del("/keep/x", -1))
	w.must(set("/zookeeper/config", "server.1=…", -1))
}

// A list that auth would blow up beyond measure is refused.
func TestACL_ExpansionIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		w.ids = append(w.ids, wire.ID{Scheme: "digest", ID: string(rune('a' + i))})
	}
	var acl []wire.ACL
	for i := range 300 {
		acl = append(acl, wire.ACL{Perms: int32(i), Scheme: "auth"})
	}
	if r := w.one(createWith(wire.OpCreate, "/x", 0, 0, acl...)); r.Err != wire.ErrInvalidACL {
		t.Errorf("create = %v", r.Err)
	}
}

// Equal ACLs are kept once, and forgotten with the last node.
func TestACL_Shared(t *testing.T) {
	w := newWorld(t)
	before := tree.ACLs(w.Tree)
	special := wire.ACL{Perms: 7, Scheme: "ip", ID: "1.2.3.4"}
	for _, path := range []string{"/a", "/b", "/c"} {
		w.must(createWith(wire.OpCreate, path, 0, 0, special))
	}
	if got := tree.ACLs(w.Tree); got != before+1 {
		t.Errorf("%d ACLs, want one more than %d", got, before)
	}
	w.must(del("/a", -1))
	w.must(del("/b", -1))
	if r := w.multi(del("/c", -1), createWith(wire.OpCreate, "/c", 0, 0, special), check("/none", 0)); r.Multi[2].Err == wire.OK {
		t.Fatal("the multi succeeded")
	}
	if got := w.Node("/c").ACL(); tree.ACLs(w.Tree) != before+1 || !slices.Equal(got, []wire.ACL{special}) {
		t.Errorf("after a rollback: %d ACLs, /c has %v", tree.ACLs(w.Tree), got)
	}
	w.must(del("/c", -1))
	if got := tree.ACLs(w.Tree); got != before {
		t.Errorf("%d ACLs are left, want %d", got, before)
	}
}
