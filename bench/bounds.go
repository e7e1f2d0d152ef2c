package main

import "fmt"

// A bound is what devproxy has to keep: at most limit, of its own unit or, with
// peer, times that of another contender.
type bound struct {
	metric string
	peer   string
	limit  float64
	goal   bool // aimed at, not promised
}

func allBounds() []bound {
	return []bound{
		{metric: "h1.cpu", peer: "caddy", limit: 0.40},
		{metric: "h1.cpu", peer: "nginx", limit: 1.5},
		{metric: "h1.cpu", peer: "nginx", limit: 1.0, goal: true},
		{metric: "h1-1.latency", peer: "caddy", limit: 0.75},
		{metric: "h2.cpu", peer: "caddy", limit: 0.35},
		{metric: "handshake.full", peer: "caddy", limit: 1.0},
		{metric: "newname.ratio", limit: 1.2},
		{metric: "newname.new", peer: "caddy", limit: 0.25},
		{metric: "download.h1", peer: "caddy", limit: 1.0},
		{metric: "memory.idle", limit: 15},
		{metric: "memory.loaded", limit: 40},
		{metric: "start.ready", limit: 50},
		{metric: "mint.cpu", limit: 150},
		{metric: "routes.reload", limit: 300},
	}
}

// A verdict is a bound and what was measured.
type verdict struct {
	Metric string  `json:"metric"`
	Build  string  `json:"build"`
	Peer   string  `json:"peer,omitempty"`
	Limit  float64 `json:"limit"`
	Got    float64 `json:"got"`
	Goal   bool    `json:"goal,omitempty"`
	Kept   bool    `json:"kept"`
}

// judge holds what a build of devproxy did against the bounds. Those that were
// not measured are left out.
func (r *results) judge(build string) []verdict {
	var all []verdict
	for _, bound := range allBounds() {
		v := verdict{Metric: bound.metric, Build: build, Peer: bound.peer, Limit: bound.limit, Goal: bound.goal}
		var measured bool
		if bound.peer == "" {
			var s summary
			s, measured = r.summary(bound.metric, build)
			v.Got = s.Median
		} else {
			v.Got, measured = r.ratio(bound.metric, build, bound.peer)
		}
		if measured {
			v.Kept = v.Got <= v.Limit
			all = append(all, v)
		}
	}
	return all
}

// mark is what the table shows of a verdict.
func (v verdict) mark() string {
	if v.Kept {
		return "✓"
	}
	return "✗"
}

// demand says what the bound wants.
func (v verdict) demand(m metric) string {
	if v.Peer != "" {
		return fmt.Sprintf("≤ %.2f × %s", v.Limit, v.Peer)
	}
	return fmt.Sprintf("≤ %s %s", figure(v.Limit), m.unit)
}

// shown is what was measured, in the form of the demand. Three decimals of
// ratios keep a bound that was just missed from looking kept.
func (v verdict) shown(m metric) string {
	switch {
	case v.Peer != "":
		return fmt.Sprintf("%.3f × %s", v.Got, v.Peer)
	case m.unit == "×":
		return fmt.Sprintf("%.3f ×", v.Got)
	}
	return fmt.Sprintf("%.2f %s", v.Got, m.unit)
}
