package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// line is a line of the table as it came out.
type tableLine struct {
	what, docent, other, ratio, target string
	verdict                            string // met, missed or "not measured"
	behind                             bool   // of the other system
}

// number formats a count or a rate with three digits, and thousands apart.
func number(x float64) string {
	if x < 1000 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	digits, step := strconv.FormatFloat(x, 'f', 0, 64), 1.0
	for range len(digits) - 3 {
		step *= 10
	}
	s := strconv.FormatFloat(float64(int(x/step+0.5))*step, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func medianOf(list []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range list {
		values = append(values, value(s))
	}
	slices.Sort(values)
	return quantile(values, 0.5)
}

// cell is a median with its range.
func (c *campaign) cell(row, system, unit string) string {
	mid, low, high, ok := c.median(row, system)
	if !ok {
		return "–"
	}
	if unit != "" {
		unit = " " + unit
	}
	return fmt.Sprintf("%s%s [%s–%s]", number(mid), unit, number(low), number(high))
}

// compared is a line with a ratio.
func (c *campaign) compared(name, what, unit, other string, t target) tableLine {
	l := tableLine{what: what, docent: c.cell(name, docent, unit), other: c.cell(name, other, unit), ratio: "–", target: t.text, verdict: "not measured"}
	a, _, _, ok := c.median(name, docent)
	b, _, _, ok2 := c.median(name, other)
	if other == best {
		b, l.other, ok2 = c.bestLock(name)
	}
	if ok && t.limit > 0 {
		l.verdict = verdict(a <= t.limit)
	}
	if ok && ok2 && b > 0 {
		ratio := a / b
		l.ratio = strconv.FormatFloat(ratio, 'g', 3, 64) + "×"
		l.behind = (ratio < 1) != t.less
		if t.ratio > 0 {
			l.verdict = verdict(t.less && ratio <= t.ratio || !t.less && ratio >= t.ratio)
		}
	}
	return l
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// best stands for the better of the libraries docent's locks are compared with.
const best = "the best of the others"

func (c *campaign) bestLock(row string) (value float64, cell string, ok bool) {
	for _, library := range []string{curator, gozk} {
		if mid, _, _, there := c.median(row, library); there && mid > value {
			value, cell, ok = mid, c.cell(row, library, "")+", "+library, true
		}
	}
	if !ok {
		cell = "–"
	}
	return value, cell, ok
}

// lines are those of the table, in the order of the issue.
func (c *campaign) lines() (list []tableLine) {
	for _, r := range loadRows() {
		list = append(list, c.compared(r.name, r.what, r.unit, zookeeper, r.target))
	}
	grown := c.compared("growth", "1,000,000 znodes, 10,000 sessions, 100,000 watches, to few of each", "%", zookeeper, target{text: "≥ 70 %"})
	if mid, _, _, ok := c.median("growth", docent); ok {
		grown.verdict = verdict(mid >= 70)
	}
	list = append(list, grown)
	for _, f := range faults() {
		l := c.compared(f.name, f.what, "ms", zookeeper, f.target)
		if all := c.find(f.name, docent); f.name == "killed" && len(all) > 0 {
			var values []float64
			for _, s := range all {
				values = append(values, s.Value)
			}
			slices.Sort(values)
			p90 := quantile(values, 0.9)
			l.docent += fmt.Sprintf(", p90 %s ms", number(p90))
			l.verdict = verdict(quantile(values, 0.5) < 50 && p90 < 250)
		}
		list = append(list, l)
	}
	elections := c.compared("false-elections", "elections within 10 minutes with both cores kept busy, 5 servers", "", zookeeper, target{text: "none"})
	if s := c.find("false-elections", docent); len(s) > 0 {
		elections.docent = fmt.Sprintf("%.0f in %.0f s", s[0].Value, s[0].More["seconds"])
		elections.verdict = verdict(s[0].Value == 0)
	}
	list = append(list, elections)
	for _, x := range clientRows() {
		t := target{ratio: x.ratio, text: fmt.Sprintf("≥ %g×", x.ratio)}
		if x.allocs > 0 {
			t = target{limit: x.allocs, less: true, text: fmt.Sprintf("≤ %g", x.allocs)}
		}
		list = append(list, c.compared(x.row, x.what, "", gozk, t))
	}
	for _, x := range lockRows() {
		list = append(list, c.compared(x.row, x.what, "", best, target{ratio: x.ratio, text: fmt.Sprintf("≥ %g×", x.ratio)}))
	}
	return list
}

const intro = `# Performance

Made by ` + "`make figures`" + `, and not by hand: what stands here is as it came out. docent and Apache ZooKeeper ran on the same
machine and took turns under the same load, which came from ` + "`docent bench`" + ` on that machine, too, and checked every reply
(order, code, content, versions). Medians, least and largest in brackets.

`

// report writes docs/performance.md.
func (c *campaign) report() error {
	var b strings.Builder
	b.WriteString(intro)
	c.conditions(&b)
	b.WriteString("## The table\n\nValues of 1 KiB, 3 servers, requests per second unless said otherwise; ratios are docent's figure to the other's.\n\n")
	b.WriteString("| measure | docent | ZooKeeper (clients and locks: the other library) | ratio | target | |\n|---|---:|---:|---:|---:|---|\n")
	lines := c.lines()
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.what, l.docent, l.other, l.ratio, l.target, l.verdict)
	}
	c.bounds(&b)
	reading(&b, lines)
	c.pictures(&b)
	return os.WriteFile(filepath.Join(c.docs, "performance.md"), []byte(b.String()), 0o666)
}

// conditions tells the machine and the settings.
func (c *campaign) conditions(b *strings.Builder) {
	first, last := "", ""
	for _, s := range c.have {
		day := s.At.Format("2006-01-02")
		if first == "" || day < first {
			first = day
		}
		last = max(last, day)
	}
	if first != last {
		first += " to " + last
	}
	fmt.Fprintf(b, "- **Machine**: %d cores (%s), %s of memory, Linux %s; %s, %s. Servers and load share the cores, and all servers one disk. Measured %s.\n",
		runtime.NumCPU(), cpuModel(), memory(), kernel(), runtime.Version(), strings.Trim(firstLine("java", "-version"), "\n"), first)
	b.WriteString("- **docent**: `docent serve --data DIR --listen ADDR --id N --peers …`, nothing else: each write is on disk (fdatasync) on a majority before it is acknowledged.\n")
	fmt.Fprintf(b, "- **ZooKeeper**: %s of Debian, `forceSync` on (its default: each write is on disk on a majority), `tickTime=2000`, `-Xmx1000m` as its start script has it, `-Xmx500m` in ensembles of 5 and 7; 18 s of load before it is measured.\n", zookeeperVersion())
	b.WriteString("- **Load**: `docent bench --load CONNECTIONSxREQUESTS --mix PERCENT`, connections spread over all servers, 1,000 nodes, 3 s after a warm-up of 1 s (10 s for the row with a million nodes, half reads at 9 × 100). Synchronous means one request under way on each connection; a single one goes to another member in each round.\n")
	b.WriteString("- **Again**: `make figures` measures what is missing in `bin/figures/results.jsonl`, draws, and writes this page; `make bench-table ROWS=writes,reads` measures single rows; remove the file to begin anew.\n\n")
}

// bounds tells how far a server could get at all.
func (c *campaign) bounds(b *strings.Builder) {
	text := ""
	for _, r := range loadRows() {
		most, _, _, ok := c.median(r.name, bare)
		ours, _, _, ok2 := c.median(r.name, docent)
		theirs, _, _, ok3 := c.median(r.name, zookeeper)
		if r.bounded && ok && ok2 && ok3 {
			text += fmt.Sprintf("| %s | %s | %s | %.0f %% | %.3g× | %s |\n", r.what, c.cell(r.name, bare, ""), number(ours), 100*ours/most, most/theirs, r.target.text)
		}
	}
	if text == "" {
		return
	}
	b.WriteString("\n## What the machine allows\n\nThe same load at a bare server: one process that takes requests apart and answers them from a map under a lock; no sessions, tree, " +
		"watches, log or other members. Before it answers a write it syncs the value (fdatasync, over zeros). It was measured in turns with the others.\n\n" +
		"| measure | bare server | docent | docent reaches | the bare server to ZooKeeper | target |\n|---|---:|---:|---:|---:|---:|\n" + text)
}

// reading says in words what the table shows, what is behind included.
func reading(b *strings.Builder, lines []tableLine) {
	b.WriteString("\n## How to read it\n\n")
	pick := func(of func(tableLine) bool) (names []string) {
		for _, l := range lines {
			if of(l) {
				reached := l.ratio
				if reached == "–" {
					reached = l.docent
				}
				names = append(names, l.what+" ("+reached+")")
			}
		}
		return names
	}
	for _, x := range []struct {
		title string
		names []string
	}{
		{"Targets missed", pick(func(l tableLine) bool { return l.verdict == "missed" })},
		{"docent is behind", pick(func(l tableLine) bool { return l.behind })},
		{"Not measured here", pick(func(l tableLine) bool { return l.verdict == "not measured" })},
	} {
		if len(x.names) == 0 {
			x.names = []string{"none"}
		}
		fmt.Fprintf(b, "- **%s**: %s.\n", x.title, strings.Join(x.names, "; "))
	}
	b.WriteString(`- Absolute figures are of this machine; what carries over are ratios. Single runs spread by a third, so differences of
  a few percent say nothing.
- All members share two cores and one disk with the load. On machines of their own, ensembles of 5 and 7 lose less, and a
  system that burns less CPU gains less than here.
- ZooKeeper's elections suffer from five virtual machines on two cores; its paper has 200 ms on machines of its own.
- A write is durable on both sides in the same sense. docent syncs a file that was filled with zeros before, ZooKeeper a
  growing one.
- Nodes are few in most rows, so everything is in the caches; the row and the figure of growth show more of them.
- [Where the time goes](performance-profile.md) has profiles of what is hard to move.
`)
}

// pictures shows the figures that are there.
func (c *campaign) pictures(b *strings.Builder) {
	b.WriteString("\n## Figures\n")
	for _, f := range []struct{ name, text string }{
		{"read-share", "Throughput against the share of reads, for ensembles of 1, 3, 5 and 7: the first figure of ZooKeeper's paper of 2010. About 900 requests are in flight. Mind the logarithmic axis."},
		{"latency", "Latency against load. Requests are due at fixed times whatever the servers do, and late from then on (no coordinated omission). The last point of each is beyond what the system can do."},
		{"timeline", "The paper's time line: five servers, 30 % writes, as many requests as are answered, and failures by SIGKILL."},
		{"growth", "Throughput, half reads of 100 bytes, as there are more znodes, idle sessions, or watches. One run each."},
		{"locks", "Locks acquired and released per second against contenders, each library on an ensemble of 3 of its own kind."},
	} {
		if _, err := os.Stat(filepath.Join(c.docs, "figures", f.name+".svg")); err == nil {
			fmt.Fprintf(b, "\n%s\n\n![%s](figures/%s.svg)\n", f.text, f.name, f.name)
		}
	}
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return name + ": not there"
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line)
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && err == nil && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func memory() string {
	text, err := os.ReadFile("/proc/meminfo")
	var kib int64
	if err == nil {
		if _, err = fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); err == nil {
			return fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
		}
	}
	return "an unknown amount"
}

// zookeeperVersion is in the name of the jar that stands beside the one without.
func zookeeperVersion() string {
	if found, err := filepath.Glob(strings.TrimSuffix(zookeeperJar, ".jar") + "-[0-9]*.jar"); err == nil && len(found) > 0 {
		return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "zookeeper-"), ".jar")
	}
	return "3.8"
}

// kernel is the version alone, without what a distributor adds.
func kernel() string {
	version, _, _ := strings.Cut(firstLine("uname", "-r"), "-")
	return version
}
