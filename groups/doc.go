// Package groups tells who is here, and what they offer: plain membership, and discovery of services. (Curator:
// GroupMember and ServiceDiscovery, whose nodes and JSON it shares; kazoo: Party, whose members it counts.)
//
//	/jobs/7/workers/host:23-5e0c91fb     a member: ephemeral, its data as the member says
//
//	/svc/appmgr/am-1                     an instance of the service appmgr: ephemeral, Curator's ServiceInstance as JSON
//
// The tree holds who lives and what they are, never what they are working on: it must be possible to lose it all.
//
// # Guarantees
//
//	M1  When Join or Register returns, whoever looks from then on (freshly) sees the member.
//	M2  A member is there again after its session was lost or its node deleted, under the same name and with the data
//	    last set, until it leaves; a left-over of its own earlier session is taken over, and a stranger's is waited for.
//	M3  Who has left stays away: nothing brings the node back after Leave or Close.
//	M4  Nobody watches anybody who did not ask: a member holds one watch, on its own node.
//	D1  A Directory answers from its own copy, and goes on answering, Stale, while the ensemble cannot be reached.
//	D2  An entry that cannot be read is left out and reported, and harms no other.
//	D3  Where most of a service vanishes at once, those who vanished stay in the directory for a while: the network is
//	    more likely to be ill than everybody. Who drained first is believed at once.
//	D4  An instance that failed a picker is left alone by that process for a while, and then tried by one picker first.
//	D5  Load is published rarely: a picker wakes for a change of a tenth, and no more often than every five seconds for
//	    each instance.
package groups

import (
	"encoding/hex"
	"fmt"
	"net/url"

	"github.com/google/uuid"
)

// newID makes an ID that nobody else has, and that shows whose it is.
func newID(identity string) string {
	random := uuid.New()
	return url.PathEscape(identity) + "-" + hex.EncodeToString(random[:4])
}

// checkID tells whether id can be the name of a node.
func checkID(what, id string) error {
	for _, r := range id {
		if r == '/' || r < ' ' {
			return fmt.Errorf("%s %q contains %q", what, id, r)
		}
	}
	if id == "" || id == "." || id == ".." {
		return fmt.Errorf("%s %q is no name", what, id)
	}
	return nil
}
