package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 7}, 6},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.values, got, test.want)
		}
	}
}

func TestPerRequest(t *testing.T) {
	if got := perRequest(3*time.Millisecond, 200); got != 15 {
		t.Errorf("3 ms for 200 requests: got %v µs each, want 15", got)
	}
}

// measured is three rounds of two builds and two others.
func measured() *results {
	r := newResults()
	for _, h1 := range [][4]float64{{44, 29, 80, 20}, {40, 30, 70, 10}, {41, 31, 75, 30}} {
		r.add("old", values{"h1.cpu": h1[0], "memory.idle": 15.004})
		r.add("new", values{"h1.cpu": h1[1], "memory.idle": 15})
		r.add("caddy", values{"h1.cpu": h1[2]})
		r.add("nginx", values{"h1.cpu": h1[3]})
	}
	return r
}

func TestBounds(t *testing.T) {
	for _, test := range []struct {
		build string
		want  string
	}{
		{"old", "0.547 × caddy ✗, 2.050 × nginx ✗, 2.050 × nginx ✗, 15.00 MB ✗"},
		{"new", "0.400 × caddy ✓, 1.500 × nginx ✓, 1.500 × nginx ✗, 15.00 MB ✓"},
		{"absent", ""},
	} {
		var got []string
		for _, v := range measured().judge(test.build) {
			unit := map[string]string{"memory.idle": "MB"}[v.Metric]
			got = append(got, v.shown(metric{unit: unit})+" "+v.mark())
		}
		if got := strings.Join(got, ", "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.build, got, test.want)
		}
	}
}

func TestEveryBoundIsOfAMetric(t *testing.T) {
	known := map[string]bool{}
	for _, m := range allMetrics() {
		if known[m.key] {
			t.Errorf("%s is there twice", m.key)
		}
		known[m.key] = true
	}
	for _, bound := range allBounds() {
		if !known[bound.metric] {
			t.Errorf("nothing measures %s", bound.metric)
		}
	}
}

func exampleFile() *file {
	f := &file{
		Date: "2026-01-02", Machine: "2 cores", Settings: fileSettings{Rounds: 3, Seconds: 3},
		Contenders: []string{"old", "new", "caddy", "nginx"}, Builds: []string{"old", "new"},
		Versions: map[string]string{"old": "1", "new": "2", "caddy": "v2", "nginx": "1.22"},
	}
	f.complete(measured())
	return f
}

func TestMarkdown(t *testing.T) {
	f := exampleFile()
	f.results.add("new", values{"routes.reload": 12})
	for _, test := range []struct {
		spread bool
		want   []string
	}{
		{true, []string{
			"|                                     | unit | old              | new              | caddy            | nginx            |\n",
			"| h1, 32 connections: CPU per request | µs   | 41.0 (40.0–44.0) | 30.0 (29.0–31.0) | 75.0 (70.0–80.0) | 20.0 (10.0–30.0) |\n",
		}},
		{false, []string{
			"| h1, 32 connections: CPU per request | µs   | 41.0 | 30.0 | 75.0  | 20.0  |\n",
			"of devproxy alone:\n\n|                                      | unit | old  | new  |\n",
			"| memory, idle after one request       | MB   | 15.0 | 15.0 |\n",
			"| 10,000 routes: added to save to live | ms   | –    | 12.0 |\n",
			"| old ÷                               | caddy | nginx |\n",
			"| h1, 32 connections: CPU per request | 0.55  | 2.05  |\n",
			"| new ÷                               | old  | caddy | nginx |\n",
			"| h1, 32 connections: CPU per request | 0.73 | 0.40  | 1.50  |\n",
			"| new, h1, 32 connections: CPU per request | 30.0 µs | 1.500 × nginx | ≤ 1.50 × nginx        | ✓   |\n",
			"| new, h1, 32 connections: CPU per request | 30.0 µs | 1.500 × nginx | ≤ 1.00 × nginx (goal) | ✗   |\n",
			"\nBounds of what was not measured: h1, 1 connection: median; h2, ",
		}},
	} {
		got := f.markdown(test.spread)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		if strings.Contains(got, "| full handshake") {
			t.Errorf("a row of what was not measured in\n%s", got)
		}
	}
}

// All rows have room in a terminal of 100 columns.
func TestMarkdownIsNarrow(t *testing.T) {
	f := &file{Contenders: allProxies(), Builds: []string{"devproxy"}}
	r := newResults()
	for _, m := range allMetrics() {
		for _, name := range f.Contenders {
			if isOwn(m.key) && name != "devproxy" {
				continue
			}
			r.add(name, values{m.key: 12345})
		}
	}
	f.complete(r)
	for line := range strings.Lines(f.markdown(false)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// isOwn is true for what is measured of devproxy alone.
func isOwn(key string) bool {
	return strings.HasPrefix(key, "routes.") || strings.HasPrefix(key, "mint.")
}

func TestFileComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "run.json")
	if err := exampleFile().write(path); err != nil {
		t.Fatal(err)
	}
	back, err := readFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := back.markdown(true), exampleFile().markdown(true); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var raw struct{ Ratios map[string]map[string]float64 }
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	if got := raw.Ratios["h1.cpu"]["new/nginx"]; got != 1.5 {
		t.Errorf("new/nginx is %v in the file, want 1.5", got)
	}
}

func TestIntoDocument(t *testing.T) {
	got, err := intoDocument("a\n<!-- run -->\nold\n<!-- end of run -->\nb\n", "\nnew\n\n")
	if want := "a\n<!-- run -->\nnew\n<!-- end of run -->\nb\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := intoDocument("a\n<!-- run -->\n", "new"); err == nil {
		t.Errorf("without an end: got %q, want an error", got)
	}
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{1234.5: "1234", 99.96: "100.0", 12.34: "12.3", 1.234: "1.23", 0: "0.00", -12.34: "-12.3"} {
		if got := figure(value); got != want {
			t.Errorf("%v: got %s, want %s", value, got, want)
		}
	}
}
