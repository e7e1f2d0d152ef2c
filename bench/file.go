package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A file is a run as it is kept.
type file struct {
	Date       string                        `json:"date"`
	Machine    string                        `json:"machine"`
	Settings   fileSettings                  `json:"settings"`
	Contenders []string                      `json:"contenders"` // in the order of the columns
	Builds     []string                      `json:"builds"`     // those of devproxy that ratios and bounds are for
	Versions   map[string]string             `json:"versions"`
	Figures    map[string]map[string]summary `json:"figures"` // by metric, then contender
	Ratios     map[string]map[string]float64 `json:"ratios"`  // by metric, then "a/b"
	Verdicts   []verdict                     `json:"bounds"`
	results    *results
}

type fileSettings struct {
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"`
	Threads int     `json:"threads"`
}

// complete fills in what follows from the results.
func (f *file) complete(r *results) {
	f.results = r
	f.Figures, f.Ratios = map[string]map[string]summary{}, map[string]map[string]float64{}
	for metric, of := range r.rounds {
		f.Figures[metric], f.Ratios[metric] = map[string]summary{}, map[string]float64{}
		for contender := range of {
			f.Figures[metric][contender], _ = r.summary(metric, contender)
		}
		for _, build := range f.Builds {
			for _, other := range f.Contenders {
				if ratio, ok := r.ratio(metric, build, other); ok && other != build {
					f.Ratios[metric][build+"/"+other] = ratio
				}
			}
		}
	}
	for _, build := range f.Builds {
		f.Verdicts = append(f.Verdicts, r.judge(build)...)
	}
}

// write keeps the run.
func (f *file) write(path string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// readFile returns a run that was kept.
func readFile(path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	f.results = newResults()
	for metric, of := range f.Figures {
		f.results.rounds[metric] = map[string][]float64{}
		for contender, s := range of {
			f.results.rounds[metric][contender] = s.Rounds
		}
	}
	return &f, nil
}

// The run in docs/benchmarks.md is between these lines.
const (
	runBegins = "<!-- run -->"
	runEnds   = "<!-- end of run -->"
)

// intoDocument returns document with report in the place of the run in it.
func intoDocument(document, report string) (string, error) {
	before, rest, ok := strings.Cut(document, runBegins)
	_, after, both := strings.Cut(rest, runEnds)
	if !ok || !both {
		return "", fmt.Errorf("no place between %q and %q", runBegins, runEnds)
	}
	return before + runBegins + "\n" + strings.TrimSpace(report) + "\n" + runEnds + after, nil
}
