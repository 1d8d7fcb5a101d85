package tree

import (
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// maxACL bounds a list after the expansion of auth, which multiplies what a client sent by the identities it has.
const maxACL = 1 << 14

var openACL = []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}

// OpenACL allows everything to everyone. It must not be changed.
func OpenACL() []wire.ACL { return openACL }

func isOpen(acl []wire.ACL) bool {
	return len(acl) == 1 && (&acl[0] == &openACL[0] || acl[0] == openACL[0])
}

// Allowed tells whether the ACL gives any of the permissions to one of the identities. An empty list allows
// everything, and so does holding an identity of the scheme super.
func Allowed(acl []wire.ACL, perms int32, ids []wire.ID) bool {
	if len(acl) == 0 {
		return true
	}
	for i := range acl {
		if a := &acl[i]; a.Perms&perms != 0 && (a.Scheme == "world" && a.ID == "anyone" || matches(a, ids)) {
			return true
		}
	}
	return slices.ContainsFunc(ids, func(id wire.ID) bool { return id.Scheme == "super" })
}

func matches(a *wire.ACL, ids []wire.ID) bool {
	for _, id := range ids {
		if id.Scheme == a.Scheme && (id.ID == a.ID || id.Scheme == "ip" && inRange(id.ID, a.ID)) {
			return true
		}
	}
	return false
}

// inRange tells whether an address is the one of an ACL, or in its range.
func inRange(address, acl string) bool {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	p, ok := parseRange(acl)
	return ok && p.Contains(addr.Unmap().WithZone(""))
}

// parseRange reads "address" or "address/bits".
func parseRange(s string) (netip.Prefix, bool) {
	text, bitsText, hasBits := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := addr.BitLen()
	if hasBits {
		if bits, err = strconv.Atoi(bitsText); err != nil || bits < 0 || bits > addr.BitLen() {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(addr, bits), true
}

// normalize turns an ACL as a client sent it into what is kept: exact duplicates go first, then auth becomes the
// caller's authenticated identities. ErrInvalidACL if nothing is left or an entry makes no sense.
func normalize(list []wire.ACL, ids []wire.ID, f Features) ([]wire.ACL, wire.Code) {
	if isOpen(list) {
		return openACL, wire.OK
	}
	out := make([]wire.ACL, 0, len(list))
	seen := make(map[wire.ACL]bool, len(list))
	for _, a := range list {
		if seen[a] {
			continue
		}
		seen[a] = true
		before := len(out)
		switch {
		case a.Scheme == "auth":
			for _, id := range ids {
				if authenticated(id) {
					out = append(out, wire.ACL{Perms: a.Perms, Scheme: id.Scheme, ID: id.ID})
				}
			}
		case validID(a.Scheme, a.ID, f):
			out = append(out, a)
		}
		if len(out) == before || len(out) > maxACL {
			return nil, wire.ErrInvalidACL
		}
	}
	if len(out) == 0 {
		return nil, wire.ErrInvalidACL
	}
	return out, wire.OK
}

// authenticated holds for identities that say who someone is, not merely where.
func authenticated(id wire.ID) bool {
	return id.Scheme == "digest" || id.Scheme == "x509" || id.Scheme == "sasl"
}

func validID(scheme, id string, f Features) bool {
	switch scheme {
	case "world":
		return id == "anyone"
	case "digest":
		return strings.Count(strings.TrimRight(id, ":"), ":") == 1 // as Java's split counts parts
	case "ip":
		_, ok := parseRange(id)
		return ok
	case "x509":
		return f&FeatureX509 != 0 && id != ""
	}
	return false
}

// MaskedACL returns the ACL as getACL shows it to someone without ADMIN: without the hashes of digest ids.
func MaskedACL(acl []wire.ACL) []wire.ACL {
	masked := slices.Clone(acl)
	for i, a := range masked {
		if a.Scheme == "digest" {
			user, _, _ := strings.Cut(a.ID, ":")
			masked[i].ID = user + ":x"
		}
	}
	return masked
}

// DigestID returns the identity of the scheme digest that authentication with "user:password" gives:
// user:base64(sha1(user:password)). Without a colon everything is the user.
func DigestID(auth []byte) string {
	user, _, _ := strings.Cut(string(auth), ":")
	sum := sha1.Sum(auth)
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// aclList is an ACL that many nodes share.
type aclList struct {
	list []wire.ACL
	key  string // its encoding
	hash uint64 // of the key
	refs int
}

// aclTable keeps every distinct ACL once.
type aclTable struct {
	lists map[string]*aclList
	last  *aclList // most nodes have the ACL of the one before
	buf   []byte
}

// retain returns the shared ACL equal to list, counting one more user of it.
func (t *aclTable) retain(list []wire.ACL) *aclList {
	if l := t.last; l != nil && l.refs > 0 && (&l.list[0] == &list[0] || slices.Equal(l.list, list)) {
		l.refs++
		return l
	}
	t.buf = wire.AppendACLs(t.buf[:0], list)
	l := t.lists[string(t.buf)]
	if l == nil {
		l = &aclList{list: list, key: string(t.buf), hash: hash(t.buf)}
		t.lists[l.key] = l
	}
	l.refs++
	t.last = l
	return l
}

// release counts one user less. The last one's list stays valid for whoever holds it.
func (t *aclTable) release(l *aclList) {
	if l.refs--; l.refs == 0 {
		delete(t.lists, l.key)
	}
}

// restore takes back a release; the list is in no other way in the table meanwhile.
func (t *aclTable) restore(l *aclList) {
	l.refs++
	t.lists[l.key] = l
}
