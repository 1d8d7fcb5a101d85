package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticks is how many of the units of /proc/PID/stat make a second: USER_HZ, 100 on all that Go runs on.
const ticks = 100

func readProcess(pid int) (p Process, err error) {
	p.PID = pid
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	// Behind the name, which may hold spaces and parentheses, the 12th and 13th fields are the times in user and in
	// system mode.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return p, fmt.Errorf("process %d: cannot read %sstat", pid, dir)
	}
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return p, fmt.Errorf("process %d: %w", pid, err)
		}
		p.CPU += float64(n) / ticks
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var kib int64
		switch name {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscan(value, &kib); err != nil {
				return p, fmt.Errorf("process %d: %w", pid, err)
			}
		}
		switch name {
		case "VmRSS":
			p.RSS = kib << 10
		case "VmHWM":
			p.Peak = kib << 10
		}
	}
	return p, nil
}
