// Package servertest is httptest for coordination: docent's real server in this process, one or a cluster of them, and
// faults for it, so that a program's behaviour under failures is tested in milliseconds.
//
//	srv := servertest.New(t)     // on loopback, in memory, closed when the test ends
//	c := srv.Dial(t)
//	srv.Expire(c)                // its session ends now
//	srv.Inject(servertest.DropReply("create", 1))
//	srv.Kill()                   // as by SIGKILL
//	srv.Restart()                // with what it had stored
//
// With [NoSockets] servers and clients live in a bubble of testing/synctest, on virtual time. [Script] lets faults happen
// at random moments, which a seed replays; [Schedules] runs a test for thousands of seeds.
//
// Everything may be used from several goroutines, and tests may run in parallel: each has servers of its own.
package servertest
