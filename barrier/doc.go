// Package barrier lets processes wait for each other: at a gate that somebody opens, or until all have come and again
// until all are done. (Curator: DistributedBarrier, DistributedDoubleBarrier.)
//
// A [Gate] is one persistent node: closed while it exists.
//
//	/jobs/7/gate                         closed; its data says by whom
//
// A [Double] counts its members in a directory of their own, in numbered generations, so that it can be used again:
//
//	/jobs/7/step                         {"gen":3,"n":2,"state":"running"}
//	/jobs/7/step/g3/m/5e0c…-host:17-0000000000    a member, ephemeral, in the order of coming
//	/jobs/7/step/g3/m/91fb…-host:23-0000000001    another
//	/jobs/7/step/g3/ready                who is in: written in the transaction that started the generation
//	/jobs/7/step/g3/late                 who came and gave up before that, for those who ask why (see [Look])
//	/jobs/7/step/g3/done/0000000001      the second has left properly
//
// # Guarantees
//
//	G1  A Wait that begins after Close has returned does not return before Open has begun.
//	G2  A Wait outlives its session and its server; who gives up leaves no watch behind.
//	B1  All n or nobody: when one member's Enter returns without an error, n members were there at one moment, and each
//	    of those n whose process and session live is told so too, even if its context ended in the meantime.
//	B2  Who is not one of the n is told so (ErrBarrierFull, ErrRunning or its own context's error) and is not counted.
//	B3  Leave returns when each of the n has left or crashed, and Report names all who did what.
//	B4  However members crash, the next generation can begin.
//	B5  Entering wakes everybody once. Of those who leave, each wakes at most the one that leaves last, and that one
//	    wakes the others once.
package barrier
