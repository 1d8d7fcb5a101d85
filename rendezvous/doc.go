// Package rendezvous lets processes meet that do not know who comes first: a master posts where it is, and workers find
// it, whoever of them starts earlier and however often the master is replaced.
//
//	/jobs/7/meet/info                   what the master posted: ephemeral, and gone with it
//	/jobs/7/meet/w/5e0c…-host:23          a worker that follows: ephemeral
//
// # Guarantees
//
//	V1  Who waits sees whole postings only: a node without data, the empty half of a posting, is no posting.
//	V2  A Wait never returns a posting that was replaced or gone before the Wait began.
//	V3  Epochs grow from master to master: a posting of another life has another epoch, whatever it says.
//	V4  At most one posting lives at a point, and a poster whose request was answered late or twice is not turned away
//	    by its own posting.
//	V5  With OnTerm, a posting ends with its term at the latest, and never displaces that of a later term.
//	V6  Gather holds the only watch on the list of workers; a worker holds one watch.
package rendezvous
