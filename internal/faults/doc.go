// Package faults runs ensembles of real docent processes, on real disks and real connections, does to them what happens to
// machines, and has package history check what their clients were told.
//
// A seed draws the size of the ensemble, what is done to it and when. It cannot draw what the kernel does, so a seed that
// fails may need some runs to fail again; what its servers wrote and had in their folders is kept.
//
//	make faults MINUTES=60      a line per seed, in $FAULTS_LOG; goes on where it was interrupted
//	make faults SEEDS=7         one seed
//
// Each server lives in a network namespace of its own, where this process listens on the addresses of all others: so each
// pair of servers has two links of its own, which can be slow, cut or deaf, without a tool or a trace on the machine. That
// needs Linux, and root; without root the links between servers are left alone, and the line says so.
package faults
