// Package docent is a toolkit for coordinating processes: a client and ready-made recipes that work against any server
// of the ZooKeeper protocol, and a thin replicated server that speaks it.
//
//	lock leader barrier rendezvous groups config   the recipes, one idea each
//	recipes                                        what they are made of, for authors of further ones
//	client                                         connections, sessions, watches, and the raw operations
//	server, server/servertest                      the server, in a process or on its own, and for tests
//	cmd/docent                                     the command
//
// This package itself is empty: import the one you need.
package docent
