// Package child runs one command in a process group of its own, as a shell with job control does: signals reach the
// whole group, the terminal is lent to it, and its end is the end of all that is in the group. A process runs one child
// at a time.
package child

import "os"

// Command says what to run.
type Command struct {
	Path  string   // of the program
	Args  []string // the first is its name
	Env   []string
	Ready *os.File // the child's end of a pipe; nil: none
	FD    int      // number of Ready in the child, 3 or more
}
