// Package leader lets one of many do the work. (Curator: LeaderSelector and LeaderLatch.)
//
//	/elect/writer/_c_9f…-latch-0000000007   leads
//	/elect/writer/_c_27…-latch-0000000008   next in line, watches 7 and nothing else
//
// Names are those of Curator's LeaderLatch, whose candidates take part; [Compat] takes those of its LeaderSelector or of
// kazoo's Election. A node's data tell observers who it is, as JSON:
//
//	{"id":"host:4711","addr":"10.0.0.7:9930","pid":4711,"acked":true,"since":"2026-11-22T11:30:00Z","data":"…"}
//
// acked becomes true when the leader has begun to act as one; until then it may not yet know of its election.
//
// # Guarantees
//
//	E1  While clocks run at about one rate, at most one [Term] has a live context (on docent's server; see package lock).
//	E2  Tokens grow from term to term, whatever the clocks do.
//	E3  [Run] gives up a term only after its function has returned, unless the term was lost.
//	E4  A lost term ends; nobody revives it. Run campaigns again, as a new candidate at the end of the line.
//	E5  When the leader goes, the next in line wakes, and whoever observes; the other candidates sleep on.
//	E6  Who stops campaigning leaves no candidate behind.
package leader
