package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sample reads a report of a real run.
func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(sample(t, "wrk.txt"))
	want := wrkResult{requests: 47365, rate: 42703.76, median: 32 * time.Microsecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	slow := strings.Replace(sample(t, "wrk.txt"), "32.00us", " 1.25ms", 1)
	if got, err := parseWrk(slow); err != nil || got.median != 1250*time.Microsecond {
		t.Errorf("median %v, %v, want 1.25ms", got.median, err)
	}
}

func TestParseH2load(t *testing.T) {
	got, err := parseH2load(sample(t, "h2load.txt"))
	want := h2loadResult{requests: 100, rate: 14009.53, took: 7140 * time.Microsecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A load that failed in part must not look like a fast one.
func TestFailedLoadsAreErrors(t *testing.T) {
	wrk := func(text string) error { _, err := parseWrk(text); return err }
	h2load := func(text string) error { _, err := parseH2load(text); return err }
	for _, test := range []struct {
		name  string
		parse func(string) error
		text  string
		want  string
	}{
		{"wrk: other answers than 200", wrk, sample(t, "wrk-errors.txt"), "Non-2xx or 3xx responses: 23680"},
		{"wrk: lost connections", wrk, sample(t, "wrk.txt") + "  Socket errors: connect 0, read 3, write 0, timeout 0\n", "read 3"},
		{"wrk: no request", wrk, strings.Replace(sample(t, "wrk.txt"), "47365 requests", "0 requests", 1), "not one request"},
		{"wrk: nothing", wrk, "", "unknown report"},
		{"h2load: other answers than 200", h2load, sample(t, "h2load-errors.txt"), "0 succeeded"},
		{"h2load: a connection that was closed", h2load, sample(t, "h2load-cutoff.txt"), "9 errored"},
		{"h2load: HTTP/1.1", h2load, sample(t, "h2load-h1.txt"), "not HTTP/2"},
		{"h2load: nothing", h2load, "", "unknown report"},
	} {
		if err := test.parse(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
}

func TestParsePSS(t *testing.T) {
	const rollup = "55a8f9fea000-7fffe7b6d000 ---p 00000000 00:00 0    [rollup]\nRss:    1768 kB\nPss:     280 kB\nPss_Dirty:   100 kB\n"
	if got, err := parsePSS(rollup); err != nil || got != 280*1024 {
		t.Errorf("got %v, %v, want %v", got, err, 280*1024)
	}
	for _, text := range []string{"", "Rss: 1 kB\n", "Pss: many kB\n"} {
		if got, err := parsePSS(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
