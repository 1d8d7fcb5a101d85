package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a diagram of lines over one x axis, drawn as SVG: as wide as a README, and legible there.
type chart struct {
	title, xLabel, yLabel string
	logX, logY            bool
	series                []series
	marks                 []event // vertical lines, numbered and told below the diagram
	yMin                  float64 // of a logarithmic axis: what is less is drawn there
}

// series is one line.
type series struct {
	name   string
	color  string
	dash   string // of the line, as SVG has it
	marker int    // 0: none, else the shape
	points []point
}

func (s *series) stroke() string {
	style := fmt.Sprintf(`stroke="%s" stroke-width="1.8"`, s.color)
	if s.dash != "" {
		style += fmt.Sprintf(` stroke-dasharray="%s"`, s.dash)
	}
	return style
}

type point struct{ x, y, low, high float64 }

const (
	blue   = "#1f5fa8"
	orange = "#c4571b"
	green  = "#2e7d4f"
)

// frame is where a chart's axes are, in pixels, and what they span.
type frame struct {
	c                        *chart
	left, top, width, height float64
	x0, x1, y0, y1           float64 // as drawn: logarithms if the axis is logarithmic
}

func (f *frame) x(v float64) float64 { return f.left + f.width*(scaled(v, f.c.logX)-f.x0)/(f.x1-f.x0) }

func (f *frame) y(v float64) float64 {
	if f.c.logY {
		v = max(v, f.c.yMin)
	}
	return f.top + f.height*(1-(scaled(v, f.c.logY)-f.y0)/(f.y1-f.y0))
}

func scaled(v float64, log bool) float64 {
	if log {
		return math.Log10(v)
	}
	return v
}

// draw returns charts side by side below one title, with one legend.
func draw(title string, charts ...chart) string {
	const total, legendWidth, top = 860.0, 150.0, 44.0
	height := 400.0
	var b strings.Builder
	each := (total - legendWidth) / float64(len(charts))
	marks := 0
	for i := range charts {
		marks = max(marks, len(charts[i].marks))
	}
	full := height + float64((marks+2)/3)*18
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#1c2630">`+"\n", total, full, total, full)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="white"/>`+"\n", total, full)
	text(&b, 12, 24, "start", title, `font-size="16" font-weight="bold"`)
	for i := range charts {
		f := newFrame(&charts[i], 64+each*float64(i), top+18, each-78, height-top-78)
		f.axes(&b)
		f.lines(&b)
	}
	legend(&b, total-legendWidth+4, top+22, charts)
	for i, m := range charts[0].marks {
		text(&b, 64+float64(i%3)*265, height+6+float64(i/3)*18, "start", fmt.Sprintf("%d  %s", i+1, m.What), `font-size="12"`)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func newFrame(c *chart, left, top, width, height float64) *frame {
	f := &frame{c: c, left: left, top: top, width: width, height: height, x0: math.Inf(1), x1: math.Inf(-1), y0: math.Inf(1), y1: math.Inf(-1)}
	for _, s := range c.series {
		for _, p := range s.points {
			f.x0, f.x1 = min(f.x0, scaled(p.x, c.logX)), max(f.x1, scaled(p.x, c.logX))
			y := p.y
			if c.logY {
				y = max(y, c.yMin)
			}
			f.y0, f.y1 = min(f.y0, scaled(y, c.logY)), max(f.y1, scaled(max(y, p.high), c.logY))
		}
	}
	if math.IsInf(f.x0, 0) {
		f.x0, f.x1, f.y0, f.y1 = 0, 1, 0, 1
	}
	if c.logY {
		f.y0, f.y1 = math.Floor(f.y0), math.Ceil(f.y1+0.01)
	} else {
		f.y0, f.y1 = 0, f.y1*1.08
	}
	if f.x0 == f.x1 {
		f.x1++
	}
	if f.y0 >= f.y1 {
		f.y1 = f.y0 + 1
	}
	return f
}

func (f *frame) axes(b *strings.Builder) {
	const grid = `stroke="#dde3e8"`
	for _, v := range ticks(f.y0, f.y1, f.c.logY) {
		line(b, f.left, f.y(v), f.left+f.width, f.y(v), grid)
		text(b, f.left-6, f.y(v)+4, "end", short(v), "")
	}
	for _, v := range ticks(f.x0, f.x1, f.c.logX) {
		line(b, f.x(v), f.top, f.x(v), f.top+f.height, grid)
		text(b, f.x(v), f.top+f.height+17, "middle", short(v), "")
	}
	for i, m := range f.c.marks {
		line(b, f.x(m.At), f.top, f.x(m.At), f.top+f.height, `stroke="#8a949e" stroke-dasharray="3 3"`)
		text(b, f.x(m.At), f.top-4, "middle", fmt.Sprint(i+1), `font-size="11"`)
	}
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="none" stroke="#4a5a6a"/>`+"\n", f.left, f.top, f.width, f.height)
	text(b, f.left+f.width/2, f.top+f.height+36, "middle", f.c.xLabel, "")
	if f.c.yLabel != "" {
		x, y := f.left-48, f.top+f.height/2
		text(b, x, y, "middle", f.c.yLabel, fmt.Sprintf(`transform="rotate(-90 %.1f %.1f)"`, x, y))
	}
	text(b, f.left+f.width/2, f.top-6, "middle", f.c.title, `font-weight="bold"`)
}

func (f *frame) lines(b *strings.Builder) {
	for _, s := range f.c.series {
		var path strings.Builder
		for _, p := range s.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", f.x(p.x), f.y(p.y))
		}
		if path.Len() == 0 {
			continue
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" %s/>`+"\n", strings.TrimSpace(path.String()), s.stroke())
		for _, p := range s.points {
			if p.high > p.low {
				line(b, f.x(p.x), f.y(p.low), f.x(p.x), f.y(p.high), fmt.Sprintf(`stroke="%s" stroke-opacity="0.5"`, s.color))
			}
			mark(b, f.x(p.x), f.y(p.y), s)
		}
	}
}

