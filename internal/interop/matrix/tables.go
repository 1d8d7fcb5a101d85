package matrix

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// AtLeast is how many checks each client must pass at each server.
const AtLeast = 20

// Clients and servers of which there must be one at least; there may be others, of other versions.
var (
	clients = []string{"docent", "Java", "Curator", "kazoo", "go-zookeeper", "zkCli", "C"}
	servers = []string{"docent 1", "docent 3", "Apache ZooKeeper"}
)

// Meeting is a recipe in which processes of two libraries can take part, on one path.
type Meeting struct{ Recipe, A, B string }

// Meetings are all that can meet; zookeeper-protocol.md, section 14, has the names and data of their nodes.
func Meetings() []Meeting {
	all := []Meeting{
		{"lock", "docent", "kazoo, told of others"},
		{"lock", "go-zookeeper", "kazoo, told of others"},
		{"lock", "docent", "kazoo, its own names"},
		{"readers and a writer", "docent", "Curator InterProcessReadWriteLock"},
		{"readers and a writer", "docent", "kazoo ReadLock, WriteLock"},
		{"semaphore", "docent", "Curator InterProcessSemaphoreV2"},
		{"semaphore", "docent", "Curator InterProcessSemaphoreMutex"},
		{"election", "docent", "Curator LeaderLatch"},
		{"election", "docent", "Curator LeaderSelector"},
		{"election", "docent", "kazoo Election"},
		{"barrier (gate)", "docent", "Curator DistributedBarrier"},
		{"barrier (gate)", "docent", "kazoo Barrier"},
		{"barrier (gate)", "Curator DistributedBarrier", "kazoo Barrier"},
		{"group", "docent", "Curator GroupMember"},
		{"group", "docent", "kazoo Party"},
		{"group", "docent", "kazoo ShallowParty"},
		{"group", "Curator GroupMember", "kazoo ShallowParty"},
		{"service discovery", "docent", "Curator ServiceDiscovery"},
		{"value", "docent", "Curator SharedValue"},
		{"counter", "docent", "Curator SharedCount"},
		{"counter", "docent", "Curator DistributedAtomicLong"},
		{"counter", "docent", "Curator DistributedAtomicInteger"},
		{"counter", "docent", "kazoo Counter"},
		{"counter", "docent", "kazoo Counter, support_curator"},
		{"counter", "Curator SharedCount", "kazoo Counter, support_curator"},
		{"counter", "Curator DistributedAtomicInteger", "kazoo Counter, support_curator"},
	}
	libraries := []string{"docent", "Curator", "go-zookeeper", "kazoo, Curator's names"}
	var locks []Meeting
	for i, a := range libraries {
		for _, b := range libraries[i+1:] {
			locks = append(locks, Meeting{"lock", a, b})
		}
	}
	return append(locks, all...)
}

// table is cells by row and column.
type table struct {
	rows, columns []string
	cells         map[[2]string]int
}

// checks sums up the checks; problems are cells that are empty or too small, or lack a member of an ensemble.
func checks(records []Record, slice bool) (t table, problems []error) {
	t.cells = make(map[[2]string]int)
	members := make(map[[2]string]int)
	rows, columns := make(map[string]bool), make(map[string]bool)
	for _, r := range records {
		if r.Client != "" {
			row := strings.TrimSpace(r.Client + " " + r.Version)
			rows[row], columns[r.Server] = true, true
			t.cells[[2]string{row, r.Server}] += r.Checks
			members[[2]string{row, r.Server}]++ // Read drops what was recorded twice
		}
	}
	t.rows, problems = sorted(rows, clients)
	var missing []error
	t.columns, missing = sorted(columns, servers)
	problems = append(problems, missing...)
	for _, row := range t.rows {
		for _, column := range t.columns {
			if n := t.cells[[2]string{row, column}]; n < AtLeast {
				problems = append(problems, fmt.Errorf("%s at %s: %d checks passed, want at least %d", row, column, n, AtLeast))
			}
			if n, want := members[[2]string{row, column}], membersOf(column); n < want && !slice {
				problems = append(problems, fmt.Errorf("%s at %s: checked through %d members of %d", row, column, n, want))
			}
		}
	}
	return t, problems
}

// membersOf is how many servers a column stands for: "docent 3" for three.
func membersOf(column string) int {
	n := 1
	fmt.Sscanf(column, "docent %d", &n) // another name stands for one
	return n
}

// sorted puts names in the order of kinds, which they begin with, and tells the kinds there is none of.
func sorted(names map[string]bool, kinds []string) (list []string, missing []error) {
	kind := func(name string) int {
		return slices.IndexFunc(kinds, func(k string) bool { return name == k || strings.HasPrefix(name, k+" ") })
	}
	list = slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Or(cmp.Compare(kind(a), kind(b)), cmp.Compare(a, b)) })
	for i, k := range kinds {
		if !slices.ContainsFunc(list, func(name string) bool { return kind(name) == i }) {
			missing = append(missing, fmt.Errorf("there is no %s", k))
		}
	}
	return list, missing
}

// meetings counts who met, by row (see Meeting.row) and server.
func meetings(records []Record) (t table, problems []error) {
	t.cells = make(map[[2]string]int)
	columns := make(map[string]bool)
	for _, r := range records {
		if r.Recipe != "" {
			columns[r.Server] = true
			t.cells[[2]string{Meeting{r.Recipe, r.A, r.B}.row(), r.Server}]++
		}
	}
	t.columns, _ = sorted(columns, servers)
	for _, m := range Meetings() {
		t.rows = append(t.rows, m.row())
		for _, column := range t.columns {
			if t.cells[[2]string{m.row(), column}] == 0 {
				problems = append(problems, fmt.Errorf("%s: %s and %s have not met at %s", m.Recipe, m.A, m.B, column))
			}
		}
	}
	for cell := range t.cells {
		if !slices.Contains(t.rows, cell[0]) {
			problems = append(problems, errors.New("not in the list of meetings: "+cell[0]))
		}
	}
	if len(t.columns) < 2 {
		problems = append(problems, errors.New("recipes have not met at docent and at Apache ZooKeeper"))
	}
	return t, problems
}

func (m Meeting) row() string { return m.Recipe + " | " + m.A + " | " + m.B }

// text writes the table in Markdown; head is what stands above the names of the rows.
func (t table) text(b *strings.Builder, head string, cell func(n int) string) {
	fmt.Fprintf(b, "| %s | %s |\n", head, strings.Join(t.columns, " | "))
	b.WriteString(strings.Repeat("|---", 1+strings.Count(head, "|")) + strings.Repeat("|---:", len(t.columns)) + "|\n")
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |", row)
		for _, column := range t.columns {
			fmt.Fprintf(b, " %s |", cell(t.cells[[2]string{row, column}]))
		}
		b.WriteString("\n")
	}
}
