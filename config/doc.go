// Package config shares small values: settings that are read at start, change while everybody runs, and must not break
// anybody who reads them; bundles of them that change together; and counters. (Curator: NodeCache, SharedValue,
// SharedCount and DistributedAtomicLong; kazoo: Counter.)
//
//	/config/appmgr/slurm                   one value, as JSON unless WithCodec says otherwise
//
//	/config/gateway                        a bundle: the name of the directory that holds it
//	/config/gateway/v-0000000012/limits    a file of the present bundle
//	/config/gateway/v-0000000011/limits    and of the one before
//
//	/counters/jobs                         a number
//	/counters/jobs/w-5e0c…                 ephemeral: the last change by one who counts
//
// # Guarantees
//
//	C1  Once it has returned, a Value always has a good value: one that could be decoded and that Validate accepts. A
//	    bad one never replaces it; Err and Changes tell that and why it was refused.
//	C2  The last good value stays when the node is deleted and while the ensemble cannot be reached.
//	C3  A Value comes to show the newest good value again after whatever was missed. Values in between may be skipped.
//	C4  An Update that succeeds was made from the value it replaced: of several at once none is lost, and none counts
//	    twice. When the reply is lost and others may have written the same, it fails with client.ErrMaybeApplied rather
//	    than write again.
//	C5  Who reads a bundle gets all of one, never some files of it and some of the next.
//	C6  A Counter adds exactly once, whatever replies are lost; only if its session or context ends before the outcome is
//	    known, it says client.ErrMaybeApplied.
//	C7  With WatchSaved, who starts while the ensemble cannot be reached begins with the last good value, marked stale.
package config