// legend names each line once, whichever chart it is in.
func legend(b *strings.Builder, x, y float64, charts []chart) {
	told := make(map[string]bool)
	for _, c := range charts {
		for _, s := range c.series {
			if told[s.name] {
				continue
			}
			told[s.name] = true
			line(b, x, y, x+26, y, s.stroke())
			mark(b, x+13, y, s)
			text(b, x+32, y+4, "start", s.name, `font-size="12"`)
			y += 20
		}
	}
}

// mark draws a point: a circle, a square, a triangle or a diamond.
func mark(b *strings.Builder, x, y float64, s series) {
	const r = 3.6
	shapes := []string{"",
		fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="%.1f"`, x, y, r),
		fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"`, x-r, y-r, 2*r, 2*r),
		fmt.Sprintf(`<path d="M%.1f,%.1fl%.1f,%.1fh%.1fz"`, x, y-r-1, r+1, 2*r+1, -2*r-2),
		fmt.Sprintf(`<path d="M%.1f,%.1fl%.1f,%.1fl%.1f,%.1fl%.1f,%.1fz"`, x, y-r-1.4, r+1.4, r+1.4, -r-1.4, r+1.4, -r-1.4, -r-1.4),
	}
	if s.marker > 0 {
		fmt.Fprintf(b, `%s fill="%s"/>`+"\n", shapes[s.marker], s.color)
	}
}

func line(b *strings.Builder, x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

func text(b *strings.Builder, x, y float64, anchor, s, style string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(s))
}

// ticks returns round values between two ends, which are logarithms if log is true.
func ticks(low, high float64, log bool) (list []float64) {
	if log {
		for e := math.Ceil(low - 1e-9); e <= high+1e-9; e++ {
			list = append(list, math.Pow(10, e))
		}
		return list
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if (high-low)/(step*f) <= 6 {
			step *= f
			break
		}
	}
	for v := math.Ceil(low/step-1e-9) * step; v <= high+step*1e-9; v += step {
		list = append(list, v)
	}
	return list
}

// short writes a value of an axis: 20 k, 1.5 M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%g k", v/1e3)
	}
	return fmt.Sprintf("%g", math.Abs(math.Round(v*1e6)/1e6)) // no axis goes below 0, and -0 is no label
}
