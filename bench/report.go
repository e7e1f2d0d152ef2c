package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// markdown is the report: what was measured, ratios, and bounds.
func (f *file) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Run of %s, %s rounds of %s s, on %s.\n\n", f.Date, strconv.Itoa(f.Settings.Rounds), figure(f.Settings.Seconds), f.Machine)
	for _, name := range f.Contenders {
		fmt.Fprintf(&out, "- %s: %s\n", name, f.Versions[name])
	}
	out.WriteString("\nMedians of the rounds (least–most):\n\n")
	f.figures(&out)
	f.ratios(&out)
	f.verdicts(&out)
	return out.String()
}

// figures is the table of all metrics.
func (f *file) figures(out *strings.Builder) {
	row(out, append([]string{"", "unit"}, f.Contenders...))
	row(out, dashes(2+len(f.Contenders)))
	for _, m := range f.measured() {
		cells := []string{m.title, m.unit}
		for _, name := range f.Contenders {
			cells = append(cells, f.cell(m.key, name))
		}
		row(out, cells)
	}
}

func (f *file) cell(metric, contender string) string {
	s, ok := f.results.summary(metric, contender)
	switch {
	case !ok:
		return "–"
	case len(s.Rounds) == 1:
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", figure(s.Median), figure(s.Min), figure(s.Max))
}

// ratios is the table of the builds of devproxy by everything else.
func (f *file) ratios(out *strings.Builder) {
	type pair struct{ of, to string }
	var pairs []pair
	for _, build := range f.Builds {
		for _, other := range f.Contenders {
			// Of two builds one ratio is enough: the later by the earlier.
			if other != build && !f.before(build, other) {
				pairs = append(pairs, pair{build, other})
			}
		}
	}
	if len(pairs) == 0 {
		return
	}
	out.WriteString("\nRatios of the medians:\n\n")
	head := []string{""}
	for _, p := range pairs {
		head = append(head, p.of+" ÷ "+p.to)
	}
	row(out, head)
	row(out, dashes(len(head)))
	for _, m := range f.measured() {
		cells, some := []string{m.title}, false
		for _, p := range pairs {
			ratio, ok := f.results.ratio(m.key, p.of, p.to)
			if !ok {
				cells = append(cells, "–")
				continue
			}
			some = true
			cells = append(cells, fmt.Sprintf("%.2f", ratio))
		}
		if some {
			row(out, cells)
		}
	}
}

// before says whether both are builds of devproxy, a named before b.
func (f *file) before(a, b string) bool {
	at := map[string]int{}
	for i, build := range f.Builds {
		at[build] = i + 1
	}
	return at[a] > 0 && at[b] > 0 && at[a] < at[b]
}

// verdicts is the table of bounds.
func (f *file) verdicts(out *strings.Builder) {
	if len(f.Verdicts) == 0 {
		return
	}
	titles := map[string]metric{}
	for _, m := range allMetrics() {
		titles[m.key] = m
	}
	out.WriteString("\nBounds:\n\n")
	row(out, []string{"", "build", "measured", "bound", ""})
	row(out, dashes(5))
	for _, v := range f.Verdicts {
		m := titles[v.Metric]
		demand := v.demand(m)
		if v.Goal {
			demand += " (goal)"
		}
		row(out, []string{m.title, v.Build, v.shown(m), demand, v.mark()})
	}
}

// measured returns the rows that have values.
func (f *file) measured() []metric {
	var all []metric
	for _, m := range allMetrics() {
		if len(f.results.rounds[m.key]) > 0 {
			all = append(all, m)
		}
	}
	return all
}

func row(out *strings.Builder, cells []string) {
	fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
}

func dashes(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = "---"
	}
	return all
}

// figure shows a value with three digits, or all of a large one.
func figure(value float64) string {
	switch size := math.Abs(value); {
	case size >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	default:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
}
