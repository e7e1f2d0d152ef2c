package main

import (
	"slices"
)

// results are the values of all rounds.
type results struct {
	rounds map[string]map[string][]float64 // by metric, then contender
}

func newResults() *results { return &results{map[string]map[string][]float64{}} }

// add takes down the values of one round.
func (r *results) add(contender string, v values) {
	for metric, value := range v {
		if r.rounds[metric] == nil {
			r.rounds[metric] = map[string][]float64{}
		}
		r.rounds[metric][contender] = append(r.rounds[metric][contender], value)
	}
}

// summary returns the summary of a metric, if it was measured.
func (r *results) summary(metric, contender string) (summary, bool) {
	all := r.rounds[metric][contender]
	if len(all) == 0 {
		return summary{}, false
	}
	return summary{Rounds: all, Median: median(all), Min: slices.Min(all), Max: slices.Max(all)}, true
}

// ratio returns the median of one contender by that of another, if both were
// measured.
func (r *results) ratio(metric, of, to string) (float64, bool) {
	a, ok := r.summary(metric, of)
	b, both := r.summary(metric, to)
	if !ok || !both || b.Median == 0 {
		return 0, false
	}
	return a.Median / b.Median, true
}

// A summary is a metric of one contender over all rounds.
type summary struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Rounds []float64 `json:"rounds"`
}

// median returns the middle of values, or the mean of the two in the middle.
// There must be one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
