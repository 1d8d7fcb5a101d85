package tree

import "github.com/docent-io/docent/internal/wire"

// OpenACL allows everything to everyone. It must not be changed.
func OpenACL() []wire.ACL { return nil }

// Allowed tells whether the ACL gives any of the permissions to one of the identities. An empty list allows
// everything, and so does holding an identity of the scheme super.
func Allowed(acl []wire.ACL, perms int32, ids []wire.ID) bool { return false }

// MaskedACL returns the ACL as getACL shows it to someone without ADMIN: without the hashes of digest ids.
func MaskedACL(acl []wire.ACL) []wire.ACL { return nil }

// DigestID returns the identity of the scheme digest that authentication with "user:password" gives:
// user:base64(sha1(user:password)).
func DigestID(auth []byte) string { return "" }
