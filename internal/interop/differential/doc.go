// Package differential holds a test: the same seeded requests go to docent's server and to Apache ZooKeeper, and all
// that comes back is compared one by one.
package differential
