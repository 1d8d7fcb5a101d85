package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// drawAll draws the figures of which there are samples, into docs/figures.
func (c *campaign) drawAll() error {
	dir := filepath.Join(c.docs, "figures")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, svg := range map[string]string{
		"read-share": c.drawShares(), "latency": c.drawLatencies(), "timeline": c.drawTimeline(), "growth": c.drawGrowth(), "locks": c.drawLocks(),
	} {
		if svg == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(svg), 0o666); err != nil {
			return err
		}
	}
	return nil
}

var colors = map[string]string{docent: blue, zookeeper: orange, curator: orange, gozk: green}

var titles = map[string]string{docent: "docent", zookeeper: "ZooKeeper", curator: "Curator", gozk: "go-zookeeper"}

// at adds a point with the median of a row, if there is one.
func (c *campaign) at(s *series, x float64, row, system string) {
	if mid, low, high, ok := c.median(row, system); ok {
		s.points = append(s.points, point{x, mid, low, high})
	}
}

// figured returns a drawing unless none of its lines has a point.
func figured(title string, charts ...chart) string {
	for _, ch := range charts {
		for _, s := range ch.series {
			if len(s.points) > 0 {
				return draw(title, charts...)
			}
		}
	}
	return ""
}

func (c *campaign) drawShares() string {
	ch := chart{xLabel: "share of reads, %", yLabel: "requests per second", logY: true, yMin: 1}
	for _, system := range systems(0) {
		for i, n := range sizes {
			s := series{name: fmt.Sprintf("%s, %d", titles[system], n), color: colors[system], marker: i + 1, dash: []string{"2 3", "", "7 3", "10 3 2 3"}[i]}
			for _, share := range shares {
				c.at(&s, float64(share), shareRow(n, share), system)
			}
			ch.series = append(ch.series, s)
		}
	}
	return figured("Throughput and the share of reads; 1, 3, 5 and 7 servers on one machine", ch)
}

func (c *campaign) drawLatencies() string {
	ch := chart{xLabel: "writes per second, 3 servers", yLabel: "milliseconds since due", logX: true, logY: true, yMin: 0.01}
	for _, system := range systems(0) {
		p50 := series{name: titles[system] + ", p50", color: colors[system], marker: 1}
		p99 := series{name: titles[system] + ", p99", color: colors[system], marker: 3, dash: "6 3"}
		for _, rate := range rates {
			list := c.find(fmt.Sprintf("fig-b-%d", rate), system)
			if len(list) == 0 {
				continue
			}
			at := func(key string) float64 {
				return medianOf(list, func(s sample) float64 { return s.More[key] })
			}
			p50.points = append(p50.points, point{x: at("rate"), y: at("p50_us") / 1000})
			p99.points = append(p99.points, point{x: at("rate"), y: at("p99_us") / 1000})
		}
		ch.series = append(ch.series, p50, p99)
	}
	return figured("Latency of writes and their rate, up to saturation", ch)
}

func (c *campaign) drawTimeline() string {
	ch := chart{xLabel: "seconds", yLabel: "requests per second", logY: true, yMin: 100}
	for _, system := range systems(0) {
		s := series{name: titles[system], color: colors[system]}
		for _, run := range c.find("fig-c", system) {
			for i, rate := range run.Line {
				s.points = append(s.points, point{x: float64(i) * run.More["interval"], y: rate})
			}
			if system == docent {
				ch.marks = run.Events
			}
		}
		ch.series = append(ch.series, s)
	}
	return figured("Five servers, 30 % writes, and failures (what is below 100 per second stands at 100)", ch)
}

func (c *campaign) drawGrowth() string {
	var charts []chart
	for _, g := range growths() {
		ch := chart{title: g.name, xLabel: "how many", logX: true, logY: true, yMin: 1}
		if len(charts) == 0 {
			ch.yLabel = "requests per second, half reads"
		}
		for _, system := range systems(0) {
			s := series{name: titles[system], color: colors[system], marker: 1}
			for _, x := range g.x {
				c.at(&s, float64(x), g.row(x), system)
			}
			ch.series = append(ch.series, s)
		}
		charts = append(charts, ch)
	}
	return figured("Throughput as an ensemble of 3 holds more", charts...)
}

func (c *campaign) drawLocks() string {
	ch := chart{xLabel: "clients that contend for one lock", yLabel: "acquired and released per second", logX: true}
	for i, library := range libraries() {
		s := series{name: titles[library], color: colors[library], marker: i + 1}
		for _, l := range lockCurve() {
			c.at(&s, float64(l.contenders), l.row, library)
		}
		ch.series = append(ch.series, s)
	}
	return figured("Locks per second, each library on an ensemble of 3 of its own kind", ch)
}
