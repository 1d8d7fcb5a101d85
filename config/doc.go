// Package config shares small values: settings that are read at start, change while everybody runs, and must not break
// anybody who reads them. (Curator: NodeCache and SharedValue.)
//
//	/config/appmgr/slurm     one value, as JSON unless WithCodec says otherwise
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
package config
