package main

import (
	"context"
	"fmt"
	"strings"
)

// A measurement yields one or more metrics of a contender.
type measurement struct {
	name    string // for -only
	about   string
	metrics []metric
	once    bool                  // not in every round
	load    bool                  // its memory counts as that under load
	of      func(*contender) bool // whom it is taken of; nil is everybody
	take    func(context.Context, *bench, *contender) (values, error)
}

// A metric is a row of the table.
type metric struct {
	key   string
	title string
	unit  string
}

// values are metrics by key.
type values map[string]float64

// brief names the values in the order of m's metrics.
func (v values) brief(m measurement) string {
	var parts []string
	for _, metric := range m.metrics {
		if value, ok := v[metric.key]; ok {
			parts = append(parts, fmt.Sprintf("%s %s %s", metric.key, figure(value), metric.unit))
		}
	}
	return strings.Join(parts, ", ")
}

// megabyte is what memory is shown in.
const megabyte = 1e6

// allMeasurements returns them in the order of the table.
func allMeasurements() []measurement {
	return []measurement{
		h1Load(), h1Latency(), h2Load(), handshakes(), firstRequest(), downloads(), uploads(),
		page(), webSocket(), starting(), saving(), manyRoutes(), minting(), idling(),
	}
}

// loadedMetric comes of all measurements that are loads.
func loadedMetric() metric { return metric{"memory.loaded", "memory, most during the loads", "MB"} }

// allMetrics returns the rows of the table.
func allMetrics() []metric {
	var all []metric
	for _, m := range allMeasurements() {
		all = append(all, m.metrics...)
		if m.name == "start" {
			all = append(all, loadedMetric())
		}
	}
	return all
}

// isDevproxy is true for every build of devproxy.
func isDevproxy(c *contender) bool { return c.kind.name == "devproxy" }

// isQuietDevproxy leaves out those with an access log.
func isQuietDevproxy(c *contender) bool { return isDevproxy(c) && !c.accessLog }
