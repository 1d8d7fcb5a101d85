package bench

// Process is what a server's process used while it was measured.
type Process struct {
	PID  int     `json:"pid"`
	CPU  float64 `json:"cpu_s"`     // seconds of processor time
	RSS  int64   `json:"rss_bytes"` // memory at the end
	Peak int64   `json:"peak_rss_bytes"`
}

// processes reads what some processes have used since they began.
func processes(pids []int) ([]Process, error) {
	list := make([]Process, 0, len(pids))
	for _, pid := range pids {
		p, err := readProcess(pid)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}
