package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// markdown is the report: what was measured, ratios, and bounds. With spread there
// are the least and the most of the rounds, too, which makes it wider than a
// terminal.
func (f *file) markdown(spread bool) string {
	var out strings.Builder
	rounds := "1 round"
	if f.Settings.Rounds > 1 {
		rounds = fmt.Sprintf("%d rounds", f.Settings.Rounds)
	}
	fmt.Fprintf(&out, "Run of %s, %s of %s s, on %s.\n\n", f.Date, rounds, figure(f.Settings.Seconds), f.Machine)
	for _, name := range f.Contenders {
		fmt.Fprintf(&out, "- %s: %s\n", name, f.Versions[name])
	}
	what := "Medians of the rounds"
	if spread {
		what += " (least–most)"
	}
	shared, own := f.measured()
	f.figures(&out, what, shared, f.Contenders, spread)
	f.figures(&out, what+", of devproxy alone", own, f.Builds, spread)
	for i, build := range f.Builds {
		f.ratios(&out, shared, build, slices.Concat(f.Builds[:i], f.peers()))
	}
	f.verdicts(&out)
	return out.String()
}

// figures is a table of metrics.
func (f *file) figures(out *strings.Builder, about string, metrics []metric, contenders []string, spread bool) {
	t := table{{"", "unit"}}
	for _, name := range contenders {
		t[0] = append(t[0], f.head(name))
	}
	for _, m := range metrics {
		cells := []string{m.title, m.unit}
		for _, name := range contenders {
			cells = append(cells, f.cell(m.key, name, spread))
		}
		t = append(t, cells)
	}
	t.write(out, about)
}

// head is the title of a contender's column.
func (f *file) head(name string) string {
	if len(f.Builds) == 1 && name == f.Builds[0]+logSuffix {
		return logSuffix
	}
	return name
}

func (f *file) cell(metric, contender string, spread bool) string {
	s, ok := f.results.summary(metric, contender)
	switch {
	case !ok:
		return "–"
	case len(s.Rounds) == 1 || !spread:
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", figure(s.Median), figure(s.Min), figure(s.Max))
}

// peers are the contenders that are no devproxy.
func (f *file) peers() []string {
	return slices.DeleteFunc(slices.Clone(f.Contenders), func(name string) bool {
		return slices.ContainsFunc(f.Builds, func(build string) bool { return name == build || name == build+logSuffix })
	})
}

// ratios is the table of one build of devproxy by others.
func (f *file) ratios(out *strings.Builder, metrics []metric, build string, others []string) {
	t := table{append([]string{build + " ÷"}, others...)}
	for _, m := range metrics {
		cells, some := []string{m.title}, false
		for _, other := range others {
			ratio, ok := f.results.ratio(m.key, build, other)
			if !ok {
				cells = append(cells, "–")
				continue
			}
			some = true
			cells = append(cells, fmt.Sprintf("%.2f", ratio))
		}
		if some {
			t = append(t, cells)
		}
	}
	t.write(out, "Ratios of the medians")
}

// verdicts is the table of bounds.
func (f *file) verdicts(out *strings.Builder) {
	metrics := map[string]metric{}
	for _, m := range allMetrics() {
		metrics[m.key] = m
	}
	t := table{{"", "figure", "measured", "bound", ""}}
	seen := map[string]bool{}
	for _, v := range f.Verdicts {
		m := metrics[v.Metric]
		seen[v.Metric] = true
		what, demand := m.title, v.demand(m)
		if len(f.Builds) > 1 {
			what = v.Build + ", " + what
		}
		if v.Goal {
			demand += " (goal)"
		}
		t = append(t, []string{what, f.cell(v.Metric, v.Build, false) + " " + m.unit, v.shown(m), demand, v.mark()})
	}
	t.write(out, "Bounds")
	var missing []string
	for _, bound := range allBounds() {
		if title := metrics[bound.metric].title; !seen[bound.metric] && !slices.Contains(missing, title) {
			missing = append(missing, title)
		}
	}
	if len(missing) > 0 && len(f.Builds) > 0 {
		fmt.Fprintf(out, "\nBounds of what was not measured: %s.\n", strings.Join(missing, "; "))
	}
}

// measured returns the metrics that have values: those that other proxies share
// with devproxy, and those of devproxy alone.
func (f *file) measured() (shared, own []metric) {
	for _, m := range allMetrics() {
		of := f.results.rounds[m.key]
		switch others := func(name string) bool { return of[name] != nil }; {
		case len(of) == 0:
		case slices.ContainsFunc(f.peers(), others) || len(f.peers()) == 0:
			shared = append(shared, m)
		default:
			own = append(own, m)
		}
	}
	return shared, own
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
